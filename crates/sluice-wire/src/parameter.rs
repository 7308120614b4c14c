//! Names of query parameters: which of the known ones a request means, and which one a mistyped name was meant to be.

use std::fmt;

use crate::Problem;

/// The cursor of a stream in its query. Spellings that libraries use are taken for it: `lastEventId`, `Last-Event-ID`.
pub const LAST_EVENT_ID: &str = "last_event_id";

/// Bytes of an unknown name that are repeated in an answer, and compared with known names. A longer one may be a value
/// in the wrong place, such as a token.
const NAME_BYTES_MAX: usize = 24;

/// The one of `known` that `name` means.
///
/// # Errors
/// `name` means none of them.
pub fn parameter<'k>(name: &str, known: &[&'k str]) -> Result<&'k str, UnknownParameter> {
    let exact = known.iter().find(|one| **one == name);
    let meant = exact.or_else(|| known.iter().find(|one| **one == LAST_EVENT_ID && is_last_event_id(name)));
    meant.copied().ok_or_else(|| UnknownParameter::new(name, known))
}

/// Whether `name` is a spelling of `last_event_id`.
#[must_use]
pub fn is_last_event_id(name: &str) -> bool {
    matches!(name, LAST_EVENT_ID | "lastEventId" | "Last-Event-ID" | "last-event-id")
}

/// A query has a parameter that its route does not know. Displayed as a sentence for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownParameter {
    detail: String,
}

impl UnknownParameter {
    fn new(name: &str, known: &[&str]) -> Self {
        let all = known.join(", ");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let detail = if name.is_empty() {
            format!("a query parameter has no name; known here: {all}")
        } else if name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            format!("a query parameter is not known here; known are: {all}")
        } else {
            match known.iter().min_by_key(|one| distance(name, one)) {
                Some(nearest) => {
                    format!(
                        "the query parameter {name} is not known here; the nearest is {nearest}, known are: {all}"
                    )
                }
                None => format!("the query parameter {name} is not known here; there are none"),
            }
        };
        Self { detail }
    }
}

impl fmt::Display for UnknownParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for UnknownParameter {}

impl From<UnknownParameter> for Problem {
    fn from(unknown: UnknownParameter) -> Self {
        Self::new(400, "unknown-parameter", "Unknown query parameter", unknown.detail)
    }
}

/// Levenshtein's distance, whatever the case of letters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(!left.eq_ignore_ascii_case(right));
            diagonal = *cell;
            before = replaced.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["topic", "since", LAST_EVENT_ID, "cursor_events"];

    #[test]
    fn spellings_of_the_cursor_are_one_parameter_where_it_is_known() {
        for name in ["last_event_id", "lastEventId", "Last-Event-ID", "last-event-id"] {
            assert_eq!(parameter(name, &KNOWN), Ok(LAST_EVENT_ID));
            assert!(parameter(name, &["limit"]).is_err());
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        for (name, nearest) in [
            ("sinse", "since"),
            ("topics", "topic"),
            ("Topic", "topic"),
            ("lasteventid", "last_event_id"),
            ("cursor_event", "cursor_events"),
        ] {
            let said = parameter(name, &KNOWN).unwrap_err().to_string();
            assert!(said.contains(&format!("{name} is not")), "{said}");
            assert!(said.contains(&format!("the nearest is {nearest},")), "{said}");
        }
    }

    #[test]
    fn what_may_be_a_secret_or_is_no_name_is_not_repeated() {
        for name in ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIi", "a\nb", "<script>", ""] {
            let said = parameter(name, &KNOWN).unwrap_err().to_string();
            assert!(name.is_empty() || !said.contains(name), "{said}");
            assert!(said.ends_with("topic, since, last_event_id, cursor_events"), "{said}");
        }
    }

    #[test]
    fn the_distance_counts_insertions_removals_and_replacements() {
        for (a, b, expected) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("Abc", "abc", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
