//! The JSON lines between the tool and its generators: one answer for each command, in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::checker::Tally;
use crate::scenario::{Opens, Part};

/// What a generator is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Forget everything and prepare these streams.
    Plan(Box<Plan>),
    /// Begin to connect the groups that open then.
    Open {
        /// Which groups.
        opens: Opens,
    },
    /// A step begins: reports count from here.
    Begin,
    /// All is published: the last number of each topic, by its index.
    Last {
        /// Zero for a topic without events.
        last: Vec<u64>,
    },
    /// Say how far you are.
    Status,
    /// Say what the step brought.
    Report,
    /// Close all streams.
    Close,
}

/// What a generator is to hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The part; a generator takes every `workers`-th of its streams.
    pub(crate) part: Part,
    /// Which of the generators this is, from 0.
    pub(crate) worker: u32,
    /// How many generators there are.
    pub(crate) workers: u32,
    /// At most that many streams in all (for a warm-up).
    pub(crate) streams_max: u32,
    /// The servers; the streams are dealt to them in turn.
    pub(crate) servers: Vec<SocketAddr>,
    /// How streams are asked for.
    pub(crate) dialect: Dialect,
    /// Streams that this generator opens a second.
    pub(crate) open_per_second: f64,
    /// For groups that resume: the `Last-Event-ID`, by the group's name.
    pub(crate) cursors: BTreeMap<String, String>,
    /// Whether the prefilled events were published before these streams open.
    pub(crate) prefilled: bool,
}

/// How a server is asked for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Dialect {
    /// `GET /v1/events?topic=a&topic=b`.
    Sluice,
    /// `GET /sub/a,b`.
    Nchan,
    /// `GET /`.
    Floor,
}

/// What a generator answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The command was carried out.
    Done,
    /// To `Status`.
    Status(Status),
    /// To `Report`.
    Report(Box<Report>),
}

/// How far a generator is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// When this was so.
    pub(crate) at_ns: u64,
    /// Streams that are open.
    pub(crate) open: u64,
    /// Streams that are not yet, or not at the moment.
    pub(crate) waiting: u64,
    /// Streams that are given up.
    pub(crate) failed: u64,
    /// Events received since the plan.
    pub(crate) received: u64,
    /// Events that streams still lack up to `Last`.
    pub(crate) behind: u64,
}

/// What happened to streams, apart from events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Response heads received.
    pub(crate) opened: u64,
    /// Streams that the server ended.
    pub(crate) ended: u64,
    /// Streams that were opened again after an end or by churn.
    pub(crate) reopened: u64,
    /// Reopened without a cursor.
    pub(crate) without_cursor: u64,
    /// Streams that were given up.
    pub(crate) failed: u64,
    /// `sluice.shed` events.
    pub(crate) sheds: u64,
    /// `sluice.gap` events.
    pub(crate) gaps: u64,
    /// Other control events.
    pub(crate) controls: u64,
}

impl Counts {
    /// All counts, to be treated alike.
    fn all(&mut self) -> [&mut u64; 8] {
        let Self { opened, ended, reopened, without_cursor, failed, sheds, gaps, controls } = self;
        [opened, ended, reopened, without_cursor, failed, sheds, gaps, controls]
    }

    /// What was added since `earlier`.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        let mut earlier = *earlier;
        self.all().into_iter().zip(earlier.all()).for_each(|(now, then)| *now -= *then);
        self
    }

    /// Adds the counts of another process.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.all().into_iter().zip(other.all()).for_each(|(sum, more)| *sum += *more);
    }
}

/// What a step brought in one generator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What the lanes saw.
    pub(crate) tally: Tally,
    /// Events that never came, though all waited.
    pub(crate) behind: u64,
    /// What happened to streams.
    pub(crate) counts: Counts,
    /// Why streams failed, since the plan.
    pub(crate) failures: BTreeMap<String, u64>,
    /// In the order of the part's groups.
    pub(crate) groups: Vec<GroupReport>,
}

/// What a step brought to one group in one generator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GroupReport {
    /// Events received.
    pub(crate) received: u64,
    /// Recorded latencies in microseconds and how often each was seen.
    pub(crate) latencies_us: Vec<(u64, u64)>,
}
