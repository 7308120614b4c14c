//! Streams on sockets of their own: from the moment they leave hyper to a slot in a shard, and back to their
//! log whenever the ring has passed them.
//!
//! A turn begins when the socket can be written to and ends in the ring, or when the socket is full: then it
//! is parked in its shard with its positions and the rest of at most one frame. So a client that reads a byte
//! a second holds neither a task nor a reader.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use sluice_fanout::{FeedId, Fence, Framing, Host, Joining, Laggard, Left, RingFrame};
use sluice_wire::EventId;
use sluice_wire::sse::Frame;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::admission::Place;
use crate::approach::{Approach, Halt, Outlet};
use crate::control;
use crate::hub::feeds::ViewKey;
use crate::runs::Runs;
use crate::settings::OnLag;
use crate::subscription::Subscription;

/// A stream that was admitted and whose socket has left hyper.
pub(crate) struct Departed {
    pub(crate) socket: TcpStream,
    pub(crate) framing: Framing,
    /// The response's head.
    pub(crate) head: Bytes,
    pub(crate) subscription: Subscription,
    pub(crate) place: Place,
}

/// Brings a stream from its head into the ring.
pub(crate) fn start(runs: &Arc<Runs>, departed: Departed) {
    let own = runs.clone();
    runs.spawn(async move {
        let Departed { socket, framing, head, subscription, place } = departed;
        let shard = own.ground.hub.lightest_shard();
        let stall = own.ground.streams.write_stall;
        let mut outlet = ToSocket { socket, framing, stall, positions: None, rest: None };
        if outlet.write_all(&head).await.is_err() {
            return;
        }
        let view = ViewKey::Shard(shard);
        let begun = Approach::begin(&own.ground, view, &subscription, &mut outlet).await;
        if let Ok(approach) = begun {
            let ends_at_s = ends_at_s(&own, shard);
            Turn { runs: own, shard, approach, outlet, place, ends_at_s, principal: 0 }.run().await;
        }
    });
}

/// When a stream that begins now has reached its greatest age, differing from stream to stream.
fn ends_at_s(runs: &Runs, shard: u16) -> u32 {
    let max_age = runs.ground.streams.max_age.map(|age| control::jittered(age, 10));
    max_age.map_or(u32::MAX, |age| runs.ground.hub.shard(shard).seconds_from_now(age))
}

/// A stream's way to the ring.
struct Turn {
    runs: Arc<Runs>,
    shard: u16,
    approach: Approach,
    outlet: ToSocket,
    place: Place,
    ends_at_s: u32,
    principal: u32,
}

impl Turn {
    async fn run(mut self) {
        let hub = self.runs.ground.hub.clone();
        let shard = hub.shard(self.shard);
        let feed = self.approach.hold().feed();
        loop {
            let pinned = Pinned::take(&self.runs, self.shard, feed).await;
            let Some(pinned) = pinned else { return };
            match self.approach.go_to(&pinned.fence, &mut self.outlet).await {
                Ok(true) => {
                    if let Some(joining) = self.into_joining(pinned.fence.positions.clone(), None) {
                        shard.join(joining, pinned.use_up().sequence);
                    }
                    return;
                }
                Ok(false) => {}
                Err(Halt::Gone) => return,
                Err(Halt::Full) => {
                    drop(pinned);
                    let positions = self.outlet.positions.take().unwrap_or_default().into_boxed_slice();
                    let rest = self.outlet.rest.take();
                    if let Some(joining) = self.into_joining(positions, rest) {
                        shard.park(joining);
                    }
                    return;
                }
            }
        }
    }

    /// The stream as a shard takes it; the slot then has its hold and its place.
    fn into_joining(
        self,
        positions: Box<[EventId]>,
        rest: Option<(RingFrame, u32)>,
    ) -> Option<Joining<OwnedFd>> {
        let Self { approach, outlet, place, ends_at_s, principal, .. } = self;
        let socket = outlet.socket.into_std().ok()?.into();
        let hold = approach.into_hold();
        let feed = hold.feed();
        hold.keep();
        place.keep();
        Some(Joining { socket, feed, framing: outlet.framing, ends_at_s, principal, positions, rest })
    }
}

/// A fence that is given back unless it is used.
struct Pinned {
    runs: Arc<Runs>,
    shard: u16,
    feed: FeedId,
    fence: Fence,
    used: bool,
}

impl Pinned {
    async fn take(runs: &Arc<Runs>, shard: u16, feed: FeedId) -> Option<Self> {
        let (reply, fence) = oneshot::channel();
        let own = runs.clone();
        runs.ground.hub.shard(shard).fence(feed, move |fence| {
            let Some(fence) = fence else { return };
            // Whoever asked may be gone; the pin is given back with what is not received.
            let _ = reply.send(Self { runs: own, shard, feed, fence, used: false });
        });
        fence.await.ok()
    }

    fn use_up(mut self) -> Fence {
        self.used = true;
        self.fence.clone()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !self.used {
            self.runs.ground.hub.shard(self.shard).unpin(self.feed);
        }
    }
}

/// An approach that writes to a socket.
struct ToSocket {
    socket: TcpStream,
    framing: Framing,
    /// A client that takes nothing for so long is given up.
    stall: Duration,
    /// Where the client stands, once frames say how they move it.
    positions: Option<Vec<EventId>>,
    /// What is left of a frame that the socket took in part.
    rest: Option<(RingFrame, u32)>,
}

