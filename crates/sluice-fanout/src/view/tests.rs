use sluice_wire::Topic;

use super::*;

fn set(names: &[(u32, &str)]) -> Arc<TopicSet> {
    let members = names.iter().map(|(key, name)| (TopicKey(*key), Topic::parse(name).unwrap()));
    Arc::new(TopicSet::new(members.collect()))
}

fn open(view: &mut View<()>, feed: u32, set: Arc<TopicSet>) {
    let positions = vec![EventId::ZERO; set.len()].into_boxed_slice();
    view.apply(Notice::Open { feed: FeedId(feed), set, positions, floor_ms: 0 }, |_, _| {});
}

fn publish(view: &mut View<()>, topic: u32, ms: u64) -> Vec<u32> {
    let id = EventId::at(ms);
    let frame = Frame::event(Some(id), None, "x");
    let mut changed = Vec::new();
    view.apply(Notice::Event { topic: TopicKey(topic), id, frame, witness: None }, |feed, _| {
        changed.push(feed.0);
    });
    changed.sort_unstable();
    changed
}

#[test]
fn an_event_reaches_every_feed_of_its_topic_and_no_other() {
    let mut view = View::new();
    open(&mut view, 1, set(&[(0, "a")]));
    open(&mut view, 2, set(&[(0, "a"), (1, "b")]));
    open(&mut view, 3, set(&[(1, "b")]));
    assert_eq!(publish(&mut view, 0, 5), [1, 2]);
    assert_eq!(publish(&mut view, 1, 6), [2, 3]);
    assert_eq!(view.get(FeedId(2)).unwrap().feed.positions(), [EventId::at(5), EventId::at(6)]);
    view.apply(Notice::Close { feed: FeedId(2) }, |_, _| {});
    assert_eq!(publish(&mut view, 0, 7), [1]);
    view.apply(Notice::Close { feed: FeedId(1) }, |_, _| {});
    assert_eq!(publish(&mut view, 0, 8), [] as [u32; 0]);
    assert_eq!(view.topics.iter().flatten().count(), 1);
}

#[test]
fn the_floor_of_a_feed_is_the_least_of_its_topics() {
    let mut view = View::new();
    open(&mut view, 1, set(&[(0, "a"), (1, "b")]));
    view.apply(Notice::Confirmed { floors: [(TopicKey(0), 50)].into() }, |_, _| {});
    view.refresh_floor(FeedId(1));
    assert_eq!(view.get(FeedId(1)).unwrap().feed.floor_ms(), 0);
    view.apply(Notice::Confirmed { floors: [(TopicKey(1), 40)].into() }, |_, _| {});
    view.refresh_floor(FeedId(1));
    assert_eq!(view.get(FeedId(1)).unwrap().feed.floor_ms(), 40);
}
