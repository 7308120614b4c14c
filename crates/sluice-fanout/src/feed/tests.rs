//! Positions and numbers of a feed, held against plain bookkeeping.

use proptest::prelude::*;
use sluice_wire::Topic;

use super::*;
use crate::set::{Projection, TopicKey};

fn feed(topics: u32) -> Feed {
    let member = |key| (TopicKey(key), Topic::parse(&format!("t{key}")).unwrap());
    let set = Arc::new(TopicSet::new((0..topics).map(member).collect()));
    let positions = vec![EventId::ZERO; set.len()].into_boxed_slice();
    Feed::new(set, positions, 0)
}

fn event(ms: u64, size: usize) -> Frame {
    Frame::event(Some(EventId::at(ms)), None, &"x".repeat(size))
}

fn text_of(feed: &Feed, sequence: u64) -> String {
    let mut bytes = Vec::new();
    feed.ring().get(sequence).unwrap().copy_from(Framing::Raw, 0, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_feed_of_one_topic_sends_the_shared_frame_itself() {
    let mut feed = feed(1);
    let frame = event(5, 3);
    feed.event(0, EventId::at(5), &frame);
    let [head, body] = feed.ring().get(0).unwrap().pieces(Framing::Chunked);
    assert!(head.is_empty());
    assert_eq!(body.as_ptr(), frame.chunk().as_ptr(), "not a copy");
}

#[test]
fn a_feed_of_several_topics_puts_its_own_cursor_before_it() {
    let mut feed = feed(2);
    feed.event(0, EventId::at(5), &event(5, 1));
    feed.event(1, EventId::at(6), &event(6, 1));
    assert_eq!(text_of(&feed, 1), format!("id: {}\ndata: x\n\n", feed.cursor()));
    assert_eq!(feed.positions(), [EventId::at(5), EventId::at(6)]);
}

#[test]
fn a_jump_is_told_and_then_moves_the_cursor() {
    let mut feed = feed(1);
    feed.event(0, EventId::at(5), &event(5, 1));
    feed.jump(0, EventId::at(9), Frame::control("sluice.gap", "{}", None));
    assert!(text_of(&feed, 1).contains("sluice.gap"));
    assert_eq!(text_of(&feed, 2), "id: 9-0\n\n");
    let behind = |sequence| feed.positions_at(sequence)[0];
    assert_eq!([behind(1), behind(2), behind(3)], [EventId::at(5), EventId::at(5), EventId::at(9)]);
}

#[test]
fn a_checkpoint_is_news_once() {
    let mut feed = feed(1);
    assert!(!feed.has_news_for_checkpoint());
    feed.raise_floor(70);
    feed.raise_floor(60);
    assert!(feed.has_news_for_checkpoint());
    feed.checkpoint();
    assert!(!feed.has_news_for_checkpoint());
    assert_eq!(text_of(&feed, 0), "id: 0-0~70\n\n");
}

#[test]
fn a_feed_with_cursor_events_fires_at_each_checkpoint_and_jump_and_sends_the_same_events() {
    let members = vec![(TopicKey(0), Topic::parse("t").unwrap())];
    let set = Arc::new(TopicSet::projected(members, Projection { cursor_events: true }));
    let mut feed = Feed::new(set, vec![EventId::ZERO].into(), 0);
    let frame = event(5, 3);
    feed.event(0, EventId::at(5), &frame);
    let [head, body] = feed.ring().get(0).unwrap().pieces(Framing::Chunked);
    assert!(head.is_empty() && body.as_ptr() == frame.chunk().as_ptr(), "events are shared by all forms");
    feed.raise_floor(70);
    feed.checkpoint();
    assert_eq!(text_of(&feed, 1), "id: 5-0~70\nevent: sluice.cursor\ndata: {}\n\n");
    feed.jump(0, EventId::at(90), Frame::control("sluice.gap", "{}", None));
    assert_eq!(text_of(&feed, 3), "id: 90-0\nevent: sluice.cursor\ndata: {}\n\n");
    assert_eq!(feed.positions_at(3)[0], EventId::at(5), "positions are those of any other feed");
}

/// What a step does to a feed of three topics: an event, a plain message, a jump, an eviction.
#[derive(Debug, Clone, Copy)]
enum Grow {
    Event(usize, usize),
    Control,
    Jump(usize),
    Evict,
}

fn grow() -> impl Strategy<Value = Grow> {
    prop_oneof![
        6 => (0..3_usize, 0..300_usize).prop_map(|(index, size)| Grow::Event(index, size)),
        1 => Just(Grow::Control),
        1 => (0..3_usize).prop_map(Grow::Jump),
        2 => Just(Grow::Evict),
    ]
}

/// The feed, and the positions before each number since the beginning.
fn grown(steps: &[Grow]) -> (Feed, Vec<Box<[EventId]>>) {
    let mut feed = feed(3);
    let mut before = vec![feed.positions.clone()];
    for (ms, step) in (1..).zip(steps) {
        let old = feed.positions.clone();
        match *step {
            Grow::Event(index, size) => feed.event(index, EventId::at(ms), &event(ms, size)),
            Grow::Control => feed.control(Frame::comment("plain")),
            Grow::Jump(index) => {
                feed.jump(index, EventId::at(ms), Frame::comment("gap"));
                before.push(old);
            }
            Grow::Evict => {
                feed.ring_mut().evict();
                continue;
            }
        }
        before.push(feed.positions.clone());
    }
    (feed, before)
}

proptest! {
    #[test]
    fn the_positions_of_any_number_held_are_those_it_had(steps in prop::collection::vec(grow(), 0..40)) {
        let (feed, before) = grown(&steps);
        prop_assert_eq!(feed.ring().next() + 1, before.len() as u64);
        for sequence in feed.ring().base()..=feed.ring().next() {
            prop_assert_eq!(&feed.positions_at(sequence), &before[usize::try_from(sequence).unwrap()]);
        }
    }

    #[test]
    fn advancing_counts_the_bytes_of_the_frames(
        steps in prop::collection::vec(grow(), 1..40),
        start in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(1..400_usize, 0..60),
        raw in any::<bool>(),
    ) {
        let framing = if raw { Framing::Raw } else { Framing::Chunked };
        let (feed, _) = grown(&steps);
        let start = feed.ring().base() + start.index(feed.ring().len() + 1) as u64;
        let ends: Vec<usize> = feed
            .ring()
            .since(start)
            .unwrap()
            .scan(0, |sum, frame| { *sum += frame.len(framing); Some(*sum) })
            .collect();
        let (mut at, mut sum) = ((start, 0), 0);
        for cut in cuts {
            let written = cut.min(ends.last().map_or(0, |end| end - sum));
            sum += written;
            at = feed.advance(at.0, at.1, written, framing);
            let whole = ends.partition_point(|end| *end <= sum);
            let begun = whole.checked_sub(1).map_or(0, |last| ends[last]);
            prop_assert_eq!(at, (start + whole as u64, sum - begun));
        }
    }
}
