//! The polled view's rings: what they hold, and for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use sluice_fanout::{FeedId, Notice, Polled, PolledStream, PolledView, RingLimits, TopicKey, TopicSet};
use sluice_wire::sse::Frame;
use sluice_wire::{EventId, Topic};

use crate::stage::RINGS;

const FEED: FeedId = FeedId(0);

/// A view with one feed, of one topic.
fn view(limits: RingLimits) -> PolledView {
    let view = PolledView::new(limits);
    let set = Arc::new(TopicSet::new(vec![(TopicKey(0), Topic::parse("t").unwrap())]));
    view.apply(
        Notice::Open { feed: FEED, set, positions: [EventId::ZERO].into(), floor_ms: 0 },
        Instant::now(),
    );
    view
}

fn join(view: &PolledView) -> PolledStream {
    let fence = view.fence(FEED).unwrap();
    view.join(FEED, &fence, 0).unwrap()
}

fn event(number: u64) -> Notice {
    let id = EventId::at(number);
    let frame = Frame::event(Some(id), None, &number.to_string());
    Notice::Event { topic: TopicKey(0), id, frame, witness: None }
}

/// Takes all that `stream` lacks, and has it wait for more. Returns how many frames there were.
fn take(stream: &mut PolledStream, waker: &Waker) -> usize {
    let mut taken = 0;
    loop {
        match stream.poll(&Context::from_waker(waker)) {
            Poll::Ready(Polled::Frames(frames)) => taken += frames.len(),
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => return taken,
        }
    }
}

#[test]
fn heartbeats_and_events_that_all_streams_have_taken_are_gone() {
    let view = view(RINGS);
    let mut streams: Vec<_> = (0..5).map(|_| join(&view)).collect();
    let mut now = Instant::now();
    for number in 1..=100_000 {
        now += Duration::from_secs(15);
        match number % 2 {
            0 => view.beat(now, Duration::from_secs(1)),
            _ => view.apply(event(number), now),
        }
        for stream in &mut streams {
            assert_eq!(take(stream, Waker::noop()), 1);
        }
        assert_eq!(view.ring_bytes(), 0, "after {number}");
    }
}

#[test]
fn a_stream_that_takes_nothing_keeps_what_it_lacks_within_the_limits_and_is_then_passed() {
    let limits = RingLimits { events_max: 10, bytes_max: 1 << 20 };
    let view = view(limits);
    let (mut stalled, mut brisk) = (join(&view), join(&view));
    for number in 1..=10 {
        view.apply(event(number), Instant::now());
        assert_eq!(take(&mut brisk, Waker::noop()), 1);
    }
    let ten = view.ring_bytes();
    assert!(ten > 0, "the stalled stream lacks them");
    for number in 11..=1_000 {
        view.apply(event(number), Instant::now());
        assert_eq!(take(&mut brisk, Waker::noop()), 1);
        assert!(view.ring_bytes() <= 2 * ten, "{} bytes", view.ring_bytes());
    }
    let polled = stalled.poll(&Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Polled::Passed)), "{polled:?}");
    assert_eq!(stalled.positions(), [EventId::ZERO]);
    drop(stalled);
    view.apply(event(1_001), Instant::now());
    assert_eq!(take(&mut brisk, Waker::noop()), 1);
    assert_eq!(view.ring_bytes(), 0);
}

#[test]
fn a_join_point_keeps_what_comes_after_it_until_it_is_given_back() {
    let view = view(RINGS);
    let mut stream = join(&view);
    let fence = view.fence(FEED).unwrap();
    for number in 1..=3 {
        view.apply(event(number), Instant::now());
        assert_eq!(take(&mut stream, Waker::noop()), 1);
    }
    let mut late = view.join(FEED, &fence, 0).unwrap();
    drop(fence);
    assert!(view.ring_bytes() > 0);
    assert_eq!(take(&mut late, Waker::noop()), 3);
    assert_eq!(view.ring_bytes(), 0);
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn telling_wakes_no_stream_and_all_that_was_told_together_wakes_each_once() {
    let view = view(RINGS);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut streams: Vec<_> = (0..100).map(|_| join(&view)).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(take(stream, &waker), 0));
    assert!(view.tell(event(1)), "the first of a batch wakes the task");
    assert!((2..=20).all(|number| !view.tell(event(number))), "the others do not");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    view.take_in(Instant::now()).into_iter().for_each(Waker::wake);
    assert_eq!(wakes.0.load(Ordering::Relaxed), streams.len());
    streams.iter_mut().for_each(|stream| assert_eq!(take(stream, &waker), 20));
}

#[test]
fn what_was_told_is_bounded_though_nobody_takes_it_in() {
    let limits = RingLimits { events_max: 10, bytes_max: 1 << 20 };
    let view = view(limits);
    let mut stream = join(&view);
    let told = (1..=1_000).filter(|number| view.tell(event(*number))).count();
    assert!(told < 100, "the queue was full and taken in about every tenth time: {told}");
    let polled = stream.poll(&Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Polled::Passed)), "{polled:?}");
}

#[test]
fn without_feeds_nothing_is_queued_and_a_feed_is_there_as_soon_as_it_was_told() {
    let view = PolledView::new(RINGS);
    assert!(!view.tell(event(1)));
    let set = Arc::new(TopicSet::new(vec![(TopicKey(0), Topic::parse("t").unwrap())]));
    let open = Notice::Open { feed: FEED, set, positions: [EventId::at(1)].into(), floor_ms: 0 };
    assert!(view.tell(open));
    assert_eq!(view.fence(FEED).unwrap().positions, [EventId::at(1)].into());
    assert!(view.tell(Notice::Close { feed: FEED }));
    assert!(view.fence(FEED).is_none());
    assert!(!view.tell(event(2)));
}
