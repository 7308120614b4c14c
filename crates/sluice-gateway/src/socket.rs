//! Streams on sockets of their own: from the moment they leave hyper to a slot in a shard, and back to their
//! log whenever the ring has passed them.
//!
//! A turn begins when the socket can be written to and ends in the ring, or when the socket is full: then it
//! is parked in its shard with its positions and the rest of at most one frame. So a client that reads a byte
//! a second holds neither a task nor a reader.

mod harbour;
mod outlet;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::context::FutureExt as _;
use sluice_fanout::{Deadline, FeedId, Fence, Framing, Joining, RingFrame};
use sluice_wire::EventId;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

pub(crate) use self::harbour::Harbour;
use self::outlet::ToSocket;
use crate::admission::Place;
use crate::approach::{Approach, Halt};
use crate::beginning::Beginning;
use crate::ends::Ends;
use crate::hub::feeds::ViewKey;
use crate::runs::Runs;
use crate::subscription::Subscription;
use crate::trace;

/// A stream that was admitted and whose socket has left hyper.
pub(crate) struct Departed {
    pub(crate) socket: TcpStream,
    pub(crate) framing: Framing,
    /// The response's head.
    pub(crate) head: Bytes,
    pub(crate) subscription: Subscription,
    /// The shard that the beginning was fixed for.
    pub(crate) shard: u16,
    pub(crate) beginning: Beginning,
    pub(crate) place: Place,
    pub(crate) ends: Option<Ends>,
}

/// Brings a stream from its head into the ring.
pub(crate) fn start(runs: &Arc<Runs>, departed: Departed) {
    let own = runs.clone();
    let Departed { socket, framing, head, subscription, shard, beginning, place, ends } = departed;
    let Beginning { context, place: starting_place } = beginning;
    let approach = async move {
        let stall = own.ground.streams.write_stall;
        let standing = place.standing();
        let mut outlet = ToSocket {
            socket,
            framing,
            standing,
            expires: Ends::expiry(ends),
            stall,
            positions: None,
            rest: None,
        };
        if outlet.write_all(&head).await.is_err() {
            return;
        }
        let view = ViewKey::Shard(shard);
        match Approach::begin(&own.ground, view, &subscription, starting_place, &mut outlet).await {
            Ok(approach) => {
                let ends = Ends::deadline(ends, own.ground.hub.shard(shard));
                let opened_s = own.ground.hub.shard(shard).seconds_from_now(Duration::ZERO);
                Turn { runs: own, shard, approach, outlet, place, ends, opened_s }.run().await;
            }
            Err(Halt::Sentenced) => part(&own, place, outlet).await,
            Err(Halt::Gone | Halt::Full) => {}
        }
    };
    runs.spawn(approach.with_context(context));
}

/// A stream's way to the ring.
struct Turn {
    runs: Arc<Runs>,
    shard: u16,
    approach: Approach,
    outlet: ToSocket,
    place: Place,
    ends: Deadline,
    opened_s: u32,
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
                        trace::arrived("joined");
                    }
                    return;
                }
                Ok(false) => {}
                Err(Halt::Gone) => return,
                Err(Halt::Full) => {
                    drop(pinned);
                    return self.park();
                }
                Err(Halt::Sentenced) => {
                    drop(pinned);
                    return part(&self.runs, self.place, self.outlet).await;
                }
            }
        }
    }

    /// Leaves the stream with its shard until it can be written to.
    fn park(mut self) {
        let hub = self.runs.ground.hub.clone();
        let shard = hub.shard(self.shard);
        let positions = self.outlet.positions.take().unwrap_or_default().into_boxed_slice();
        let rest = self.outlet.rest.take();
        if let Some(joining) = self.into_joining(positions, rest) {
            shard.park(joining);
            trace::arrived("parked");
        }
    }

    /// The stream as a shard takes it; the slot then has its hold and its place.
    fn into_joining(
        self,
        positions: Box<[EventId]>,
        rest: Option<(RingFrame, u32)>,
    ) -> Option<Joining<OwnedFd>> {
        let Self { approach, outlet, place, ends, opened_s, .. } = self;
        let socket = outlet.socket.into_std().ok()?.into();
        let hold = approach.into_hold();
        let feed = hold.feed();
        hold.keep();
        let principal = place.keep();
        let framing = outlet.framing;
        Some(Joining { socket, feed, framing, ends, opened_s, principal, positions, rest })
    }
}

/// Ends a stream whose principal is under a sentence.
async fn part(runs: &Runs, mut place: Place, mut outlet: ToSocket) {
    place.ends_by(outlet.say_last_words(runs.ground.retry()).await.unwrap_or("cut"));
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

/// Feeds a stream from its log until it is in the ring again, or full.
fn catch_up(runs: &Arc<Runs>, stream: Joining<OwnedFd>) {
    let own = runs.clone();
    let mut place = runs.admission.resume(stream.principal);
    let Some(hold) = runs.ground.hub.resume(stream.feed) else { return };
    runs.spawn(async move {
        let Joining { socket, framing, ends, opened_s, positions, rest, .. } = stream;
        let Ok(socket) = TcpStream::from_std(std::net::TcpStream::from(socket)) else {
            place.ends_by("poller");
            return;
        };
        let stall = own.ground.streams.write_stall;
        let Some(ViewKey::Shard(shard)) = own.ground.hub.view_of(hold.feed()) else { return };
        let expires = Ends::expiry(Ends::from_deadline(ends, own.ground.hub.shard(shard)));
        let approach = Approach::resume(&own.ground, hold, &positions);
        let (standing, positions) = (place.standing(), Some(positions.into_vec()));
        let outlet = ToSocket { socket, framing, standing, expires, stall, positions, rest };
        let mut turn = Turn { runs: own, shard, approach, outlet, place, ends, opened_s };
        match turn.outlet.write_rest() {
            Ok(true) => turn.run().await,
            Ok(false) => turn.park(),
            Err(_) => {}
        }
    });
}
