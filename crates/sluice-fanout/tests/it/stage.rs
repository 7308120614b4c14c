//! A shard, a host that notes what it is told, and clients at the other ends of the sockets.

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluice_fanout::{
    Deadline, End, FeedId, Fence, Framing, Host, Housekeeping, Joining, Laggard, LastWords, Left, Notice,
    RingLimits, Shard, ShardSettings, ShardStatus, TopicKey, TopicSet,
};
use sluice_wire::sse::{Decoder, Frame, Item};
use sluice_wire::{EventId, Topic};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the host was told.
#[derive(Default)]
pub(crate) struct Told {
    /// Principal, reason and moment of each stream that left.
    pub(crate) left: Vec<(u32, &'static str, Instant)>,
    /// Publication times of passes, in their order.
    pub(crate) delivered: Vec<u64>,
}

struct Notebook {
    told: Mutex<Told>,
    lagging: Mutex<Sender<Laggard<OwnedFd>>>,
    sentenced: Mutex<HashSet<u32>>,
}

impl Host for Notebook {
    fn left(&self, left: Left<OwnedFd>) {
        self.told.lock().unwrap().left.push((left.principal, left.reason, Instant::now()));
    }

    fn lagging(&self, stream: Laggard<OwnedFd>) {
        self.lagging.lock().unwrap().send(stream).unwrap();
    }

    fn last_words(&self, _: u32, end: End) -> LastWords {
        let reason = match end {
            End::Drain => "drained",
            End::Age => "aged",
            End::Expiry => "expired",
        };
        LastWords { reason, frame: Frame::comment("farewell") }
    }

    fn sentence(&self, principal: u32) -> Option<LastWords> {
        let sentenced = self.sentenced.lock().unwrap().contains(&principal);
        sentenced.then(|| LastWords { reason: "sentenced", frame: Frame::comment("go") })
    }

    fn delivered(&self, published_ms: u64) {
        self.told.lock().unwrap().delivered.push(published_ms);
    }
}

/// See the module.
pub(crate) struct Stage {
    pub(crate) shard: Shard,
    pub(crate) lagging: Receiver<Laggard<OwnedFd>>,
    notebook: Arc<Notebook>,
    next_principal: AtomicU32,
}

/// How a stream joins.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) framing: Framing,
    pub(crate) ends: Deadline,
}

impl Default for Terms {
    fn default() -> Self {
        Self { framing: Framing::Raw, ends: Deadline::NEVER }
    }
}

pub(crate) const CALM: Housekeeping = Housekeeping { heartbeat_s: 600, stall_s: 600, closing_s: 1 };
pub(crate) const RINGS: RingLimits = RingLimits { events_max: 1_024, bytes_max: 1 << 20 };

impl Stage {
    pub(crate) fn new(rings: RingLimits, housekeeping: Housekeeping) -> Self {
        let (lagging, received) = channel();
        let notebook = Arc::new(Notebook {
            told: Mutex::default(),
            lagging: Mutex::new(lagging),
            sentenced: Mutex::default(),
        });
        let settings = ShardSettings { rings, housekeeping, pin_cpus: false };
        let shard = Shard::start(0, settings, notebook.clone()).unwrap();
        Self { shard, lagging: received, notebook, next_principal: AtomicU32::new(0) }
    }

    /// Opens a feed whose topics have these numbers.
    pub(crate) fn open(&self, feed: u32, topics: &[u32]) {
        let member = |key: &u32| (TopicKey(*key), Topic::parse(&format!("t{key}")).unwrap());
        let set = Arc::new(TopicSet::new(topics.iter().map(member).collect()));
        let positions = vec![EventId::ZERO; set.len()].into_boxed_slice();
        self.shard.tell(Notice::Open { feed: FeedId(feed), set, positions, floor_ms: 0 });
    }

    /// Publishes the event `number` of a topic, with `size` bytes beside.
    pub(crate) fn publish(&self, topic: u32, number: u64, size: usize) {
        let (id, frame) = (EventId::at(number), event(number, size));
        self.shard.tell(Notice::Event { topic: TopicKey(topic), id, frame, witness: None });
    }

    /// Where a feed stands.
    pub(crate) fn fence(&self, feed: u32) -> Fence {
        let (answer, answered) = channel();
        self.shard.fence(FeedId(feed), move |fence| answer.send(fence).unwrap());
        answered.recv_timeout(PATIENCE).unwrap().expect("the feed is open")
    }

