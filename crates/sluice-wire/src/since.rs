//! Where a new stream or a history request begins, as the `since` parameter says it. The forms are told
//! apart by their shape alone, so that a text has one meaning.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use crate::EventId;

/// Where to begin in the log of each topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the oldest retained event; written `earliest`.
    Earliest,
    /// With the newest so many events; written `last:<n>`, n from 0 to [`Since::LAST_MAX`].
    Last(usize),
    /// Behind an event; written as its id, `<ms>-<seq>`.
    After(EventId),
    /// At a moment, in milliseconds of Redis's clock; written as RFC 3339 date and time.
    At {
        /// Milliseconds since the Unix epoch.
        ms: u64,
    },
    /// So long before now; written as a duration such as `5m` or `1h 30m`.
    Ago(Duration),
}

/// A text that is no form of `since`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinceError {
    /// The number behind `last:` is none, or too great.
    #[error("`last:` is followed by a number of events from 0 to {max}, such as last:100", max = Since::LAST_MAX)]
    Last,
    /// The text looks like a date but is not one of 1970 to 9999 as RFC 3339 writes it.
    #[error("a moment is written as RFC 3339 from the year 1970 on, such as 2026-01-31T12:00:00Z")]
    Moment,
    /// None of the forms.
    #[error(
        "since is one of: earliest | last:<n> | an event id <ms>-<seq> | an RFC 3339 time such as 2026-01-31T12:00:00Z | a duration such as 5m"
    )]
    Form,
}

impl Since {
    /// The greatest number that `last:<n>` takes.
    pub const LAST_MAX: usize = 10_000;
}

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        if text == "earliest" {
            return Ok(Self::Earliest);
        }
        if let Some(count) = text.strip_prefix("last:") {
            return last(count);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::After(id));
        }
        // `2026-01-31...`: no duration has a dash, and an id has nothing but digits beside its only one.
        if text.as_bytes().get(4) == Some(&b'-') {
            return moment(text).map(|ms| Self::At { ms }).ok_or(SinceError::Moment);
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| SinceError::Form)
    }
}

fn last(count: &str) -> Result<Since, SinceError> {
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    match count.parse() {
        Ok(count) if digits && count <= Since::LAST_MAX => Ok(Since::Last(count)),
        _ => Err(SinceError::Last),
    }
}

/// The moment of an RFC 3339 text in milliseconds, `None` for any other text.
///
/// The date is read by humantime, which knows no offset but `Z`. A space is taken for the `+` of an offset:
/// that is what a query string makes of it when it was not escaped.
fn moment(text: &str) -> Option<u64> {
    const OFFSET: usize = "+00:00".len();
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return utc_ms(local);
    }
    if !text.is_ascii() {
        return None;
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(OFFSET)?)?;
    let [sign, h1, h0, b':', m1, m0] = offset.as_bytes() else { return None };
    let hours = two_digits(*h1, *h0).filter(|hours| *hours < 24)?;
    let minutes = two_digits(*m1, *m0).filter(|minutes| *minutes < 60)?;
    let shift_ms = (hours * 60 + minutes) * 60_000;
    match sign {
        b'+' | b' ' => utc_ms(local)?.checked_sub(shift_ms),
        b'-' => utc_ms(local)?.checked_add(shift_ms),
        _ => None,
    }
}

fn utc_ms(local: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(&format!("{}Z", local.replacen('t', "T", 1))).ok()?;
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn two_digits(tens: u8, ones: u8) -> Option<u64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_form() {
        for (text, since) in [
            ("earliest", Since::Earliest),
            ("last:0", Since::Last(0)),
            ("last:10000", Since::Last(10_000)),
            ("1700000000000-7", Since::After(EventId::new(1_700_000_000_000, 7))),
            ("2026-01", Since::After(EventId::new(2026, 1))),
            ("2023-11-14T22:13:20Z", Since::At { ms: 1_700_000_000_000 }),
            ("2023-11-14t22:13:20.123456z", Since::At { ms: 1_700_000_000_123 }),
            ("2023-11-14T23:13:20.5+01:00", Since::At { ms: 1_700_000_000_500 }),
            ("2023-11-14T23:13:20 01:00", Since::At { ms: 1_700_000_000_000 }),
            ("2023-11-14T17:43:20-04:30", Since::At { ms: 1_700_000_000_000 }),
            ("1970-01-01T00:00:00Z", Since::At { ms: 0 }),
            ("5m", Since::Ago(Duration::from_secs(300))),
            ("1h 30m", Since::Ago(Duration::from_secs(5400))),
        ] {
            assert_eq!(text.parse(), Ok(since), "{text:?}");
        }
    }

    #[test]
    fn says_which_form_is_wrong() {
        for text in ["last:", "last:-1", "last:+1", "last:10001", "last:99999999999999999999", "last:1 "] {
            assert_eq!(text.parse::<Since>(), Err(SinceError::Last), "{text:?}");
        }
        for text in [
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00é01:00",
            "2026-é",
        ] {
            assert_eq!(text.parse::<Since>(), Err(SinceError::Moment), "{text:?}");
        }
        for text in ["", "now", "5", "5 parsecs", "-5m", "Earliest", "999999999999999999999y"] {
            assert_eq!(text.parse::<Since>(), Err(SinceError::Form), "{text:?}");
        }
    }
}
