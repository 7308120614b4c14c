//! Silence, hang-ups and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_fanout::{Framing, Housekeeping, Notice, TopicKey};

use crate::stage::{CALM, Client, RINGS, Stage, Terms, wait_for};

#[test]
fn a_silent_stream_is_sent_a_comment_or_the_news_of_its_cursor() {
    let stage = Stage::new(RINGS, Housekeeping { heartbeat_s: 1, ..CALM });
    stage.open(0, &[0]);
    let mut client = stage.join(0, Terms::default());
    client.read_until(|client| client.comments.len() == 2);
    assert!(client.cursors.is_empty());
    let floors = Arc::from([(TopicKey(0), 5_000)]);
    stage.shard.tell(Notice::Confirmed { floors });
    client.read_until(|client| !client.cursors.is_empty());
    assert_eq!(client.cursors, ["0-0~5000"]);
}

#[test]
fn an_end_is_a_farewell_the_last_chunk_and_the_end_of_the_socket() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let ends = stage.shard.seconds_from_now(Duration::from_secs(3));
    let ends = sluice_fanout::Deadline::at(ends, sluice_fanout::End::Age);
    let mut chunked = stage.join(0, Terms { framing: Framing::Chunked, ends });
    let mut raw = stage.join(0, Terms { framing: Framing::Raw, ends });
    stage.publish(0, 1, 0);
    for client in [&mut chunked, &mut raw] {
        client.read_until(|client| client.ended);
    }
    let text = String::from_utf8(chunked.bytes).unwrap();
    assert!(text.ends_with(": farewell\n\n\r\n0\r\n\r\n"), "{text:?}");
    assert_eq!((raw.numbers, raw.comments), (vec![1], vec!["farewell".to_owned()]));
    let left = stage.told(|told| (told.left.len() == 2).then(|| told.left.clone()));
    assert!(left.iter().all(|(_, reason, _)| *reason == "aged"));
    // The peers have not closed; that is not waited for longer than it was said.
    wait_for(|| (stage.status().streams == 0).then_some(()));
    stage.told(|told| (told.left.len() == 2).then_some(()));
}

#[test]
fn a_peer_that_hangs_up_is_noticed_at_once_and_counted_once() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let mut clients: Vec<Client> = (0..20).map(|_| stage.join(0, Terms::default())).collect();
    wait_for(|| (stage.status().streams == 20).then_some(()));
    clients.truncate(5);
    wait_for(|| (stage.status().streams == 5).then_some(()));
    stage.publish(0, 1, 0);
    clients.iter_mut().for_each(|client| client.expect(1, 1));
    let mut left: Vec<u32> = stage.told(|told| Some(told.left.iter().map(|(who, _, _)| *who).collect()));
    left.sort_unstable();
    assert!(left.into_iter().eq(5..20));
}

#[test]
fn a_drain_ends_all_streams_evenly_over_its_window() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let mut clients: Vec<Client> = (0..100).map(|_| stage.join(0, Terms::default())).collect();
    wait_for(|| (stage.status().streams == 100).then_some(()));
    let began = Instant::now();
    let window = Duration::from_secs(2);
    stage.shard.drain(window);
    clients.iter_mut().for_each(|client| client.read_until(|client| client.ended));
    let left = stage.told(|told| (told.left.len() == 100).then(|| told.left.clone()));
    assert!(left.iter().all(|(_, reason, _)| *reason == "drained"));
    let mut after: Vec<Duration> = left.iter().map(|(_, _, at)| at.duration_since(began)).collect();
    after.sort_unstable();
    // Counts, not exact moments: the machine may be slow, but never early.
    for tenths in 1..=10_u32 {
        let by_then = after.iter().filter(|after| **after < window * tenths / 10).count();
        assert!(by_then <= tenths as usize * 10, "{by_then} in the first {tenths} tenths: {after:?}");
    }
    let mut moments: Vec<u128> = after.iter().map(|after| after.as_millis() / 50).collect();
    moments.dedup();
    assert!(moments.len() >= 8, "not in bursts of whole seconds: {after:?}");
}

#[test]
fn who_joins_during_a_drain_is_ended_within_its_window_too() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    stage.shard.drain(Duration::from_secs(5));
    let mut late: Vec<Client> = (0..10).map(|_| stage.join(0, Terms::default())).collect();
    late.iter_mut().for_each(|client| client.read_until(|client| client.ended));
    let ends = stage.told(|told| {
        let ends: Vec<Instant> = told.left.iter().map(|(_, _, at)| *at).collect();
        (ends.len() == 10).then_some(ends)
    });
    let spread = ends[9].duration_since(ends[0]);
    assert!(spread >= Duration::from_millis(750), "spread over what is left, not {spread:?}");
    let mut last = stage.join(0, Terms::default());
    last.read_until(|client| client.ended);
    stage.told(|told| told.left.iter().all(|(_, reason, _)| *reason == "drained").then_some(()));
}

#[test]
fn a_stream_that_takes_nothing_has_the_whole_window_and_is_then_cut() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let [mut slow, _stuck] = [stage.join(0, Terms::default()), stage.join(0, Terms::default())];
    (1..=20).for_each(|number| stage.publish(0, number, 40_000));
    wait_for(|| (stage.status().blocked == 2).then_some(()));
    let began = Instant::now();
    stage.shard.drain(Duration::from_secs(2));
    // This one reads again while there is time, and is told.
    slow.read_until(|client| client.ended);
    assert_eq!((slow.numbers.len(), slow.comments), (20, vec!["farewell".to_owned()]));
    let left = stage.told(|told| (told.left.len() == 2).then(|| told.left.clone()));
    assert_eq!(left.iter().map(|(_, reason, _)| *reason).collect::<Vec<_>>(), ["drained", "cut"]);
    assert!(left[1].2.duration_since(began) >= Duration::from_secs(2));
}
