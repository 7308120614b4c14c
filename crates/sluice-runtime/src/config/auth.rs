//! `[auth]`: who may do what.

use sluice_wire::TopicPattern;

use super::Role;
use super::section::Section;

/// Access rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// What needs no credentials.
    pub anonymous: Anonymous,
}

/// Topics open to everybody; all others are refused with 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymous {
    /// `auth.anonymous.subscribe`: none; `["**"]` in `dev`.
    pub subscribe: Vec<TopicPattern>,
    /// `auth.anonymous.publish`: none; `["**"]` in `dev`.
    pub publish: Vec<TopicPattern>,
}

impl Auth {
    pub(super) fn default_for(role: Role) -> Self {
        let open: Vec<TopicPattern> = match role {
            Role::Dev => TopicPattern::parse("**").into_iter().collect(),
            Role::Gateway | Role::Publisher | Role::Client => Vec::new(),
        };
        Self { anonymous: Anonymous { subscribe: open.clone(), publish: open } }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let Anonymous { subscribe, publish } = default.anonymous.clone();
        let subscribe = patterns(section, "anonymous.subscribe", subscribe);
        let publish = patterns(section, "anonymous.publish", publish);
        Self { anonymous: Anonymous { subscribe, publish } }
    }
}

fn patterns(section: &mut Section<'_>, key: &str, default: Vec<TopicPattern>) -> Vec<TopicPattern> {
    let right = "must list topic patterns such as \"orders/*\" (one segment) or \"public/**\" (any number)";
    section.list(key, default, right, |text| {
        TopicPattern::parse(text).map_err(|error| format!("{text:?}: {error}"))
    })
}
