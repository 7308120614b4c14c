//! `[cors]`: which pages of other origins may use the public listener.

use std::time::Duration;

use super::Role;
use super::section::Section;

/// The cross-origin rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// `cors.origins`: none; any in `dev`.
    pub origins: Origins,
    /// `cors.credentials`: false. Whether those pages may send cookies and authorization.
    pub credentials: bool,
    /// `cors.max_age_s`: 600; 0 leaves it to the browser. How long a preflight's answer may be kept.
    pub max_age: Option<Duration>,
}

/// Origins that are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every origin: the list holds `*`.
    Any,
    /// These, as `scheme://host[:port]`; none when empty.
    Listed(Vec<String>),
}

impl Cors {
    pub(super) fn default_for(role: Role) -> Self {
        let origins = if role == Role::Dev { Origins::Any } else { Origins::Listed(Vec::new()) };
        Self { origins, credentials: false, max_age: Some(Duration::from_secs(600)) }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let default_origins = match &default.origins {
            Origins::Any => vec!["*".to_owned()],
            Origins::Listed(origins) => origins.clone(),
        };
        let right = "must list origins such as \"https://app.example\" (no path), or \"*\"";
        let origins = section.list("origins", default_origins, right, parse_origin);
        let any = origins.iter().any(|origin| origin == "*");
        Self {
            origins: if any { Origins::Any } else { Origins::Listed(origins) },
            credentials: section.switch("credentials", default.credentials),
            max_age: section.seconds_or_off("max_age_s", default.max_age, 86_400),
        }
    }
}

/// An origin as browsers send it: lower case, without a path or a trailing slash.
fn parse_origin(text: &str) -> Result<String, String> {
    if text == "*" || text == "null" {
        return Ok(text.to_owned());
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match host {
        Some(host) if !host.is_empty() && host.chars().all(plain) => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("{text:?} is no origin")),
    }
}
