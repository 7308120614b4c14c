//! Who is followed, who is looked at next, and what a topic costs.

use sluice_wire::{EventId, Topic};

use super::model::Model;
use super::{Look, Record, Step, World};
use crate::follower::topics::{Entry, Topics};
use crate::{LogHead, Tails};

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
    let wanted = world.topics.take_wanted();
    assert!(world.topics.is_wanted(&wanted[0]) && wanted[0].topic == topic);
}

#[test]
fn there_is_room_for_topics_that_are_followed_and_for_new_ones_up_to_the_limit() {
    let mut world = World::new();
    let (known, new) = (world.topic.clone(), ["x", "y"].map(|name| Topic::parse(name).unwrap()));
    assert!(world.topics.has_room(&[known.clone(), new[0].clone()], 2));
    assert!(!world.topics.has_room(&new, 2), "two more would be three");
    assert!(world.topics.has_room(std::slice::from_ref(&known), 0), "it is there already");
    world.topics.unfollow(&known, 0);
    assert!(!world.topics.has_room(&new, 2), "one that lingers counts");
    world.topics.sweep(0);
    assert!(world.topics.has_room(&new, 2));
}

#[test]
fn a_topic_that_was_given_up_and_followed_anew_is_wanted_once() {
    let mut world = World::new();
    let topic = Topic::parse("x").unwrap();
    world.topics.follow(&topic, &world.sink);
    world.topics.unfollow(&topic, 0);
    world.topics.sweep(0);
    world.topics.follow(&topic, &world.sink);
    let wanted = world.topics.take_wanted();
    assert_eq!(wanted.iter().map(|wanted| world.topics.is_wanted(wanted)).collect::<Vec<_>>(), [false, true]);
}

/// Announcements of one topic were lost: that the others are level with their logs still holds.
#[test]
fn a_loss_voids_what_is_known_of_the_topics_that_it_is_about() {
    let mut topics = Topics::default();
    let sink = Record::default();
    let both = ["a", "b"].map(|name| Topic::parse(name).unwrap());
    for topic in &both {
        topics.follow(topic, &sink);
        topics.opened(topic, LogHead::default(), topics.epoch, &sink);
    }
    assert!(topics.are_verified());
    let asked = both.clone().map(|topic| (topic, EventId::ZERO));
    let look = Look { asked: &asked, inclusive: false, epoch: topics.epoch };
    topics.lost(&both[..1]);
    assert!(topics.unverified().is_empty(), "nothing can be verified meanwhile");
    let level = |topics: &mut Topics, look| topics.looked(look, &Tails::default(), &sink);
    assert_eq!(level(&mut topics, look), [&both[1]]);
    let after = Look { epoch: topics.epoch, ..look };
    assert_eq!(level(&mut topics, after), [&both[1]]);
    topics.restored(&both[..1]);
    assert_eq!(topics.unverified(), both[..1]);
    let verifying = Look { inclusive: true, epoch: topics.epoch, ..look };
    assert_eq!(level(&mut topics, verifying), [&both[0], &both[1]]);
    assert!(topics.are_verified());
}

/// Topics `t0` to `t99`.
fn a_hundred_open() -> (Topics, Record) {
    let (mut topics, sink) = (Topics::default(), Record::default());
    for n in 0..100 {
        let topic = Topic::parse(&format!("t{n}")).unwrap();
        topics.follow(&topic, &sink);
        topics.opened(&topic, LogHead::default(), topics.epoch, &sink);
    }
    (topics, sink)
}

/// A budget that is spent on what cannot be read is taken from the others.
#[test]
fn what_cannot_be_read_is_left_out_of_the_plan() {
    let (mut topics, _) = a_hundred_open();
    let odd = |topic: &Topic| topic.as_str().ends_with(['1', '3', '5', '7', '9']);
    let mut looked = std::collections::HashSet::new();
    for _ in 0..5 {
        let plan = topics.plan(10, &odd);
        assert_eq!(plan.len(), 10);
        looked.extend(plan.into_iter().map(|(topic, _)| topic));
    }
    assert!(looked.len() == 50 && !looked.iter().any(odd));
}

/// Two tasks that read one log would hand its events on twice.
#[test]
fn the_hole_of_a_topic_that_was_forgotten_is_not_that_of_the_one_followed_anew() {
    let mut world = World::new();
    let topic = world.topic.clone();
    world.topics.suspect(&topic, EventId::MAX);
    let old = world.topics.take_holes().pop().unwrap();
    assert!(world.topics.begin_pass(&old).is_some());
    world.topics.unfollow(&topic, 0);
    world.topics.sweep(1);
    world.topics.follow(&topic, &world.sink);
    let stale = world.topics.epoch - 1;
    world.topics.opened(&topic, world.model.head(), stale, &world.sink);
    let new = world.topics.take_holes().pop().unwrap();
    assert_ne!(old, new);
    assert!(world.topics.begin_pass(&old).is_none());
    assert!(world.topics.begin_pass(&new).is_some());
}

/// What it saw may be gone with the server that it met, and nobody would look again.
#[test]
fn a_look_from_before_the_connection_was_lost_says_nothing_of_a_topic_verified_since() {
    let mut world = World::new();
    world.model.publish();
    world.take(Step::Look);
    world.model.rewind(1);
    world.take(Step::Reconnect);
    world.take(Step::Verify);
    let (before, _) = world.topics.position(&world.topic).unwrap();
    world.take(Step::TakeLook);
    assert_eq!(world.topics.position(&world.topic), Some((before, false)));
}

#[test]
fn a_budget_is_shared_between_the_busy_and_the_longest_waiting() {
    let (mut topics, sink) = a_hundred_open();
    let model = Model::default();
    let mut looked = std::collections::HashSet::new();
    for _ in 0..20 {
        model.publish();
        topics.announced("t99", model.next_announcement().unwrap(), &sink);
        let plan = topics.plan(10, &|_| false);
        assert_eq!(plan.len(), 10);
        assert_eq!(plan[0].0.as_str(), "t99");
        looked.extend(plan.into_iter().map(|(topic, _)| topic));
    }
    assert_eq!(looked.len(), 100);
    assert_eq!(topics.plan(100, &|_| false).len(), 100);
}

#[test]
fn a_topic_costs_little() {
    assert!(size_of::<(Topic, Entry)>() <= 80, "{}", size_of::<(Topic, Entry)>());
}
