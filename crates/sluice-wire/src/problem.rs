//! Problem details: the one form in which every HTTP surface of Sluice says no. Source: RFC 9457.
//!
//! The `type` of a problem is stable and its `detail` says what to do. This is the pure part; how a problem
//! becomes a response is a few lines in each crate that answers HTTP.

use std::fmt::Write as _;

use crate::EventId;

/// What all types of problems begin with.
const TYPE_BASE: &str = "https://sluice.dev/problems/";

/// The media type of [`Problem::to_json`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A detail is not longer: it may repeat what somebody sent, which is as long as they like. Bytes.
const DETAIL_BYTES_MAX: usize = 1_000;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The last segment of the `type`: stable, for programs.
    pub slug: &'static str,
    /// The same for every problem of this type, for people.
    pub title: &'static str,
    /// What is wrong this time and what to do about it.
    pub detail: String,
    /// When trying again makes sense: the `Retry-After` header, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// The event that it is about, where that has an id already.
    pub event: Option<EventId>,
}

impl Problem {
    /// A problem of the type `slug`. The detail may repeat what somebody sent: it is made one line of at most a
    /// thousand bytes or so.
    #[must_use]
    pub fn new(status: u16, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = one_line(detail.into());
        Self { status, slug, title, detail, retry_after_seconds: None, event: None }
    }

    /// The same, worth trying again after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The `type`: a URI that stays the same for all problems of one kind.
    #[must_use]
    pub fn type_uri(&self) -> String {
        format!("{TYPE_BASE}{}", self.slug)
    }

    /// Its `type`, `title` and `status` alone, as a JSON object: for lists in which the same problem recurs.
    #[must_use]
    pub fn to_short_json(&self) -> String {
        let mut json = String::from("{\"type\":");
        push_json_string(&mut json, &self.type_uri());
        json.push_str(",\"title\":");
        push_json_string(&mut json, self.title);
        let _ = write!(json, ",\"status\":{}}}", self.status);
        json
    }

    /// The problem as a JSON object: `type`, `title`, `status`, `detail` and, where they apply, `id` and
    /// `retry_after`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(160 + self.detail.len());
        json.push_str("{\"type\":");
        push_json_string(&mut json, &self.type_uri());
        json.push_str(",\"title\":");
        push_json_string(&mut json, self.title);
        let _ = write!(json, ",\"status\":{}", self.status);
        json.push_str(",\"detail\":");
        push_json_string(&mut json, &self.detail);
        if let Some(id) = self.event {
            let _ = write!(json, ",\"id\":\"{id}\"");
        }
        if let Some(seconds) = self.retry_after_seconds {
            let _ = write!(json, ",\"retry_after\":{seconds}");
        }
        json.push('}');
        json
    }
}

fn one_line(mut text: String) -> String {
    if text.len() > DETAIL_BYTES_MAX {
        text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX));
        text.push_str("...");
    }
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

/// Appends `text` as a JSON string. Source: RFC 8259, section 7.
fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_json_object() {
        let problem = Problem::new(413, "body-too-large", "The body is too large", "send at most 5 bytes");
        assert_eq!(
            problem.to_json(),
            r#"{"type":"https://sluice.dev/problems/body-too-large","title":"The body is too large","status":413,"detail":"send at most 5 bytes"}"#
        );
        assert!(problem.retry_after(3).to_json().ends_with(r#","retry_after":3}"#));
    }

    #[test]
    fn a_detail_is_one_line_however_much_of_a_request_it_repeats() {
        let unknown = format!("unknown field `{}`", "a\r\nb\u{1b}é".repeat(100_000));
        let detail = Problem::new(400, "x", "X", unknown).detail;
        assert!(detail.starts_with("unknown field `a  b é") && detail.ends_with("..."), "{detail}");
        assert!(detail.len() <= DETAIL_BYTES_MAX + 3 && !detail.contains(char::is_control));
    }

    #[test]
    fn no_detail_breaks_out_of_its_string() {
        let detail = "\"\\\n\r\t\0\u{1f}\u{7f}é\u{2028}💧".to_owned();
        let json = Problem { detail, ..Problem::new(400, "x", "X", "") }.to_json();
        assert!(json.contains(r#""detail":"\"\\\n\r\t\u0000\u001f"#), "{json}");
        assert!(json.ends_with("\u{7f}é\u{2028}💧\"}"), "{json}");
        assert!(!json.chars().any(|c| u32::from(c) < 0x20));
    }
}
