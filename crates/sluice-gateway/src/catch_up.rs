//! Catch-up: how a stream gets from its client's cursor to a fence of its feed.
//!
//! The events of each topic between the two are taken from its window or its log and merged by id, so that
//! the client sees them in the order in which it would have seen them live, and each carries the cursor of
//! its moment. At the fence the caller joins the ring; if that has moved on, the next fence is the next goal.
//! Nothing is lost and nothing repeated: what is written is exactly what lies behind the positions, and the
//! ring begins exactly behind the fence.

mod memory;
mod merging;
mod reads;
mod source;

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Broker, BrokerError, ReplaySettings, Start};
use sluice_fanout::{Fence, RingFrame, TopicSet, cursor_of};
use sluice_wire::EventId;
use sluice_wire::cursor::Cursor;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use self::memory::ReplayMemory;
pub(crate) use self::memory::{Grant, PageMemory};
pub(crate) use self::reads::{ReadBudget, SharedReads};
use self::source::Source;
use crate::hub::Hub;
use crate::tallies::Tallies;

/// How long a step waits for the node to get somewhere before it fails, to be taken again.
const REACHED_WITHIN: Duration = Duration::from_secs(1);

/// How logs are read for streams that catch up. Clones share the budget.
#[derive(Debug, Clone)]
pub(crate) struct LogAccess {
    pub(crate) broker: Arc<dyn Broker>,
    /// Reads that may be under way for all streams of the node.
    pub(crate) readers: Arc<Semaphore>,
    /// Memory for what they bring.
    pub(crate) memory: PageMemory,
    pub(crate) replay: ReplaySettings,
}

impl LogAccess {
    /// Access to the logs of `broker` within `budget`.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        budget: ReadBudget,
        replay: ReplaySettings,
        tallies: &Tallies,
    ) -> Self {
        let ReadBudget { readers, memory } = budget.clone();
        Self { broker: Arc::new(SharedReads::new(broker, budget, tallies.clone())), readers, memory, replay }
    }
}

/// What a step towards a fence came to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The next frames to write, in order.
    Frames(Vec<RingFrame>),
    /// The stream stands at the fence.
    Reached,
    /// The fence is none to go to: the client knows more and the node has caught up meanwhile, or the log was
    /// rewound. Take a new one.
    Overtaken,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct CatchUp {
    hub: Hub,
    logs: LogAccess,
    set: Arc<TopicSet>,
    sources: Vec<Source>,
    floor_ms: u64,
    /// There is one whenever a source holds events of a log.
    grant: Option<Grant>,
}

impl CatchUp {
    /// A catch-up from `starts`, one a topic of `set`; `floor_ms` is what the client's cursor vouches for.
    pub(crate) fn new(
        hub: Hub,
        logs: LogAccess,
        set: Arc<TopicSet>,
        starts: Vec<Start>,
        floor_ms: u64,
    ) -> Self {
        let jumps = hub.jumps(&set);
        let sources = set
            .members()
            .iter()
            .zip(starts.into_iter().zip(jumps))
            .map(|((key, topic), (start, jumps))| {
                Source::new(*key, topic.clone(), start.with_floor(floor_ms), jumps)
            })
            .collect();
        Self { hub, logs, set, sources, floor_ms, grant: None }
    }

    /// The cursor of the client as of the frames handed out so far.
    pub(crate) fn cursor(&self) -> Cursor {
        cursor_of(&self.set, &self.positions(), self.floor_ms)
    }

    /// Where the client stands, by topic.
    pub(crate) fn positions(&self) -> Vec<EventId> {
        self.sources.iter().map(Source::position).collect()
    }

    /// Keeps nothing in memory that can be read again: to be called before anything is waited for between two
    /// steps.
    pub(crate) fn let_go(&mut self) {
        self.sources.iter_mut().for_each(Source::let_go);
        self.grant = None;
    }

    /// The next step towards `fence`: frames of about `bytes` in all, unless a single one is larger.
    ///
    /// # Errors
    ///
    /// Those of the log. The step may be taken again.
    pub(crate) async fn step(&mut self, fence: &Fence, bytes: usize) -> Result<Progress, BrokerError> {
        if self.held_bytes() == 0 {
            // Others may be waiting for it.
            self.grant = None;
        }
        self.note_pasts(fence);
        if self.note_jumps() || !self.settle_those_ahead(fence, bytes).await? {
            return Ok(Progress::Overtaken);
        }
        loop {
            for index in 0..self.sources.len() {
                self.fill(index, fence.positions[index], bytes).await?;
            }
            if self.note_jumps() || self.leave_beyond(fence).await? {
                return Ok(Progress::Overtaken);
            }
            let frames = self.merge(fence, bytes);
            if !frames.is_empty() {
                return Ok(Progress::Frames(frames));
            }
            if self.is_through(fence) {
                self.sources.iter_mut().zip(&fence.positions).for_each(|(source, to)| source.arrive(*to));
                return Ok(Progress::Reached);
            }
        }
    }

    /// Goes back to where the client stands in topics of which the log was rewound since. Whether there are any:
    /// then the fence, too, may name what is lost.
    fn note_jumps(&mut self) -> bool {
        let jumps = self.hub.jumps(&self.set);
        self.sources.iter_mut().zip(jumps).fold(false, |any, (source, jumps)| source.note_jumps(jumps) || any)
    }

