//! What streams are sent while all is well.

use sluice_fanout::{Framing, Notice, TopicKey};

use crate::stage::{CALM, Client, RINGS, Stage, Terms, streams_possible, wait_for};

#[test]
fn everything_arrives_once_and_in_order_and_a_burst_is_one_write_a_stream() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let mut clients: Vec<Client> = (0..50).map(|_| stage.join(0, Terms::default())).collect();
    stage.publish(0, 1, 10);
    clients.iter_mut().for_each(|client| client.expect(1, 1));
    let before = wait_for(|| Some(stage.status().figures).filter(|figures| figures.deliveries == 50));
    let thaw = stage.freeze();
    (2..=301).for_each(|number| stage.publish(0, number, 10));
    drop(thaw);
    clients.iter_mut().for_each(|client| client.expect(1, 301));
    let after = wait_for(|| Some(stage.status().figures).filter(|figures| figures.deliveries == 50 * 301));
    assert_eq!(after.writes - before.writes, 50, "one write a stream for 300 events");
    assert_eq!((after.blocks, after.lagged), (0, 0));
}

#[test]
fn a_stream_joins_at_its_fence_whatever_came_since() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    stage.publish(0, 1, 0);
    let fence = stage.fence(0);
    (2..=5).for_each(|number| stage.publish(0, number, 0));
    let mut client = stage.join_at(0, &fence, Terms::default());
    client.expect(2, 5);
    stage.publish(0, 6, 0);
    client.expect(2, 6);
}

#[test]
fn chunks_stand_around_the_same_text() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0, 1]);
    let mut raw = stage.join(0, Terms::default());
    let mut chunked = stage.join(0, Terms { framing: Framing::Chunked, ..Terms::default() });
    for number in 1..=20 {
        stage.publish(u32::try_from(number % 2).unwrap(), number, usize::try_from(number).unwrap());
    }
    raw.expect(1, 20);
    let text = |client: &Client| unchunked(&client.bytes);
    chunked.read_until(|client| text(client).len() >= raw.bytes.len());
    assert_eq!(text(&chunked), raw.bytes);
}

/// The payloads of the complete chunks.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        let Some(chunk) = bytes.get(line + 2..line + 2 + len) else { break };
        payload.extend_from_slice(chunk);
        bytes = bytes.get(line + 2 + len + 2..).unwrap_or_default();
    }
    payload
}

#[test]
fn a_feed_of_one_stream_does_not_wait_for_a_long_pass_over_another() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    stage.open(1, &[1]);
    let count = streams_possible(2_000);
    let fence = stage.fence(0);
    let mut many: Vec<Client> = (0..count).map(|_| stage.join_at(0, &fence, Terms::default())).collect();
    let mut one = stage.join(1, Terms::default());
    let thaw = stage.freeze();
    stage.publish(0, 7, 1_000);
    stage.publish(1, 3, 10);
    drop(thaw);
    one.expect(3, 3);
    let order = stage.told(|told| told.delivered.contains(&7).then(|| told.delivered.clone()));
    assert_eq!(order, [3, 7], "the pass that began first ends last");
    many.iter_mut().for_each(|client| client.expect(7, 7));
}

#[test]
fn two_thousand_streams_get_everything() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let count = streams_possible(2_000);
    let mut clients: Vec<Client> = (0..count).map(|_| stage.join(0, Terms::default())).collect();
    (1..=40).for_each(|number| stage.publish(0, number, 100));
    clients.iter_mut().for_each(|client| client.expect(1, 40));
    let deliveries = u64::try_from(count).unwrap() * 40;
    wait_for(|| (stage.status().figures.deliveries == deliveries).then_some(()));
    assert_eq!(stage.status().streams, count);
    drop(clients);
    let left = stage.told(|told| (told.left.len() >= count).then(|| told.left.clone()));
    let mut principals: Vec<_> = left.iter().map(|(principal, _, _)| *principal).collect();
    principals.sort_unstable();
    principals.dedup();
    assert_eq!(principals.len(), left.len(), "each left once");
    assert!(left.iter().all(|(_, reason, _)| *reason == "client"));
    wait_for(|| (stage.status().streams == 0).then_some(()));
}

#[test]
fn messages_without_a_position_come_between_events() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let mut client = stage.join(0, Terms::default());
    stage.publish(0, 1, 0);
    let plain = sluice_wire::sse::Frame::event(None, None, "2:plain");
    stage.shard.tell(Notice::Plain { topic: TopicKey(0), frame: plain });
    stage.publish(0, 3, 0);
    client.expect(1, 3);
    assert!(!String::from_utf8_lossy(&client.bytes).contains("id: 2-0"));
}
