//! Shards: threads that bring frames out to sockets of their own.
//!
//! A shard is the pure [`Core`] with a poller (edge-triggered epoll), an inbox and a clock. One turn of its
//! loop takes in commands, then events of the poller, then serves one dirty feed with a bounded number of
//! writes, so a feed of one stream waits for at most one such portion of a feed of ten thousand.

mod drain;
mod driver;
mod poller;
mod surveys;
mod sweep;
mod totals;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::driver::Driver;
use self::poller::Waker;
use self::totals::Totals;
pub use self::totals::{PASS_STREAMS, ShardStatus, TURN_US};
use crate::core::{Housekeeping, Joining, Laggard, LastWords, Left, StreamReport, Survey};
use crate::deadline::End;
use crate::feed::RingLimits;
use crate::fence::Fence;
use crate::inbox::Inbox;
use crate::set::FeedId;
use crate::view::Notice;

/// What shards go by.
#[derive(Debug, Clone, Copy)]
pub struct ShardSettings {
    /// Memory for what streams may still need.
    pub rings: RingLimits,
    /// Heartbeats, stalls and ends.
    pub housekeeping: Housekeeping,
    /// Bind each shard to one of the processors that this process may use.
    pub pin_cpus: bool,
}

/// Whoever owns the shards. Called from their threads: must not block.
pub trait Host: Send + Sync + 'static {
    /// A stream has left; its socket is closed when `left` is dropped.
    fn left(&self, left: Left<OwnedFd>);
    /// A stream must be fed from its log.
    fn lagging(&self, laggard: Laggard<OwnedFd>);
    /// What a stream of `principal` is told that comes to this end.
    fn last_words(&self, principal: u32, end: End) -> LastWords;
    /// What the streams of `principal` are told if they are to be ended now, wherever they stand: whoever
    /// arrives is asked about, and everybody after [`Shard::sweep`]. Never asked about principal 0.
    fn sentence(&self, principal: u32) -> Option<LastWords>;
    /// A pass over a feed of `streams` streams brought out the event published at `published_ms`.
    fn delivered(&self, published_ms: u64);
}

/// What a shard is told beside notices.
enum Command {
    Notice(Notice),
    Fence(FeedId, Box<dyn FnOnce(Option<Fence>) + Send>),
    Unpin(FeedId),
    Join(Box<Joining<OwnedFd>>, u64),
    Park(Box<Joining<OwnedFd>>),
    Drain { window: Duration },
    Sweep { grace: Duration },
    Survey(Box<Asked>),
    Stop,
}

/// A survey and who waits for it.
struct Asked {
    survey: Survey,
    reply: Box<dyn FnOnce(Option<Vec<StreamReport>>) + Send>,
}

struct Shared {
    inbox: Inbox<Command>,
    waker: Waker,
    /// The shard's clock counts seconds from here.
    began: Instant,
    totals: Totals,
}

/// A shard to talk to. Clones are cheap.
#[derive(Clone)]
pub struct Shard {
    shared: Arc<Shared>,
}

impl Shard {
    /// Starts the thread of shard `number`.
    ///
    /// # Errors
    ///
    /// When the system refuses a poller, an event descriptor or a thread.
    pub fn start(number: usize, settings: ShardSettings, host: Arc<dyn Host>) -> io::Result<Self> {
        let (poller, waker) = poller::create()?;
        let shared =
            Arc::new(Shared { inbox: Inbox::new(), waker, began: Instant::now(), totals: Totals::new() });
        let driver = Driver::new(shared.clone(), poller, settings, host);
        std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
            if settings.pin_cpus {
                poller::pin_to_cpu(number);
            }
            driver.run();
        })?;
        Ok(Self { shared })
    }

    /// Tells the shard's view something.
    pub fn tell(&self, notice: Notice) {
        self.send(Command::Notice(notice));
    }

    /// Asks where a feed stands. The ring keeps what comes behind until [`Shard::join`] or [`Shard::unpin`].
    pub fn fence(&self, feed: FeedId, reply: impl FnOnce(Option<Fence>) + Send + 'static) {
        self.send(Command::Fence(feed, Box::new(reply)));
    }

    /// Gives a fence back.
    pub fn unpin(&self, feed: FeedId) {
        self.send(Command::Unpin(feed));
    }

    /// Hands over a stream that has everything before the fence that ended at `sequence`. Should the ring
    /// have moved past it, the host gets it back as lagging.
    pub fn join(&self, stream: Joining<OwnedFd>, sequence: u64) {
        self.send(Command::Join(Box::new(stream), sequence));
    }

    /// Hands over a stream that takes nothing now; the host gets it back as lagging when it does.
    pub fn park(&self, stream: Joining<OwnedFd>) {
        self.send(Command::Park(Box::new(stream)));
    }

    /// Ends every stream, evenly over `window`, and from then on any that still joins.
    pub fn drain(&self, window: Duration) {
        self.send(Command::Drain { window });
    }

    /// Ends every stream that the host has a [`Host::sentence`] for, a bounded number of them a turn. One that
    /// takes nothing now has `grace` to take its last words and is then cut off.
    pub fn sweep(&self, grace: Duration) {
        self.send(Command::Sweep { grace });
    }

    /// Looks at every slot, a part of them a turn, and reports the streams that lag most. `None` when the
    /// shard has enough of such questions.
    pub fn survey(&self, survey: Survey, reply: impl FnOnce(Option<Vec<StreamReport>>) + Send + 'static) {
        self.send(Command::Survey(Box::new(Asked { survey, reply: Box::new(reply) })));
    }

    /// Ends the thread; its sockets are closed.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// The shard's clock `after` from now, as slots note it.
    #[must_use]
    pub fn seconds_from_now(&self, after: Duration) -> u32 {
        u32::try_from((self.shared.began.elapsed() + after).as_secs()).unwrap_or(u32::MAX)
    }

    /// Slots in use.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.totals.streams.load(Ordering::Relaxed)
    }

    /// Adds this shard's figures to `status`.
    pub fn add_to(&self, status: &mut ShardStatus) {
        self.shared.totals.add_to(status);
        status.commands += self.shared.inbox.len();
    }

    fn send(&self, command: Command) {
        if self.shared.inbox.push(command) {
            self.shared.waker.wake();
        }
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("totals", &self.shared.totals).finish()
    }
}