    /// Tells what is missing of topics whose logs are gone, which no read would show.
    fn note_pasts(&mut self, fence: &Fence) {
        let pasts = self.hub.pasts(&self.set);
        for ((source, past), to) in self.sources.iter_mut().zip(pasts).zip(&fence.positions) {
            source.note_past(past, *to);
        }
    }

    fn is_through(&self, fence: &Fence) -> bool {
        self.sources.iter().zip(&fence.positions).all(|(source, to)| source.is_through(*to))
    }

    /// Looks at the topics whose client saw more than the fence. Whether all of them may go on to it.
    async fn settle_those_ahead(&mut self, fence: &Fence, bytes: usize) -> Result<bool, BrokerError> {
        for index in 0..self.sources.len() {
            let to = fence.positions[index];
            let source = &mut self.sources[index];
            if source.position() <= to || source.peek().is_some() {
                continue;
            }
            let (stands, floor_ms) = self.hub.standing(source.key());
            if !source.is_at_event() && floor_ms >= source.position().ms {
                if stands > to {
                    // What came since may be what the client has.
                    return Ok(false);
                }
                // A moment of which this node, too, has everything: nothing lies between.
                continue;
            }
            if self.reach(index, self.sources[index].position()).await? > to {
                return Ok(false);
            }
            if self.sources[index].is_at_event() {
                // The log itself does not reach the position: Redis lost it. The replay says so.
                self.read(index, to, bytes, |_| false).await?;
                self.sources[index].take_doubt();
                let untold = self.sources[index].peek().is_none();
                if untold && self.reach(index, self.sources[index].position()).await? > to {
                    // The log has passed the position meanwhile: whether it has it shows behind another fence.
                    self.sources[index].go_back();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn fill(&mut self, index: usize, to: EventId, bytes: usize) -> Result<(), BrokerError> {
        let most = self.page_events_max();
        while self.sources[index].is_thirsty(to) {
            if self.sources[index].fill_from_window(&self.hub, to, most) {
                continue;
            }
            let hub = self.hub.clone();
            self.read(index, to, bytes, |source| source.fill_from_window(&hub, to, most)).await?;
        }
        self.settle_doubt(index, to).await
    }

    /// Reads a page of a topic's log when there is room for it and a reader, unless `otherwise` makes that needless
    /// meanwhile: whoever held either before may have brought the window what is wanted here.
    async fn read(
        &mut self,
        index: usize,
        to: EventId,
        bytes: usize,
        otherwise: impl FnOnce(&mut Source) -> bool,
    ) -> Result<(), BrokerError> {
        let page_events = self.obtain_room(index, bytes).await;
        let reader = self.logs.readers.acquire().await;
        if !otherwise(&mut self.sources[index]) {
            let replay = ReplaySettings { page_events, ..self.logs.replay };
            self.sources[index].fill_from_log(&self.hub, &self.logs.broker, to, replay).await?;
        }
        drop(reader);
        let held = self.held_bytes();
        self.grant.iter_mut().for_each(|grant| grant.cover(held));
        Ok(())
    }

    /// Has the node brought to `id` in a topic; where it stands then. An error if that takes long: what is in memory
    /// here is not to wait for a log that cannot be read.
    async fn reach(&self, index: usize, id: EventId) -> Result<EventId, BrokerError> {
        let reached = timeout(REACHED_WITHIN, self.hub.reach(self.sources[index].topic(), id)).await;
        reached.map_err(|_| BrokerError::Unavailable("the node does not get to where the client was".into()))
    }

    /// Events of a page of each topic at most.
    fn page_events_max(&self) -> usize {
        (self.logs.replay.page_events / self.sources.len()).max(8)
    }

    /// Obtains memory for a page of each topic, of about `bytes` in all, unless there is some already. How many
    /// events a page of the topic may have.
    async fn obtain_room(&mut self, index: usize, bytes: usize) -> usize {
        let most = self.page_events_max();
        let portion = (self.logs.memory.share(bytes) / self.sources.len()).max(1);
        let sizes = self.hub.event_bytes(&self.set);
        if self.grant.is_none() {
            // There is always room for one event of each, however large.
            let bytes = sizes.iter().map(|size| portion.max(*size)).sum();
            self.grant = self.logs.memory.try_grant(bytes);
            if self.grant.is_none() {
                self.let_go();
                self.grant = Some(self.logs.memory.grant(bytes).await);
            }
        }
        match portion / sizes[index] {
            many if many >= most => most,
            // Clients that ask at about the same time ask for the same page.
            few => 1 << few.max(1).ilog2(),
        }
    }

    fn held_bytes(&self) -> usize {
        self.sources.iter().map(Source::held_bytes).sum()
    }

    /// A rewound log may go on behind the fence only: the node is brought there first. Whether there is one.
    async fn leave_beyond(&mut self, fence: &Fence) -> Result<bool, BrokerError> {
        let mut any = false;
        for (index, to) in fence.positions.iter().enumerate() {
            let Some(beyond) = self.sources[index].rewound_beyond(*to) else { continue };
            self.reach(index, beyond).await?;
            self.sources[index].go_back();
            any = true;
        }
        Ok(any)
    }

    /// A client may be the first to find that the log was rewound: the node looks for itself, and a fence that
    /// names what is lost gives way to another.
    async fn settle_doubt(&mut self, index: usize, to: EventId) -> Result<(), BrokerError> {
        if self.sources[index].take_doubt() {
            self.reach(index, to.after()).await?;
        }
        Ok(())
    }
}
