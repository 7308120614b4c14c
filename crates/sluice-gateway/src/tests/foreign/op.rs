//! What may happen in a history with foreign hands.

use proptest::prelude::*;

/// What a history is played on.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) retained: Option<u64>,
    /// A log without events for so long is forgotten. Milliseconds of the test's clock.
    pub(super) idle_ms: Option<u64>,
    pub(super) lost_percent: [u8; 2],
    pub(super) slow_ms: [u64; 2],
}

/// Where a client begins that has no cursor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    Live,
    Earliest,
    Last(usize),
}

/// The id of a foreign entry, compared with the clock and with the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id {
    Now,
    /// Directly behind the last one.
    Next,
    /// The beginning of time, which a log takes as its first entry alone.
    Beginning,
    Past,
    Ahead,
    /// Of the last millisecond that there is.
    Huge,
    Greatest,
}

/// What a forged announcement says of the event before.
#[derive(Debug, Clone, Copy)]
pub(super) enum Previous {
    None,
    Last,
    Wrong,
}

/// A step of a history.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Publish {
        topic: usize,
        count: usize,
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
    },
    Resume {
        client: usize,
        node: usize,
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
    /// An entry that is an event, or one that is left out.
    Add {
        topic: usize,
        id: Id,
        event: bool,
    },
    /// The newest entry but so many.
    Delete {
        topic: usize,
        place: usize,
    },
    Trim {
        topic: usize,
        keep: usize,
    },
    /// `DEL`, or `RENAME` to a spare key.
    Lose {
        topic: usize,
        kept: bool,
    },
    Keep {
        topic: usize,
    },
    PutBack {
        topic: usize,
    },
    SetLast {
        topic: usize,
        id: Id,
    },
    WrongType {
        topic: usize,
        wrong: bool,
    },
    Forge {
        topic: usize,
        id: Id,
        previous: Previous,
    },
    Garbage {
        topic: usize,
    },
}

impl Setting {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let retained = prop_oneof![3 => Just(None), 1 => Just(Some(15))];
        // Shorter and longer than what is taken off confirmed moments.
        let idle_ms = prop_oneof![4 => Just(None), 1 => Just(Some(3)), 1 => Just(Some(30))];
        (any::<u64>(), retained, idle_ms, any::<[bool; 2]>(), any::<[bool; 2]>()).prop_map(
            |(seed, retained, idle_ms, lossy, slow)| Self {
                seed,
                retained,
                idle_ms,
                lost_percent: lossy.map(|lossy| if lossy { 30 } else { 0 }),
                slow_ms: slow.map(|slow| if slow { 6 } else { 0 }),
            },
        )
    }
}

impl Id {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            6 => Just(Self::Now),
            2 => Just(Self::Next),
            1 => Just(Self::Beginning),
            1 => Just(Self::Past),
            2 => Just(Self::Ahead),
            1 => Just(Self::Huge),
            1 => Just(Self::Greatest),
        ]
    }
}

impl Op {
    /// Any step with so many topics.
    pub(super) fn any(topics: usize) -> impl Strategy<Value = Self> {
        prop_oneof![3 => Self::any_of_clients(topics), 1 => Self::any_of_nodes(), 3 => Self::any_foreign(topics)]
    }

    fn any_of_clients(topics: usize) -> impl Strategy<Value = Self> {
        let begin = prop_oneof![2 => Just(Begin::Live), 1 => Just(Begin::Earliest), 2 => (0..5_usize).prop_map(Begin::Last)];
        let (client, node, sets) = (any::<usize>, || 0..2_usize, 1..1_usize << topics);
        prop_oneof![
            4 => (0..topics, 1..4_usize).prop_map(|(topic, count)| Self::Publish { topic, count }),
            6 => (0..60_u64).prop_map(|ms| Self::Wait { ms }),
            3 => (node(), sets, begin).prop_map(|(node, topics, begin)| Self::Open { node, topics, begin }),
            8 => (client(), 1..6_usize).prop_map(|(client, pieces)| Self::Read { client, pieces }),
            2 => client().prop_map(|client| Self::Drop { client }),
            4 => (client(), node()).prop_map(|(client, node)| Self::Resume { client, node }),
        ]
    }

    fn any_of_nodes() -> impl Strategy<Value = Self> {
        let node = || 0..2_usize;
        prop_oneof![
            1 => node().prop_map(|node| Self::Cut { node }),
            2 => node().prop_map(|node| Self::Heal { node }),
            1 => node().prop_map(|node| Self::Hold { node }),
            2 => node().prop_map(|node| Self::Release { node }),
            1 => (node(), 1..4_u32).prop_map(|(node, times)| Self::Fail { node, times }),
            2 => node().prop_map(|node| Self::Beat { node }),
        ]
    }

    fn any_foreign(topics: usize) -> impl Strategy<Value = Self> {
        let topic = || 0..topics;
        let previous = prop_oneof![Just(Previous::None), Just(Previous::Last), Just(Previous::Wrong)];
        prop_oneof![
            8 => (topic(), Id::any(), any::<bool>()).prop_map(|(topic, id, event)| Self::Add { topic, id, event }),
            2 => (topic(), 0..3_usize).prop_map(|(topic, place)| Self::Delete { topic, place }),
            2 => (topic(), 0..4_usize).prop_map(|(topic, keep)| Self::Trim { topic, keep }),
            3 => (topic(), any::<bool>()).prop_map(|(topic, kept)| Self::Lose { topic, kept }),
            1 => topic().prop_map(|topic| Self::Keep { topic }),
            2 => topic().prop_map(|topic| Self::PutBack { topic }),
            1 => (topic(), Id::any()).prop_map(|(topic, id)| Self::SetLast { topic, id }),
            1 => topic().prop_map(|topic| Self::WrongType { topic, wrong: true }),
            2 => topic().prop_map(|topic| Self::WrongType { topic, wrong: false }),
            2 => (topic(), Id::any(), previous)
                .prop_map(|(topic, id, previous)| Self::Forge { topic, id, previous }),
            1 => topic().prop_map(|topic| Self::Garbage { topic }),
        ]
    }
}
