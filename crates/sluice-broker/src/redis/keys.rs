//! Names of keys and channels: `<prefix>:{<topic>}:log|live|once:<key>`. The braces make the topic the hash
//! tag, so that all of a topic lives in one slot of a cluster. `<prefix>:{<topic>}:past` tells of
//! a log that is gone (`pasts.rs`). What nodes hold is in `<prefix>:held:{<node>}`, and the nodes
//! there are in `<prefix>:nodes`.

use std::sync::Arc;

use sluice_wire::{IdempotencyKey, Topic};

use super::layout::{self, Slot};

#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Arc<str>,
}

const PREFIX_LEN_MAX: usize = 64;
const LIVE: &str = "}:live";

impl Keys {
    /// Names that begin with `prefix`, or why they cannot.
    pub(super) fn new(prefix: &str) -> Result<Self, String> {
        let fits = (1..=PREFIX_LEN_MAX).contains(&prefix.len());
        if fits && prefix.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'{' | b'}')) {
            return Ok(Self { prefix: prefix.into() });
        }
        Err(format!(
            "a key prefix is 1 to {PREFIX_LEN_MAX} printable ASCII characters without spaces and braces"
        ))
    }

    pub(super) fn log(&self, topic: &Topic) -> String {
        format!("{}:{{{topic}}}:log", self.prefix)
    }

    pub(super) fn live(&self, topic: &Topic) -> String {
        format!("{}:{{{topic}}}:live", self.prefix)
    }

    pub(super) fn once(&self, topic: &Topic, key: &IdempotencyKey) -> String {
        format!("{}:{{{topic}}}:once:{}", self.prefix, key.as_str())
    }

    /// Until when the log of a topic may have had entries; it outlives the log. `publish.lua` writes it.
    pub(super) fn past(&self, topic: &Topic) -> String {
        format!("{}:{{{topic}}}:past", self.prefix)
    }

    /// The name that releases without scopes gave the record of `key`, if that is another one.
    pub(super) fn once_before(&self, topic: &Topic, key: &IdempotencyKey) -> Option<String> {
        key.is_scoped().then(|| format!("{}:{{{topic}}}:once:{}", self.prefix, key.given()))
    }

    /// The slot of everything of a topic.
    pub(super) fn slot(&self, topic: &Topic) -> Slot {
        layout::slot(topic.as_str().as_bytes())
    }

    /// A channel that only the connection with this number listens to. A number takes it to any slot.
    pub(super) fn probe(&self, number: u64) -> String {
        format!("{}:probe:{{{number:016x}}}", self.prefix)
    }

    /// What a node holds.
    pub(super) fn held(&self, node: &str) -> String {
        format!("{}:held:{{{node}}}", self.prefix)
    }

    /// The nodes that hold something.
    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    /// Whether this is the channel of a probe.
    pub(super) fn is_probe(&self, channel: &[u8]) -> bool {
        channel.strip_prefix(self.prefix.as_bytes()).is_some_and(|rest| rest.starts_with(b":probe:"))
    }

    /// The topic whose live channel this is.
    pub(super) fn topic_of_live<'a>(&self, channel: &'a [u8]) -> Option<&'a str> {
        let rest = channel.strip_prefix(self.prefix.as_bytes())?;
        let topic = rest.strip_prefix(b":{")?.strip_suffix(LIVE.as_bytes())?;
        std::str::from_utf8(topic).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let keys = Keys::new("sluice").unwrap();
        let topic = Topic::parse("orders/7").unwrap();
        assert_eq!(keys.log(&topic), "sluice:{orders/7}:log");
        assert_eq!(keys.live(&topic), "sluice:{orders/7}:live");
        assert_eq!(keys.once(&topic, &IdempotencyKey::parse("k-1").unwrap()), "sluice:{orders/7}:once:k-1");
        assert_eq!((keys.held("7f"), keys.nodes()), ("sluice:held:{7f}".into(), "sluice:nodes".into()));
        assert_eq!(keys.topic_of_live(b"sluice:{orders/7}:live"), Some("orders/7"));
        for other in ["sluice:{orders/7}:log", "other:{orders/7}:live", "sluice:probe:1", "sluice:{:live"] {
            assert_eq!(keys.topic_of_live(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn everything_of_a_topic_is_in_one_slot() {
        let keys = Keys::new("any:prefix").unwrap();
        let topic = Topic::parse("orders/7").unwrap();
        let once = keys.once(&topic, &IdempotencyKey::parse("k-1").unwrap());
        for name in [keys.log(&topic), keys.live(&topic), once] {
            assert_eq!(layout::slot(name.as_bytes()), keys.slot(&topic), "{name}");
        }
        assert!(keys.is_probe(keys.probe(7).as_bytes()) && !keys.is_probe(keys.live(&topic).as_bytes()));
    }

    #[test]
    fn a_prefix_cannot_disturb_the_hash_tag() {
        for bad in ["", "a b", "a{b", "a}b", "é", &"x".repeat(65)] {
            assert!(Keys::new(bad).is_err(), "{bad:?}");
        }
    }
}
