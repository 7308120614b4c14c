//! Histories: what may happen to nodes and clients.

use proptest::prelude::*;

use super::client::Begin;

/// What is taken off confirmed moments. Failovers lose no more than that, and clocks step back by less.
pub(super) const MARGIN_MS: u64 = 5;

/// Room for a single page, whatever it takes.
pub(super) const LITTLE_MEMORY: usize = 1 << 10;

/// What a history is played on.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) retained: usize,
    pub(super) lost_percent: [u8; 2],
    pub(super) slow_ms: [u64; 2],
    pub(super) disconnects: bool,
    /// Memory of each node for what is read of logs. Bytes.
    pub(super) memory: usize,
}

/// A step of a history.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Publish {
        topic: usize,
        count: usize,
        big: bool,
    },
    Plain {
        topic: usize,
    },
    Wait {
        ms: u64,
    },
    Open {
        node: usize,
        topics: usize,
        begin: Begin,
    },
    Read {
        client: usize,
        pieces: usize,
    },
    Drop {
        client: usize,
        partly: bool,
    },
    Resume {
        client: usize,
        node: usize,
    },
    Forgo {
        client: usize,
    },
    Add {
        client: usize,
        topic: usize,
    },
    Cut {
        node: usize,
    },
    Heal {
        node: usize,
    },
    Hold {
        node: usize,
    },
    Release {
        node: usize,
    },
    Fail {
        node: usize,
        times: u32,
    },
    Beat {
        node: usize,
    },
    /// The logs lose their newest events, and their clock goes on behind where it was.
    FailOver {
        lag_ms: u64,
        behind_ms: u64,
    },
}

impl Setting {
    /// Nothing goes wrong by itself, and nothing is trimmed.
    pub(super) fn calm() -> Self {
        Self {
            seed: 0,
            retained: usize::MAX,
            lost_percent: [0; 2],
            slow_ms: [0; 2],
            disconnects: false,
            memory: 64 << 20,
        }
    }

    pub(super) fn any() -> impl Strategy<Value = Self> {
        let retained = prop_oneof![Just(usize::MAX), Just(60), Just(15)];
        let memory = prop_oneof![3 => Just(64 << 20), 1 => Just(LITTLE_MEMORY)];
        (any::<u64>(), retained, any::<[bool; 2]>(), any::<[bool; 2]>(), prop::bool::weighted(0.2), memory)
            .prop_map(|(seed, retained, lossy, slow, disconnects, memory)| Self {
                seed,
                retained,
                lost_percent: lossy.map(|lossy| if lossy { 30 } else { 0 }),
                slow_ms: slow.map(|slow| if slow { 6 } else { 0 }),
                disconnects,
                memory,
            })
    }
}

impl Op {
    /// Any step with topics among the lowest bits of `topics_mask`.
    pub(super) fn any(topics_mask: usize, failovers: bool) -> impl Strategy<Value = Self> {
        let topics_max = usize::try_from(topics_mask.count_ones()).unwrap();
        let begin = prop_oneof![
            Just(Begin::Live),
            Just(Begin::Earliest),
            (0..20_usize).prop_map(Begin::Last),
            any::<usize>().prop_map(Begin::After),
        ];
        let (client, node) = (any::<usize>, || 0..2_usize);
        prop_oneof![
            8 => (0..topics_max, 1..8_usize, prop::bool::weighted(0.05))
                .prop_map(|(topic, count, big)| Self::Publish { topic, count, big }),
            1 => (0..topics_max).prop_map(|topic| Self::Plain { topic }),
            6 => (0..40_u64).prop_map(|ms| Self::Wait { ms }),
            3 => (node(), 1..=topics_mask, begin)
                .prop_map(|(node, topics, begin)| Self::Open { node, topics, begin }),
            10 => (client(), 1..6_usize).prop_map(|(client, pieces)| Self::Read { client, pieces }),
            3 => (client(), any::<bool>()).prop_map(|(client, partly)| Self::Drop { client, partly }),
            4 => (client(), node()).prop_map(|(client, node)| Self::Resume { client, node }),
            1 => client().prop_map(|client| Self::Forgo { client }),
            2 => (client(), 0..topics_max).prop_map(|(client, topic)| Self::Add { client, topic }),
            1 => node().prop_map(|node| Self::Cut { node }),
            1 => node().prop_map(|node| Self::Heal { node }),
            1 => node().prop_map(|node| Self::Hold { node }),
            1 => node().prop_map(|node| Self::Release { node }),
            1 => (node(), 1..4_u32).prop_map(|(node, times)| Self::Fail { node, times }),
            1 => node().prop_map(|node| Self::Beat { node }),
            1 => (0..=MARGIN_MS - 1, 0..MARGIN_MS)
                .prop_map(move |(lag_ms, behind_ms)| match failovers {
                    true => Self::FailOver { lag_ms, behind_ms },
                    false => Self::Wait { ms: lag_ms },
                }),
        ]
    }
}
