//! What an event costs on its way into feeds, and what a pass costs without the system calls.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sluice_fanout::{
    Core, Feed, FeedId, Framing, Joining, Notice, Output, RingLimits, Sent, TopicKey, TopicSet,
};
use sluice_wire::sse::Frame;
use sluice_wire::{EventId, Topic};

const LIMITS: RingLimits = RingLimits { events_max: 1_024, bytes_max: 1 << 20 };
const SLOTS: u32 = 1_000;

/// Takes everything.
struct Null;

impl Output<u32> for Null {
    fn send(&mut self, socket: &u32, bytes: &[u8]) -> Sent {
        black_box(socket);
        Sent::Bytes(black_box(bytes).len())
    }
}

fn set(topics: u32) -> Arc<TopicSet> {
    let member = |key| (TopicKey(key), Topic::parse(&format!("topic/{key}")).expect("a topic"));
    Arc::new(TopicSet::new((0..topics).map(member).collect()))
}

fn event(ms: u64) -> Frame {
    Frame::event(Some(EventId::at(ms)), None, &"x".repeat(64))
}

/// An event into a feed's ring: the shared frame alone, or behind a head with the feed's cursor.
fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event_into_a_feed");
    group.throughput(Throughput::Elements(1));
    for topics in [1, 2, 8, 64] {
        let set = set(topics);
        let positions = vec![EventId::at(1); set.len()].into_boxed_slice();
        let mut feed = Feed::new(set, positions, 0);
        let mut ms = 1_700_000_000_000;
        let frame = event(ms);
        group.bench_function(format!("of_{topics}"), |bencher| {
            bencher.iter(|| {
                ms += 1;
                feed.event(0, EventId::at(ms), black_box(&frame));
                if feed.is_over(LIMITS) {
                    feed.ring_mut().evict();
                }
            });
        });
    }
    group.finish();
}

fn core_with_slots() -> Core<u32> {
    let mut core = Core::new(LIMITS);
    let (feed, set) = (FeedId(0), set(1));
    core.apply(Notice::Open { feed, set, positions: [EventId::ZERO].into(), floor_ms: 0 });
    for socket in 0..SLOTS {
        let fence = core.fence(feed).expect("the feed is open");
        let joining = Joining {
            socket,
            feed,
            framing: Framing::Chunked,
            ends: sluice_fanout::Deadline::NEVER,
            opened_s: 0,
            principal: 0,
            positions: fence.positions.clone(),
            rest: None,
        };
        core.join(joining, fence.sequence);
    }
    core
}

/// A pass over all slots of a feed that brings out `events` at once.
fn pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pass_over_1000_slots");
    let mut core = core_with_slots();
    let mut ms = 1_700_000_000_000;
    for events in [1_u64, 10, 100] {
        group.throughput(Throughput::Elements(u64::from(SLOTS) * events));
        group.bench_function(format!("of_{events}"), |bencher| {
            bencher.iter_batched(
                || (0..events).map(event).collect::<Vec<_>>(),
                |frames| {
                    for frame in frames {
                        ms += 1;
                        core.apply(Notice::Event {
                            topic: TopicKey(0),
                            id: EventId::at(ms),
                            frame,
                            witness: None,
                        });
                    }
                    while core.has_work() {
                        core.serve(256, &mut Null, |_| {});
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, append, pass);
criterion_main!(benches);
