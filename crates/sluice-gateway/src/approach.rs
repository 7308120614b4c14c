//! The approach: everything a stream is sent before it stands in its feed's ring. The opening frame, what
//! it must be told, the events between its client's cursor and the ring.
//!
//! One piece of code for every kind of connection: what differs is where frames go ([`Outlet`]) and which
//! view is joined.

mod pacing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluice_broker::{BrokerError, GapReason, Start, now_ms};
use sluice_fanout::{Fence, Projection, RingFrame};
use sluice_wire::EventId;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::Frame;
use tokio::time::{sleep, timeout};

use self::pacing::Pacing;
use crate::beginning::{PATIENCE, StartingPlace, find};
use crate::catch_up::{CatchUp, LogAccess, Progress};
use crate::control;
use crate::hub::feeds::ViewKey;
use crate::hub::{FeedHold, Hub};
use crate::settings::StreamSettings;
use crate::subscription::{Origin, Subscription};

/// Between attempts to read a log that cannot be read now.
pub(crate) const READ_AGAIN: Duration = Duration::from_millis(250);
/// How long a page is kept for a client that does not take it at once: then it is read again when its turn comes.
const PAGE_KEPT: Duration = Duration::from_millis(100);

/// What every approach on a node shares. Clones are cheap.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) hub: Hub,
    pub(crate) logs: LogAccess,
    pub(crate) streams: StreamSettings,
}

/// Where frames go.
pub(crate) trait Outlet: Send {
    /// What is read and written at once, unless a single event is larger.
    const PAGE_BYTES: usize;

    /// Waits until the client takes more, so that nothing need be in memory for it before.
    fn ready(&mut self) -> impl Future<Output = Result<(), Halt>> + Send;

    /// Writes `frames`, or says why it cannot.
    fn write(&mut self, frames: Vec<RingFrame>) -> impl Future<Output = Result<(), Halt>> + Send;

    /// From now on every frame says how it moves the client from these positions, so that the outlet may
    /// halt in the middle of a page and knows where.
    fn stands_at(&mut self, positions: Vec<EventId>);
}

/// Why an approach goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The client is gone, or the node stops.
    Gone,
    /// The client takes nothing more now.
    Full,
    /// The stream is to be ended: its principal is under a sentence.
    Sentenced,
}

/// A stream on its way into the ring.
#[derive(Debug)]
pub(crate) struct Approach {
    ground: Ground,
    hold: FeedHold,
    catch_up: CatchUp,
    greeting: Greeting,
    pacing: Pacing,
}

/// The first words to a client.
#[derive(Debug)]
struct Greeting {
    retry: Duration,
    projection: Projection,
    unknown_cursor: bool,
    said: bool,
    /// The client was told that events may be late, and not yet that they are no more.
    told_stale: bool,
}

impl Ground {
    pub(crate) fn catch_up(&self, hold: &FeedHold, starts: Vec<Start>, floor_ms: u64) -> CatchUp {
        CatchUp::new(self.hub.clone(), self.logs.clone(), hold.set().clone(), starts, floor_ms)
    }

    /// What the client is told to wait before it comes back.
    pub(crate) fn retry(&self) -> Duration {
        self.jittered(self.streams.retry)
    }

    /// `wait`, differing from client to client.
    pub(crate) fn jittered(&self, wait: Duration) -> Duration {
        control::jittered(wait, self.streams.retry_jitter_percent)
    }
}

impl Approach {
    /// Greets the client. Where its stream begins is found first if it is not fixed yet, waiting for Redis as long as
    /// it takes; the client is greeted meanwhile.
    pub(crate) async fn begin(
        ground: &Ground,
        view: ViewKey,
        subscription: &Subscription,
        place: StartingPlace,
        outlet: &mut impl Outlet,
    ) -> Result<Self, Halt> {
        let unknown_cursor = subscription.origin == Origin::UnknownCursor;
        let mut greeting = Greeting {
            retry: ground.retry(),
            projection: subscription.projection.clone(),
            unknown_cursor,
            said: false,
            told_stale: false,
        };
        let (latest, cursor) = (place.latest(), place.cursor(subscription));
        let (hold, catch_up) = if let StartingPlace::Fixed(hold, catch_up) = place {
            (hold, catch_up)
        } else {
            // Whoever has waited for the head has waited enough.
            let mut patience = if latest.is_some() { Duration::ZERO } else { PATIENCE };
            let beginning = find(ground, view, subscription, latest);
            tokio::pin!(beginning);
            loop {
                tokio::select! {
                    biased;
                    found = &mut beginning, if patience > Duration::ZERO => break found.ok_or(Halt::Gone)?,
                    // Proxies give up on silence, and whoever has gone is noticed by a write only.
                    () = sleep(patience) => {
                        outlet.write(greeting.meanwhile(&ground.hub, cursor.as_ref(), latest.is_some())).await?;
                        patience = ground.streams.heartbeat;
                    }
                }
            }
        };
        outlet.write(greeting.frames(&ground.hub, Some(&catch_up.cursor()), false)).await?;
        outlet.stands_at(catch_up.positions());
        let pacing = Pacing::new(ground.streams.heartbeat);
        Ok(Self { ground: ground.clone(), hold, catch_up, greeting, pacing })
    }

