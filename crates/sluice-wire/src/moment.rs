//! Moments as RFC 3339 writes them, for any number that an id or a stored record may hold.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond of the year 9999, the last year that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;

/// Writes milliseconds since the Unix epoch as an RFC 3339 time in UTC, such as `2026-01-31T12:00:00.000Z`.
///
/// Returns `None` for a moment after the year 9999, which RFC 3339 cannot write. Ids and records from outside hold any
/// `u64`, and humantime's own `Display` returns an error there, which `to_string` turns into a panic.
#[must_use]
pub fn rfc3339(ms: u64) -> Option<String> {
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(ms)).filter(|_| ms <= LAST_MS)?;
    Some(humantime::format_rfc3339_millis(moment).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_first_and_the_last_moment_and_none_after_it() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(rfc3339(1_700_000_000_123).as_deref(), Some("2023-11-14T22:13:20.123Z"));
        assert_eq!(rfc3339(LAST_MS).as_deref(), Some("9999-12-31T23:59:59.999Z"));
        assert_eq!(rfc3339(LAST_MS + 1), None);
        assert_eq!(rfc3339(u64::MAX), None);
    }
}
