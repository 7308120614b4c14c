//! Holdings of nodes that share this broker, each with the end of its lease. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Holding;

#[derive(Debug, Default)]
pub(super) struct Holdings {
    nodes: HashMap<String, Held>,
}

#[derive(Debug, Default)]
struct Held {
    ends_at_ms: u64,
    counts: HashMap<Arc<str>, u32>,
}

impl Holdings {
    pub(super) fn hold(&mut self, holding: Holding<'_>, now_ms: u64) -> Vec<u64> {
        let Holding { node, held, whole, lease, asked } = holding;
        self.nodes.retain(|_, held| held.ends_at_ms > now_ms);
        let own = self.nodes.entry(node.to_owned()).or_default();
        own.ends_at_ms = now_ms.saturating_add(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        if whole {
            own.counts.clear();
        }
        for (name, count) in held {
            match count {
                0 => own.counts.remove(name),
                count => own.counts.insert(name.clone(), *count),
            };
        }
        let others = |name: &Arc<str>| {
            let others = self.nodes.iter().filter(|(other, _)| *other != node);
            others.filter_map(|(_, held)| held.counts.get(name)).map(|count| u64::from(*count)).sum()
        };
        asked.iter().map(others).collect()
    }
}