    /// A stream that was in the ring and fell behind it, at `positions`.
    pub(crate) fn resume(ground: &Ground, hold: FeedHold, positions: &[EventId]) -> Self {
        let pasts_ms = ground.hub.pasts_when_opened_ms(hold.set());
        let starts = positions
            .iter()
            .zip(pasts_ms)
            .map(|(position, past_ms)| Start::seen(*position).with_floor(past_ms));
        let starts = starts.collect();
        let floor_ms = ground.hub.floor_at(hold.set(), positions);
        let catch_up = ground.catch_up(&hold, starts, floor_ms);
        let greeting = Greeting {
            retry: ground.retry(),
            projection: hold.set().projection().clone(),
            unknown_cursor: false,
            said: true,
            told_stale: false,
        };
        let pacing = Pacing::new(ground.streams.heartbeat);
        Self { ground: ground.clone(), hold, catch_up, greeting, pacing }
    }

    /// The feed that is approached.
    pub(crate) fn hold(&self) -> &FeedHold {
        &self.hold
    }

    /// Ends the approach; the stream keeps its hold.
    pub(crate) fn into_hold(self) -> FeedHold {
        self.hold
    }

    /// Writes what lies between the client and `fence`. `false` when a newer fence is needed.
    pub(crate) async fn go_to<O: Outlet>(&mut self, fence: &Fence, outlet: &mut O) -> Result<bool, Halt> {
        let catch_up = &mut self.catch_up;
        loop {
            if let Ok(ready) = timeout(PAGE_KEPT, outlet.ready()).await {
                ready?;
            } else {
                catch_up.let_go();
                outlet.ready().await?;
            }
            match catch_up.step(fence, O::PAGE_BYTES).await {
                Ok(Progress::Frames(frames)) => {
                    self.pacing.advanced();
                    outlet.write(frames).await?;
                }
                Ok(Progress::Reached) => {
                    catch_up.let_go();
                    return self.arrive(outlet).await;
                }
                Ok(Progress::Overtaken) => {
                    catch_up.let_go();
                    self.pacing.overtaken(outlet).await?;
                    return Ok(false);
                }
                Err(error) => {
                    catch_up.let_go();
                    report(&error);
                    self.pacing.wait(READ_AGAIN, outlet).await?;
                }
            }
        }
    }
}

impl Approach {
    /// The stream stands at the fence.
    async fn arrive(&mut self, outlet: &mut impl Outlet) -> Result<bool, Halt> {
        if let Some(frame) = self.greeting.relief(&self.ground.hub) {
            outlet.write(vec![frame]).await?;
        }
        Ok(true)
    }
}

impl Greeting {
    /// The opening; a later call only tells where the client stands. A stream of which it is `uncertain` where it
    /// begins is told that the node is stale.
    fn frames(&mut self, hub: &Hub, cursor: Option<&Cursor>, uncertain: bool) -> Vec<RingFrame> {
        let mut frames = Vec::new();
        if !self.said {
            self.said = true;
            frames.push(match cursor {
                Some(cursor) if self.projection.cursor_events => {
                    Frame::cursor_event(Some(self.retry), cursor)
                }
                cursor => Frame::opening(self.retry, cursor),
            });
            if self.unknown_cursor {
                hub.tallies().gap(GapReason::UnknownCursor);
                frames.push(control::unknown_cursor());
            }
            self.told_stale = uncertain || !hub.is_live();
            frames.extend(self.told_stale.then(control::stale));
        } else if let Some(cursor) = cursor {
            frames.push(self.projection.checkpoint(cursor));
        }
        frames.into_iter().map(|frame| RingFrame::whole(frame, None)).collect()
    }

    /// The other half of a `sluice.stale` that only this stream was told. Whoever stood in a ring when the
    /// node came back was told there; a stream that hears it twice is not harmed.
    fn relief(&mut self, hub: &Hub) -> Option<RingFrame> {
        let owed = self.told_stale && hub.is_live();
        self.told_stale &= !owed;
        owed.then(|| RingFrame::whole(control::live(), None))
    }

    /// What a client hears that has to wait: the opening, then heartbeats.
    fn meanwhile(&mut self, hub: &Hub, cursor: Option<&Cursor>, uncertain: bool) -> Vec<RingFrame> {
        if self.said { vec![heartbeat()] } else { self.frames(hub, cursor, uncertain) }
    }
}

fn heartbeat() -> RingFrame {
    RingFrame::whole(Frame::comment(""), None)
}

/// Every waiting stream comes here several times a second: one line a minute speaks for all of them.
pub(crate) fn report(error: &BrokerError) {
    static LOGGED_MINUTE: AtomicU64 = AtomicU64::new(0);
    let minute = now_ms() / 60_000;
    if LOGGED_MINUTE.swap(minute, Ordering::Relaxed) != minute {
        tracing::warn!(%error, "cannot read a log for streams; retrying");
    }
}
