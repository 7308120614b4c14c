//! Ending the streams of some principals and of nobody else.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sluice_fanout::{FeedId, Framing, Joining, Notice, Polled, PolledStream, PolledView, TopicKey, TopicSet};
use sluice_wire::{EventId, Topic};

use crate::stage::{CALM, Client, RINGS, Stage, Terms, wait_for};

/// A grace that is not waited for.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn those_who_are_sentenced_have_their_last_words_and_the_others_go_on() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let terms = Terms { framing: Framing::Chunked, ..Terms::default() };
    let mut clients: Vec<Client> = (0..300).map(|_| stage.join(0, terms)).collect();
    wait_for(|| (stage.status().streams == 300).then_some(()));
    stage.publish(0, 1, 0);
    stage.sweep((0..300).filter(|n| n % 3 == 1), LONG);
    let left = stage.told(|told| (told.left.len() == 100).then(|| told.left.clone()));
    assert!(left.iter().all(|(who, reason, _)| *reason == "sentenced" && who % 3 == 1));
    stage.publish(0, 2, 0);
    for (n, client) in clients.iter_mut().enumerate() {
        if n % 3 == 1 {
            client.read_until(|client| client.ended);
            let text = String::from_utf8_lossy(&client.bytes);
            assert!(text.ends_with(": go\n\n\r\n0\r\n\r\n"), "{text:?}");
            assert_eq!(client.numbers, [1], "what it lacked came first");
        } else {
            client.expect(1, 2);
        }
    }
}

#[test]
fn principal_0_is_nobody() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let [mut nobody, mut somebody] = [0, 1].map(|_| stage.join(0, Terms::default()));
    stage.sweep([0, 1], LONG);
    somebody.read_until(|client| client.ended);
    stage.publish(0, 1, 0);
    nobody.expect(1, 1);
}

#[test]
fn who_takes_nothing_is_given_its_grace_and_then_cut_off() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let [_nobody, mut slow, _stuck] = [0, 1, 2].map(|_| stage.join(0, Terms::default()));
    (1..=20).for_each(|number| stage.publish(0, number, 40_000));
    wait_for(|| (stage.status().blocked == 3).then_some(()));
    let (began, grace) = (Instant::now(), Duration::from_secs(3));
    stage.sweep([1, 2], grace);
    // Somebody else's sentence does not begin the grace anew.
    stage.sweep([7], LONG);
    slow.expect(1, 20);
    slow.read_until(|client| client.ended);
    assert_eq!(slow.comments, ["go"], "it read again while there was time");
    let left = stage.told(|told| (told.left.len() == 2).then(|| told.left.clone()));
    assert_eq!(left.iter().map(|(who, reason, _)| (*who, *reason)).max(), Some((2, "cut")));
    assert!(left.iter().all(|(_, _, at)| at.duration_since(began) >= grace));
    wait_for(|| (stage.status().blocked == 1).then_some(()));
    assert_eq!(stage.told(|told| Some(told.left.len())), 2, "the one who was not meant");
}

#[test]
fn who_arrives_behind_the_sweep_is_ended_too() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let _nobody = stage.join(0, Terms::default());
    stage.sweep([1, 2], LONG);
    let mut late = stage.join(0, Terms::default());
    late.read_until(|client| client.ended);
    assert_eq!(late.comments, ["go"]);
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    stage.shard.park(Joining {
        socket: ours.into(),
        feed: FeedId(0),
        framing: Framing::Raw,
        ends: sluice_fanout::Deadline::NEVER,
        opened_s: 0,
        principal: 2,
        positions: [EventId::ZERO].into(),
        rest: None,
    });
    let left = stage.told(|told| (told.left.len() == 2).then(|| told.left.clone()));
    assert_eq!((left[1].0, left[1].1), (2, "cut"));
}

#[test]
fn the_polled_view_ends_those_who_are_sentenced_in_portions() {
    let view = PolledView::new(RINGS);
    let set = std::sync::Arc::new(TopicSet::new(vec![(TopicKey(0), Topic::parse("t0").unwrap())]));
    let mut streams: Vec<(u32, PolledStream)> = Vec::new();
    for feed in 0..40 {
        let positions = [EventId::ZERO].into();
        let open = Notice::Open { feed: FeedId(feed), set: set.clone(), positions, floor_ms: 0 };
        view.apply(open, Instant::now());
        let fence = view.fence(FeedId(feed)).unwrap();
        let seat = |principal| (principal, view.join(FeedId(feed), &fence, principal).unwrap());
        streams.extend([seat(feed % 4), seat(0)]);
    }
    let (mut hand, mut portions) = (Some(0), 0);
    while let Some(at) = hand {
        hand = view.sweep(at, 10, |principal| principal == 3 || principal == 0);
        portions += 1;
    }
    assert!(portions > 5, "{portions}");
    let context = Context::from_waker(Waker::noop());
    let mut ended = 0;
    for (principal, stream) in &mut streams {
        match stream.poll(&context) {
            Poll::Ready(Polled::Closed) => ended += usize::from(*principal == 3),
            other => assert!(other.is_pending() && *principal != 3, "{principal}: {other:?}"),
        }
    }
    assert_eq!((ended, view.standing()), (10, 70));
    streams.clear();
    assert_eq!(view.standing(), 0);
}
