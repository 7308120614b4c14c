//! Whole histories of a topic, driven through `Topics` and `Replay` over a model of a log: appends whose
//! announcements are delivered, late, lost or doubled, plain XADDs, trimming, looks and pages that are stale
//! when they are applied, and lost connections, in any order.

mod bookkeeping;
mod model;
mod written;

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use proptest::prelude::*;
use sluice_wire::{ByteString, Event, EventId, Topic};

use self::model::Model;
use super::*;
use crate::{Broker, Gap, GapReason, Replay, ReplaySettings, Start, Tails};

/// What a topic's followers were told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Event(EventId),
    /// Entries up to here were skipped.
    Skip(EventId),
    Gap {
        from: EventId,
        to: EventId,
        reason: GapReason,
        possible: bool,
    },
}

/// What was told, and the position that the sink has of it.
#[derive(Default)]
struct Record(Mutex<Vec<Told>>, Mutex<EventId>);

impl Sink for Record {
    fn opened(&self, _: &Topic, position: EventId, _: EventId) {
        *self.1.lock().unwrap() = position;
    }
    fn events(&self, _: &Topic, events: &[Event], position: EventId) {
        let mut stands = self.1.lock().unwrap();
        let last = events.last().map_or(*stands, |event| event.id);
        assert!(*stands < position && last <= position, "{last} and {position} behind {stands}");
        *stands = position;
        let mut told = self.0.lock().unwrap();
        told.extend(events.iter().map(|event| Told::Event(event.id)));
        told.extend((last < position).then_some(Told::Skip(position)));
    }
    fn plain(&self, _: &Topic, _: ByteString) {}
    fn gap(&self, gap: &Gap, position: EventId) {
        assert_eq!(gap.to, position);
        *self.1.lock().unwrap() = position;
        let Gap { from, to, reason, possible, .. } = *gap;
        self.0.lock().unwrap().push(Told::Gap { from, to, reason, possible });
    }
    fn confirmed(&self, _: &[(Topic, u64)]) {}
    fn link(&self, _: bool) {}
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Publish,
    PlainXadd,
    /// An entry that no client can be given.
    Invalid,
    Hear,
    HearTwice,
    Lose,
    Trim(usize),
    Look,
    TakeLook,
    ReadPage,
    TakePage,
    Reconnect,
    Verify,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Publish),
        1 => Just(Step::PlainXadd),
        2 => Just(Step::Invalid),
        6 => Just(Step::Hear),
        1 => Just(Step::HearTwice),
        1 => Just(Step::Lose),
        1 => (1..4_usize).prop_map(Step::Trim),
        2 => Just(Step::Look),
        2 => Just(Step::TakeLook),
        4 => Just(Step::ReadPage),
        4 => Just(Step::TakePage),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Verify),
    ]
}

/// What was asked in which epoch, and the answer.
type Looked = (Vec<(Topic, EventId)>, u32, Tails);

/// A topic being followed, with everything that is under way for it.
struct World {
    model: Arc<Model>,
    topics: Topics,
    sink: Record,
    topic: Topic,
    look: Option<Looked>,
    pass: Option<(Replay, Hole)>,
    page: Option<(ReplayPage, Hole)>,
}

impl World {
    fn new() -> Self {
        let (model, topic) = (Arc::new(Model::default()), Topic::parse("t").unwrap());
        let (mut topics, sink) = (Topics::default(), Record::default());
        model.publish();
        model.publish();
        let head = model.head();
        topics.follow(&topic, &sink);
        topics.take_wanted();
        let epoch = topics.epoch;
        topics.opened(&topic, head, epoch, &sink);
        Self { model, topics, sink, topic, look: None, pass: None, page: None }
    }

    fn take(&mut self, step: Step) {
        self.take_step(step);
        self.check_positions();
    }

