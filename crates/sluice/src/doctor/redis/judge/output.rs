//! When Redis cuts a subscriber off. Pure.
//!
//! A pending announcement takes its data and about a hundred bytes in Redis. A node that is cut off loses nothing,
//! since it compares every topic with its log and reads what it missed; but each cut costs that, and a limit that
//! the usual stall of a node exceeds makes a circle of it.

use super::Context;
use crate::doctor::finding::{Finding, size};

/// What a node that is stopped for some seconds lets pile up at a few thousand events a second.
const HARD_BYTES_LOW: u64 = 8 << 20;

const FIX: &str = "redis-cli config set client-output-buffer-limit 'pubsub 64mb 16mb 60', and in redis.conf";

/// The limits of one class of clients; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    hard: u64,
    soft: u64,
    soft_s: u64,
}

pub(super) fn announcements(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.output-buffer";
    if !context.duties.reading {
        return None;
    }
    let limits = pubsub(context.setting("client-output-buffer-limit")?)?;
    let Limits { hard, soft, soft_s } = limits;
    let text = |bytes| if bytes == 0 { "no limit".to_owned() } else { size(bytes) };
    let seen = format!("a subscriber is cut off at {} pending, or {} for {soft_s} s", text(hard), text(soft));
    let largest = context.event_bytes_max;
    if hard > 0 && hard < largest.saturating_mul(2) {
        let why = format!(
            "an event may have {}: one or two of the largest cut every node off, each time they are published",
            size(largest)
        );
        return Some(Finding::error(ID, seen).why(why).fix(FIX));
    }
    let soft_is_low = soft > 0 && soft < largest.saturating_mul(2);
    if (hard > 0 && hard < HARD_BYTES_LOW) || soft_is_low {
        let why = "a node that is busy for a second is cut off; it loses nothing, but compares every topic with its \
                   log and is stale until it has";
        return Some(Finding::warning(ID, seen).why(why).fix(FIX));
    }
    if hard == 0 {
        let why = "a node that hangs lets announcements pile up until Redis has no memory left";
        return Some(Finding::warning(ID, seen).why(why).fix(FIX));
    }
    Some(Finding::ok(ID, seen))
}

/// The limits of subscribers, from `<class> <hard> <soft> <seconds>` for each class.
fn pubsub(setting: &str) -> Option<Limits> {
    let words: Vec<&str> = setting.split_whitespace().collect();
    let class = words.chunks_exact(4).find(|class| class[0] == "pubsub")?;
    let number = |word: &str| word.parse().ok();
    Some(Limits { hard: number(class[1])?, soft: number(class[2])?, soft_s: number(class[3])? })
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::*;
    use crate::doctor::finding::Level;

    fn level(limits: &str) -> Level {
        let setting = format!("normal 0 0 0 slave 1 1 1 pubsub {limits}");
        announcements(&healthy().with_setting("client-output-buffer-limit", &setting)).unwrap().level
    }

    #[test]
    fn limits_are_held_against_what_events_weigh() {
        assert_eq!(level("33554432 8388608 60"), Level::Ok);
        assert_eq!(level("65536 0 0"), Level::Error);
        assert_eq!(level("524287 0 0"), Level::Error);
        assert_eq!(level("524288 0 0"), Level::Warning);
        assert_eq!(level("33554432 262144 60"), Level::Warning);
        assert_eq!(level("0 0 0"), Level::Warning);
    }

    #[test]
    fn who_only_publishes_is_never_cut() {
        let mut context = healthy();
        context.duties.reading = false;
        assert!(announcements(&context).is_none());
        assert!(pubsub("normal 0 0 0").is_none());
    }
}
