//! Streams that do not keep up.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use sluice_fanout::{Framing, Joining, Laggard, RingLimits};

use crate::stage::{CALM, PATIENCE, RINGS, Stage, Terms, event, wait_for};

const SMALL: RingLimits = RingLimits { events_max: 4, bytes_max: 1 << 20 };
/// More than a socket takes at once, so that streams block in the middle of a frame.
const SIZE: usize = 100_000;

/// Feeds a laggard what lies between it and the event `to`, as a catch-up would, and joins it again.
fn catch_up(stage: &Stage, Laggard { stream: lagging, .. }: Laggard<OwnedFd>) {
    let fence = stage.fence(0);
    let mut text = Vec::new();
    if let Some((frame, offset)) = &lagging.rest {
        frame.copy_from(Framing::Raw, *offset as usize, &mut text);
    }
    for number in lagging.positions[0].ms + 1..=fence.positions[0].ms {
        text.extend_from_slice(event(number, SIZE).payload_bytes());
    }
    let mut socket = UnixStream::from(lagging.socket);
    socket.set_nonblocking(false).unwrap();
    socket.write_all(&text).unwrap();
    socket.set_nonblocking(true).unwrap();
    stage.shard.join(
        Joining { socket: socket.into(), positions: fence.positions.clone(), rest: None, ..lagging },
        fence.sequence,
    );
}

/// A shard that was kept from running finds more in its inbox than a ring holds.
#[test]
fn a_burst_longer_than_the_ring_drives_out_nobody_who_can_be_written_to() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let mut client = stage.join(0, Terms::default());
    let events = 2 * RINGS.events_max as u64;
    let frozen = stage.freeze();
    (1..=events).for_each(|number| stage.publish(0, number, 0));
    drop(frozen);
    client.expect(1, events);
    assert_eq!(stage.status().figures.lagged, 0);
}

#[test]
fn a_reader_that_stops_is_parked_and_handed_back_when_it_reads_again() {
    let stage = Stage::new(SMALL, CALM);
    stage.open(0, &[0]);
    let (mut slow, mut quick) = (stage.join(0, Terms::default()), stage.join(0, Terms::default()));
    for number in 1..=60 {
        stage.publish(0, number, SIZE);
        quick.expect(1, number);
    }
    let status = wait_for(|| Some(stage.status()).filter(|status| status.parked == 1));
    assert_eq!((status.figures.lagged, status.streams), (1, 2));
    assert!(stage.lagging.try_recv().is_err(), "nobody is handed over who takes nothing");

    std::thread::scope(|scope| {
        let reading = scope.spawn(|| slow.expect(1, 61));
        let lagging = stage.lagging.recv_timeout(PATIENCE).unwrap();
        assert!(lagging.passed && lagging.stream.rest.is_some(), "it is in the middle of a frame");
        catch_up(&stage, lagging);
        stage.publish(0, 61, SIZE);
        while !reading.is_finished() {
            // It may fall behind once more.
            if let Ok(lagging) = stage.lagging.recv_timeout(std::time::Duration::from_millis(10)) {
                catch_up(&stage, lagging);
            }
        }
        reading.join().unwrap();
    });
    quick.expect(1, 61);
}

#[test]
fn who_joins_where_the_ring_no_longer_is_gets_back_as_it_came() {
    let stage = Stage::new(SMALL, CALM);
    stage.open(0, &[0]);
    let mut live = stage.join(0, Terms::default());
    let fence = stage.fence(0);
    stage.shard.unpin(sluice_fanout::FeedId(0));
    for number in 1..=20 {
        stage.publish(0, number, 0);
        live.expect(1, number);
    }
    let _late = stage.join_at(0, &fence, Terms::default());
    let Laggard { stream, passed, .. } = stage.lagging.recv_timeout(PATIENCE).unwrap();
    assert_eq!((stream.positions, stream.rest.is_none(), passed), (fence.positions, true, false));
    assert_eq!(stage.status().streams, 1);
}

#[test]
fn a_parked_stream_comes_back_as_soon_as_it_can_be_written_to() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    let fence = stage.fence(0);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    stage.shard.park(Joining {
        socket: ours.into(),
        feed: sluice_fanout::FeedId(0),
        framing: Framing::Raw,
        ends: sluice_fanout::Deadline::NEVER,
        opened_s: 0,
        principal: 9,
        positions: fence.positions,
        rest: None,
    });
    assert_eq!(stage.lagging.recv_timeout(PATIENCE).unwrap().stream.principal, 9);
}

#[test]
fn who_takes_nothing_for_too_long_is_given_up() {
    let stage = Stage::new(SMALL, sluice_fanout::Housekeeping { stall_s: 1, ..CALM });
    stage.open(0, &[0]);
    let (_silent, mut quick) = (stage.join(0, Terms::default()), stage.join(0, Terms::default()));
    for number in 1..=20 {
        stage.publish(0, number, SIZE);
        quick.expect(1, number);
    }
    assert!(stage.lagging.try_recv().is_err());
    let left = stage.told(|told| told.left.first().copied());
    assert_eq!(left.1, "stalled");
    wait_for(|| (stage.status().streams == 1).then_some(()));
}
