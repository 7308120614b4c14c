//! Ends that are known beforehand: when a stream is to be ended, and why.

/// Why a stream comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The node is going away.
    Drain,
    /// It is as old as it may get.
    Age,
    /// What it was let in by is good no more.
    Expiry,
}

/// When a stream is to be ended, and whether that is for its age or for the expiry of what it was let in by.
/// Seconds of the shard's clock, and a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(u32);

impl Deadline {
    /// It is not to be ended.
    pub const NEVER: Self = Self(Self::LATEST_S);
    const EXPIRY: u32 = 1 << 31;
    const LATEST_S: u32 = Self::EXPIRY - 1;

    /// At `at_s` of the shard's clock, for its age or for an expiry.
    #[must_use]
    pub fn at(at_s: u32, end: End) -> Self {
        let expiry = if end == End::Expiry { Self::EXPIRY } else { 0 };
        Self(at_s.min(Self::LATEST_S - 1) | expiry)
    }

    /// The moment; `None` for never.
    #[must_use]
    pub fn at_s(self) -> Option<u32> {
        let at_s = self.0 & Self::LATEST_S;
        (at_s != Self::LATEST_S).then_some(at_s)
    }

    /// Why the stream is to be ended, if its time has come.
    #[must_use]
    pub fn has_come(self, now_s: u32) -> Option<End> {
        let end = if self.0 & Self::EXPIRY == 0 { End::Age } else { End::Expiry };
        self.at_s().filter(|at_s| now_s >= *at_s).map(|_| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_says_when_and_why() {
        for at_s in [0, 1, 1 << 30, u32::MAX] {
            for end in [End::Age, End::Expiry] {
                let deadline = Deadline::at(at_s, end);
                let at_s = deadline.at_s().unwrap();
                assert_eq!(deadline.has_come(at_s), Some(end));
                assert_eq!(at_s.checked_sub(1).and_then(|before| deadline.has_come(before)), None);
            }
        }
        assert_eq!((Deadline::NEVER.at_s(), Deadline::NEVER.has_come(u32::MAX)), (None, None));
    }
}
