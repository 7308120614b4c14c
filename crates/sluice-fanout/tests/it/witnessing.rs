//! Events that somebody wants to see brought out.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use sluice_fanout::{FeedId, Notice, PolledView, TopicKey, TopicSet, Witness};
use sluice_wire::sse::Frame;
use sluice_wire::{EventId, Topic};

use crate::stage::{CALM, Client, PATIENCE, RINGS, Stage, Terms, wait_for};

fn witness() -> (Arc<Witness>, Receiver<usize>) {
    let (seen, told) = channel();
    // Whoever asked may have gone with its test.
    (Arc::new(Witness::new(move |streams| seen.send(streams).unwrap_or(()))), told)
}

fn event(number: u64, data: &str, witness: Arc<Witness>) -> Notice {
    let id = EventId::at(number);
    let frame = Frame::event(Some(id), None, data);
    Notice::Event { topic: TopicKey(0), id, frame, witness: Some(witness) }
}

#[test]
fn a_witness_hears_of_the_last_pass_and_of_all_streams() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    stage.open(1, &[0, 1]);
    stage.open(2, &[1]);
    // More than a turn writes to.
    let mut clients: Vec<Client> = (0..150).map(|_| stage.join(0, Terms::default())).collect();
    clients.extend((0..3).map(|_| stage.join(1, Terms::default())));
    let _other = stage.join(2, Terms::default());
    let (first, first_told) = witness();
    let (second, second_told) = witness();
    let thaw = stage.freeze();
    stage.shard.tell(event(1, "1:", first));
    stage.shard.tell(event(2, "2:", second));
    assert!(first_told.try_recv().is_err(), "nothing was written yet");
    drop(thaw);
    for told in [first_told, second_told] {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 153);
        assert!(told.recv().is_err(), "once");
    }
}

#[test]
fn a_stream_that_takes_nothing_is_not_waited_for() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let _deaf = stage.join(0, Terms::default());
    for number in 1..=2 {
        let (witness, told) = witness();
        stage.shard.tell(event(number, &"x".repeat(400_000), witness));
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 1);
    }
    wait_for(|| (stage.status().figures.blocks == 1).then_some(()));
}

#[test]
fn without_streams_there_is_nothing_to_wait_for() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let (witness, told) = witness();
    stage.shard.tell(event(1, "1:", witness));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 0);
}

#[test]
fn polled_streams_count_when_they_are_woken() {
    let view = PolledView::new(RINGS);
    let set = Arc::new(TopicSet::new(vec![(TopicKey(0), Topic::parse("t0").unwrap())]));
    let positions = vec![EventId::ZERO].into_boxed_slice();
    view.apply(Notice::Open { feed: FeedId(0), set, positions, floor_ms: 0 }, Instant::now());
    let fence = view.fence(FeedId(0)).unwrap();
    let streams = [view.join(FeedId(0), &fence, 0).unwrap(), view.join(FeedId(0), &fence, 0).unwrap()];
    let (witness, told) = witness();
    view.apply(event(1, "1:", witness), Instant::now());
    assert_eq!(told.try_recv().unwrap(), streams.len());
}
