//! Histories that are written down: what a random one would seldom come upon.

use sluice_wire::EventId;

use super::{Step, Told, World};
use crate::GapReason;
use crate::broker::Announcement;

#[test]
fn a_rewound_log_is_told_and_what_survived_is_delivered() {
    let mut world = World::new();
    for step in [Step::Publish, Step::Hear, Step::Hear, Step::Hear, Step::Publish, Step::Hear] {
        world.take(step);
    }
    let lost = world.model.head().last;
    world.model.rewind(1);
    world.take(Step::Reconnect);
    world.model.publish();
    world.settle();
    let told = world.sink.0.lock().unwrap().clone();
    let gap =
        told.iter().position(|item| matches!(item, Told::Gap { reason: GapReason::Rewound, .. })).unwrap();
    assert!(matches!(told[gap], Told::Gap { from, .. } if from == lost));
    assert_eq!(told.last(), Some(&Told::Event(world.model.head().last)));
}

#[test]
fn a_forged_announcement_is_found_out_by_the_next_real_one() {
    let mut world = World::new();
    world.take(Step::Hear);
    world.take(Step::Hear);
    let position = world.model.head().last;
    let mut forged = world.model.event_behind(position);
    forged.id = EventId::new(u64::MAX - 1, 0);
    world.topics.announced(
        "t",
        Announcement::Message(sluice_wire::envelope::LiveMessage::Event(forged)),
        &world.sink,
    );
    world.take(Step::Publish);
    world.take(Step::Hear);
    assert!(world.is_reading());
    world.settle();
    let told = world.sink.0.lock().unwrap().clone();
    assert_eq!(told.last(), Some(&Told::Event(world.model.head().last)));
}

#[test]
fn what_was_read_before_the_connection_was_back_is_not_verified() {
    let mut world = World::new();
    world.topics.lost(std::slice::from_ref(&world.topic));
    world.topics.suspect(&world.topic, EventId::MAX);
    world.read_page();
    world.take_page();
    assert!(!world.is_reading() && !world.topics.is_unverified(&world.topic));
    world.take(Step::Publish);
    world.model.lose_announcements();
    world.topics.restored(std::slice::from_ref(&world.topic));
    assert!(world.topics.is_unverified(&world.topic));
}