    /// Follower and sink stand at the same place at all times.
    fn check_positions(&self) {
        let (position, _) = self.topics.position(&self.topic).unwrap();
        assert_eq!(*self.sink.1.lock().unwrap(), position);
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Publish => self.model.publish(),
            Step::PlainXadd => self.model.plain_xadd(),
            Step::Invalid => self.model.invalid(),
            Step::Hear => self.hear(1),
            Step::HearTwice => self.hear(2),
            Step::Lose => drop(self.model.next_announcement()),
            Step::Trim(count) => self.model.trim(count),
            Step::Look => {
                let asked = self.topics.plan(10, &|_| false);
                let tails = self.model.tails(&asked, 3).now_or_never().unwrap().unwrap();
                self.look = Some((asked, self.topics.epoch, tails));
            }
            Step::TakeLook => {
                if let Some((asked, epoch, tails)) = self.look.take() {
                    self.topics.looked(Look { asked: &asked, inclusive: false, epoch }, &tails, &self.sink);
                }
            }
            Step::ReadPage => self.read_page(),
            Step::TakePage => self.take_page(),
            Step::Reconnect => {
                self.topics.lost(std::slice::from_ref(&self.topic));
                self.model.lose_announcements();
                self.topics.restored(std::slice::from_ref(&self.topic));
            }
            Step::Verify => self.verify(),
        }
    }

    fn hear(&mut self, times: usize) {
        if let Some(message) = self.model.next_announcement() {
            for _ in 0..times {
                self.topics.announced("t", message.clone(), &self.sink);
            }
        }
    }

    fn read_page(&mut self) {
        if self.page.is_some() {
            return;
        }
        if self.pass.is_none() {
            let hole = self.hole();
            let Some(position) = self.topics.begin_pass(&hole) else { return };
            let settings = ReplaySettings { page_events: 2, ..ReplaySettings::default() };
            let broker: Arc<dyn Broker> = Arc::clone(&self.model) as _;
            let from = Start::seen(position);
            let replay = Replay::new(broker, self.topic.clone(), from, EventId::MAX, settings);
            self.pass = Some((replay, hole));
        }
        if let Some((replay, hole)) = &mut self.pass {
            let page = replay.next().now_or_never().unwrap().unwrap().unwrap();
            self.page = Some((page, hole.clone()));
        }
    }

    fn hole(&self) -> Hole {
        Hole { topic: self.topic.clone(), ticket: self.topics.entries[&self.topic].ticket }
    }

    fn take_page(&mut self) {
        if let Some((page, hole)) = self.page.take() {
            let pass = self.topics.page(&hole, &page, &self.sink).unwrap();
            if pass != Pass::GoOn {
                self.pass = None;
            }
        }
    }

    fn verify(&mut self) {
        let asked = self.topics.to_verify(std::slice::from_ref(&self.topic));
        let inclusive: Vec<_> =
            asked.iter().map(|(topic, position)| (topic.clone(), position.before())).collect();
        let tails = self.model.tails(&inclusive, 4).now_or_never().unwrap().unwrap();
        let epoch = self.topics.epoch;
        self.topics.looked(Look { asked: &asked, inclusive: true, epoch }, &tails, &self.sink);
    }

    /// Nothing else happens any more: what the follower's tasks then do, to the end.
    fn settle(&mut self) {
        self.look = None;
        self.take(Step::Reconnect);
        for _ in 0..10_000 {
            self.verify();
            if !self.topics.is_unverified(&self.topic) && !self.is_reading() {
                return;
            }
            self.read_page();
            self.take_page();
            self.check_positions();
        }
        panic!("never level with the log");
    }

    fn is_reading(&self) -> bool {
        matches!(self.topics.position(&self.topic), Some((_, true)))
    }
}

/// Every event behind the opening was told once, in order, or stands in a gap; and a gap holds at least one
/// event that nobody can be told any more.
fn check(world: &World) {
    let told = world.sink.0.lock().unwrap().clone();
    let appended = world.model.all_behind_opening();
    let mut position = world.model.opening();
    let mut seen = Vec::new();
    for item in &told {
        match *item {
            Told::Event(id) => {
                assert!(id > position, "{id} repeated or out of order in {told:?}");
                position = id;
                seen.push(id);
            }
            Told::Skip(to) => position = to,
            Told::Gap { from, to, reason, possible } => {
                assert_eq!(reason, GapReason::Trimmed, "{told:?}");
                assert!(from == position && to >= from, "{told:?}");
                assert!(
                    possible || world.model.entries_between(from, to) > 0,
                    "a gap without a missing event in {told:?}"
                );
                position = to;
            }
        }
    }
    let in_gap = |id: EventId| {
        told.iter().any(|item| matches!(item, Told::Gap { from, to, .. } if id > *from && id <= *to))
    };
    for id in appended {
        assert!(seen.contains(&id) != in_gap(id), "{id} lost in {told:?}");
        assert!(!in_gap(id) || !world.model.is_retained(id), "{id} is there but was told missing: {told:?}");
    }
    assert_eq!(world.topics.counts.refilling, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn every_retained_event_once_in_order_and_gaps_where_events_are_gone(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
        check(&world);
    }
}
