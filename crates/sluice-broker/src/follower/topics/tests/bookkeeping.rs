//! Who is followed, who is looked at next, and what a topic costs.

use sluice_wire::Topic;

use super::model::Model;
use super::{Record, World};
use crate::LogHead;
use crate::broker::Announcement;
use crate::follower::topics::{Entry, Topics};

#[test]
fn topics_linger_and_are_opened_anew() {
    let mut world = World::new();
    let topic = world.topic.clone();
    world.topics.unfollow(&topic, 100);
    assert!(world.topics.sweep(99).is_empty());
    assert!(world.topics.follow(&topic, &world.sink).is_none());
    assert!(world.topics.sweep(1000).is_empty());
    world.topics.unfollow(&topic, 2000);
    assert_eq!(world.topics.sweep(2000), std::slice::from_ref(&topic));
    assert_eq!(world.topics.len(), 0);
    assert!(world.topics.follow(&topic, &world.sink).is_some());
    assert_eq!(world.topics.take_wanted(9), [topic]);
}

#[test]
fn a_budget_is_shared_between_the_busy_and_the_longest_waiting() {
    let mut topics = Topics::default();
    let sink = Record::default();
    topics.restored();
    let epoch = topics.epoch;
    for n in 0..100 {
        let topic = Topic::parse(&format!("t{n}")).unwrap();
        topics.follow(&topic, &sink);
        topics.opened(&topic, LogHead::default(), epoch, &sink);
    }
    let model = Model::default();
    let mut looked = std::collections::HashSet::new();
    for _ in 0..20 {
        model.publish();
        let busy = model.next_announcement().unwrap();
        let message = Announcement::Message(sluice_wire::envelope::LiveMessage::Event(busy));
        topics.announced("t99", message, &sink);
        let plan = topics.plan(10);
        assert_eq!(plan.len(), 10);
        assert_eq!(plan[0].0.as_str(), "t99");
        looked.extend(plan.into_iter().map(|(topic, _)| topic));
    }
    assert_eq!(looked.len(), 100);
    assert_eq!(topics.plan(100).len(), 100);
}

#[test]
fn a_topic_costs_little() {
    assert!(size_of::<(Topic, Entry)>() <= 88, "{}", size_of::<(Topic, Entry)>());
}
