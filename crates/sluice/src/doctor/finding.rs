//! One finding: what was seen, why it matters, what to do about it.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing needs to be done.
    Note,
    /// Something will go wrong some day, or costs more than it must.
    Warning,
    /// Sluice cannot keep its promises like this.
    Error,
}

impl Level {
    pub(super) const ALL: [Self; 4] = [Self::Ok, Self::Note, Self::Warning, Self::Error];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// `<area>.<check>`; does not change from version to version.
    pub(super) id: &'static str,
    pub(super) level: Level,
    /// What was seen, in a line.
    pub(super) seen: String,
    /// Why it matters; empty where all is well.
    pub(super) why: String,
    /// The setting or command that mends it; empty where nothing needs to be done.
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn ok(id: &'static str, seen: impl Into<String>) -> Self {
        Self { id, level: Level::Ok, seen: seen.into(), why: String::new(), fix: String::new() }
    }

    pub(super) fn note(id: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::ok(id, seen) }
    }

    pub(super) fn warning(id: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::ok(id, seen) }
    }

    pub(super) fn error(id: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Error, ..Self::ok(id, seen) }
    }

    #[must_use]
    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    #[must_use]
    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// A number as people read it: 12,345.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size as people read it: 1.5 GiB.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, one) in UNITS {
        if bytes >= one {
            let tenths = u128::from(bytes) * 10 / u128::from(one);
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {unit}"),
                (whole, tenth) => format!("{whole}.{tenth} {unit}"),
            };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (bytes, text) in [(0, "0 bytes"), (1_536, "1.5 KiB"), (1 << 20, "1 MiB"), (5 << 29, "2.5 GiB")] {
            assert_eq!(size(bytes), text);
        }
        assert!(size(u64::MAX).ends_with("GiB"));
    }

    #[test]
    fn levels_are_ordered_by_how_bad_they_are() {
        assert!(Level::ALL.is_sorted());
    }
}