    /// Keeps the shard from doing anything until what is returned is dropped.
    pub(crate) fn freeze(&self) -> Sender<()> {
        let (thaw, thawed) = channel::<()>();
        let (frozen, is_frozen) = channel();
        self.shard.fence(FeedId(u32::MAX), move |_| {
            frozen.send(()).unwrap();
            let _ = thawed.recv();
        });
        is_frozen.recv_timeout(PATIENCE).unwrap();
        thaw
    }

    pub(crate) fn join(&self, feed: u32, terms: Terms) -> Client {
        let fence = self.fence(feed);
        self.join_at(feed, &fence, terms)
    }

    pub(crate) fn join_at(&self, feed: u32, fence: &Fence, terms: Terms) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = Joining {
            socket: ours.into(),
            feed: FeedId(feed),
            framing: terms.framing,
            ends: terms.ends,
            opened_s: 0,
            principal: self.next_principal.fetch_add(1, Ordering::Relaxed),
            positions: fence.positions.clone(),
            rest: None,
        };
        self.shard.join(stream, fence.sequence);
        Client::new(theirs)
    }

    /// Sentences principals, which are numbers of streams in the order in which they joined, and sweeps.
    pub(crate) fn sweep(&self, principals: impl IntoIterator<Item = u32>, grace: Duration) {
        self.notebook.sentenced.lock().unwrap().extend(principals);
        self.shard.sweep(grace);
    }

    pub(crate) fn status(&self) -> ShardStatus {
        let mut status = ShardStatus::default();
        self.shard.add_to(&mut status);
        status
    }

    /// What the host was told, when `enough` of it.
    pub(crate) fn told<T>(&self, mut enough: impl FnMut(&Told) -> Option<T>) -> T {
        wait_for(|| enough(&self.notebook.told.lock().unwrap()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shard.stop();
    }
}

pub(crate) fn event(number: u64, size: usize) -> Frame {
    Frame::event(Some(EventId::at(number)), None, &format!("{number}:{}", "x".repeat(size)))
}

/// Waits until there is an answer.
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long");
        #[expect(
            clippy::disallowed_methods,
            reason = "between two looks at a condition that has a deadline"
        )]
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The reading end of a stream.
pub(crate) struct Client {
    socket: UnixStream,
    decoder: Decoder,
    /// Numbers of the events received.
    pub(crate) numbers: Vec<u64>,
    pub(crate) comments: Vec<String>,
    pub(crate) cursors: Vec<String>,
    /// Everything received, undecoded.
    pub(crate) bytes: Vec<u8>,
    pub(crate) ended: bool,
}

impl Client {
    fn new(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            decoder: Decoder::new(),
            numbers: Vec::new(),
            comments: Vec::new(),
            cursors: Vec::new(),
            bytes: Vec::new(),
            ended: false,
        }
    }

    /// Reads until `enough`, or to the end of the stream.
    pub(crate) fn read_until(&mut self, enough: impl Fn(&Self) -> bool) {
        let mut buffer = vec![0; 64 << 10];
        while !self.ended && !enough(self) {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(taken) => self.take(&buffer[..taken]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} behind {:?}", self.numbers.last()),
            }
        }
    }

    /// Reads up to the event `number`; all events so far must be those from `first` on.
    pub(crate) fn expect(&mut self, first: u64, number: u64) {
        self.read_until(|client| client.numbers.last() >= Some(&number));
        assert!(
            self.numbers.iter().copied().eq(first..=number),
            "{:?}, not {first}..={number}",
            self.numbers
        );
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let mut items = Vec::new();
        self.decoder.feed(bytes, &mut items);
        for item in items {
            match item {
                Item::Event(event) => {
                    self.numbers.push(event.data.split(':').next().unwrap().parse().unwrap());
                }
                Item::Comment(text) => self.comments.push(text),
                Item::Id(cursor) => self.cursors.push(cursor),
                Item::Retry(_) | Item::Overlong => {}
            }
        }
    }
}

/// As many streams as wanted, or as the process may have descriptors for.
pub(crate) fn streams_possible(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = files.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    wanted.min(soft.saturating_sub(300) / 2)
}