impl ToSocket {
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let written = tokio::time::timeout(self.stall, self.socket.write_all(bytes)).await;
        written.ok().and_then(Result::ok).ok_or(Halt::Gone)
    }

    /// Offers bytes without waiting; how many were taken.
    fn offer(&self, bytes: &[u8]) -> Result<usize, Halt> {
        // Not tokio's `try_write`: that believes a socket full until its driver has said otherwise.
        let socket = socket2::SockRef::from(&self.socket);
        let mut taken = 0;
        while taken < bytes.len() {
            match socket.send(&bytes[taken..]) {
                Ok(0) => return Err(Halt::Gone),
                Ok(more) => taken += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Halt::Gone),
            }
        }
        Ok(taken)
    }

    /// Notes how far `taken` bytes of `frames` bring the client. Whether that is all of them.
    fn note(&mut self, frames: Vec<RingFrame>, mut taken: usize) -> bool {
        for frame in frames {
            if taken == 0 {
                return false;
            }
            if let (Some(step), Some(positions)) = (frame.step(), &mut self.positions) {
                positions[usize::from(step.index)] = step.to;
            }
            let len = frame.len(self.framing);
            if taken < len {
                self.rest = Some((frame, u32::try_from(taken).unwrap_or(u32::MAX)));
                return false;
            }
            taken -= len;
        }
        true
    }

    /// Writes what was left of a frame; whether nothing is left now.
    fn write_rest(&mut self) -> Result<bool, Halt> {
        let Some((frame, offset)) = self.rest.take() else { return Ok(true) };
        let mut bytes = Vec::new();
        frame.copy_from(self.framing, offset as usize, &mut bytes);
        let taken = self.offer(&bytes)?;
        if taken < bytes.len() {
            self.rest = Some((frame, offset + u32::try_from(taken).unwrap_or(u32::MAX)));
        }
        Ok(self.rest.is_none())
    }
}

impl Outlet for ToSocket {
    async fn write(&mut self, frames: Vec<RingFrame>) -> Result<(), Halt> {
        let mut bytes = Vec::with_capacity(frames.iter().map(|frame| frame.len(self.framing)).sum());
        frames.iter().for_each(|frame| frame.copy_from(self.framing, 0, &mut bytes));
        if self.positions.is_none() {
            return self.write_all(&bytes).await;
        }
        let taken = self.offer(&bytes)?;
        if self.note(frames, taken) { Ok(()) } else { Err(Halt::Full) }
    }

    fn stands_at(&mut self, positions: Vec<EventId>) {
        self.positions = Some(positions);
    }
}

/// What the shards of a node tell it.
#[derive(Default)]
pub(crate) struct Harbour {
    runs: OnceLock<Arc<Runs>>,
}

impl Harbour {
    /// Shards start before what their streams run on.
    pub(crate) fn open(&self, runs: Arc<Runs>) {
        self.runs.get_or_init(|| runs);
    }
}

impl Host for Harbour {
    fn left(&self, left: Left<OwnedFd>) {
        if let Some(runs) = self.runs.get() {
            runs.ground.hub.leave(left.feed);
            runs.admission.leave(left.reason);
        }
    }

    fn lagging(&self, stream: Laggard<OwnedFd>) {
        let Some(runs) = self.runs.get() else { return };
        runs.ground.hub.tallies().lagged();
        match runs.ground.streams.on_lag {
            OnLag::CatchUp => catch_up(runs, stream),
            OnLag::Disconnect => {
                runs.ground.hub.leave(stream.feed);
                runs.admission.leave("lag");
            }
        }
    }

    fn farewell(&self) -> Frame {
        let retry = self.runs.get().map(|runs| runs.ground.retry());
        control::farewell(retry.unwrap_or(Duration::from_secs(2)))
    }

    fn delivered(&self, published_ms: u64) {
        if let Some(runs) = self.runs.get() {
            runs.ground.hub.tallies().delivered(published_ms);
        }
    }
}

/// Feeds a stream from its log until it is in the ring again, or full.
fn catch_up(runs: &Arc<Runs>, stream: Laggard<OwnedFd>) {
    let own = runs.clone();
    let Some(hold) = runs.ground.hub.resume(stream.feed) else { return };
    let mut place = runs.admission.resume();
    runs.spawn(async move {
        let Laggard { socket, framing, ends_at_s, principal, positions, rest, feed: _ } = stream;
        let Ok(socket) = TcpStream::from_std(std::net::TcpStream::from(socket)) else {
            place.ends_by("poller");
            return;
        };
        let stall = own.ground.streams.write_stall;
        let approach = Approach::resume(&own.ground, hold, &positions);
        let mut outlet = ToSocket { socket, framing, stall, positions: Some(positions.into_vec()), rest };
        let Some(ViewKey::Shard(shard)) = own.ground.hub.view_of(approach.hold().feed()) else { return };
        match outlet.write_rest() {
            Ok(true) => {
                Turn { runs: own, shard, approach, outlet, place, ends_at_s, principal }.run().await;
            }
            Ok(false) => {
                let positions = outlet.positions.take().unwrap_or_default().into_boxed_slice();
                let rest = outlet.rest.take();
                let hub = own.ground.hub.clone();
                let turn = Turn { runs: own, shard, approach, outlet, place, ends_at_s, principal };
                if let Some(joining) = turn.into_joining(positions, rest) {
                    hub.shard(shard).park(joining);
                }
            }
            Err(_) => {}
        }
    });
}
