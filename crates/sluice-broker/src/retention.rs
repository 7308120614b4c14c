//! How long a topic's events are kept: by count, by age, and whole idle topics. Pure; the backends apply it
//! when they append.

use std::time::Duration;

use sluice_wire::{Topic, TopicPattern};

/// What a topic keeps. Limits are applied when something is appended, and approximately: a log may hold more
/// than `events_max` (Redis trims whole nodes of its tree, some hundred entries), never fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest this many events are kept; `None` for all.
    pub events_max: Option<u64>,
    /// Events older than this may go; `None` for never. The whole log expires with its newest event.
    pub age_max: Option<Duration>,
    /// The whole topic is forgotten when nothing was published to it for this long; `None` for never. A plain
    /// XADD does not renew it.
    pub idle_max: Option<Duration>,
}

impl Default for Retention {
    /// 10,000 events and 24 hours; a topic is forgotten with its newest event.
    fn default() -> Self {
        Self { events_max: Some(10_000), age_max: Some(Duration::from_secs(24 * 60 * 60)), idle_max: None }
    }
}

impl Retention {
    /// Keeps everything.
    pub const UNLIMITED: Self = Self { events_max: None, age_max: None, idle_max: None };

    /// The age from which an event may be gone because of its age, and of the newest event, the whole log; `None` when age
    /// alone removes nothing.
    #[must_use]
    pub fn horizon(&self) -> Option<Duration> {
        match (self.age_max, self.idle_max) {
            (Some(age), Some(idle)) => Some(age.min(idle)),
            (age, idle) => age.or(idle),
        }
    }
}

/// Which topic keeps what: the first rule whose pattern matches, else the default.
#[derive(Debug, Clone, Default)]
pub struct RetentionPolicies {
    /// Rules in order of precedence.
    pub rules: Vec<(TopicPattern, Retention)>,
    /// For topics that no rule matches.
    pub default: Retention,
}

impl RetentionPolicies {
    /// The same retention for every topic.
    #[must_use]
    pub fn uniform(default: Retention) -> Self {
        Self { rules: Vec::new(), default }
    }

    /// What `topic` keeps.
    #[must_use]
    pub fn of(&self, topic: &Topic) -> Retention {
        self.rules.iter().find(|(pattern, _)| pattern.matches(topic)).map_or(self.default, |(_, kept)| *kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_decides() {
        let brief = Retention { events_max: Some(1), ..Retention::UNLIMITED };
        let policies = RetentionPolicies {
            rules: vec![
                (TopicPattern::parse("orders/*").unwrap(), brief),
                (TopicPattern::parse("orders/**").unwrap(), Retention::UNLIMITED),
            ],
            default: Retention::default(),
        };
        assert_eq!(policies.of(&Topic::parse("orders/1").unwrap()), brief);
        assert_eq!(policies.of(&Topic::parse("orders/1/lines").unwrap()), Retention::UNLIMITED);
        assert_eq!(policies.of(&Topic::parse("users/1").unwrap()), Retention::default());
    }

    #[test]
    fn the_horizon_is_the_shorter_age() {
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        let kept = |age_max, idle_max| Retention { events_max: Some(1), age_max, idle_max }.horizon();
        assert_eq!(kept(Some(day), Some(hour)), Some(hour));
        assert_eq!(kept(Some(day), None), Some(day));
        assert_eq!(kept(None, Some(hour)), Some(hour));
        assert_eq!(kept(None, None), None);
    }
}
