//! Surveys: the worst streams of a shard, told without standing in anybody's way.

use std::sync::mpsc::channel;
use std::time::Duration;

use sluice_fanout::{Phase, StreamReport, Survey};
use sluice_wire::Topic;

use crate::stage::{CALM, Client, PATIENCE, RINGS, Stage, Terms, wait_for};

fn survey(stage: &Stage, topic: Option<&str>, limit: usize) -> Option<Vec<StreamReport>> {
    let (reply, replied) = channel();
    let topic = topic.map(|topic| Topic::parse(topic).unwrap());
    stage.shard.survey(Survey::new(topic, limit), move |reports| reply.send(reports).unwrap());
    replied.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn the_streams_that_lag_most_are_told_and_no_more_than_asked_for() {
    let stage = Stage::new(RINGS, CALM);
    (0..2).for_each(|feed| stage.open(feed, &[feed]));
    // First, so that nothing but what they lack brings them to the top.
    let stuck: Vec<Client> = (0..3).map(|_| stage.join(1, Terms::default())).collect();
    let mut level: Vec<Client> = (0..2_000).map(|_| stage.join(0, Terms::default())).collect();
    wait_for(|| (stage.status().streams == 2_003).then_some(()));
    (1..=20).for_each(|number| stage.publish(1, number, 40_000));
    wait_for(|| (stage.status().blocked == 3).then_some(()));

    let worst = survey(&stage, None, 3).unwrap();
    assert_eq!(worst.len(), 3);
    for report in &worst {
        assert_eq!(report.phase, Phase::Blocked);
        assert!((1..=20).contains(&report.behind_frames), "{report:?}");
        let most = report.behind_frames * 40_100;
        assert!(report.behind_bytes > most - 2 * 40_100 && report.behind_bytes < most, "{report:?}");
        assert_eq!(report.topics.as_ref().unwrap().members()[0].1.as_str(), "t1");
        assert!(report.peer.is_none() && report.ends_in_s.is_none(), "a socket without an address");
    }
    let quiet = survey(&stage, Some("t0"), 10_000).unwrap();
    assert_eq!(quiet.len(), 2_000);
    assert!(quiet.iter().all(|report| report.phase == Phase::Live && report.behind_frames == 0));
    assert_eq!(survey(&stage, Some("t9"), 10).unwrap().len(), 0);

    // It goes on serving meanwhile, and answers or refuses whoever asks.
    let (reply, replied) = channel();
    let thaw = stage.freeze();
    for _ in 0..10 {
        let reply = reply.clone();
        stage.shard.survey(Survey::new(None, 1), move |reports| reply.send(reports.is_some()).unwrap());
    }
    drop(thaw);
    let answers: Vec<bool> = (0..10).map(|_| replied.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(answers.iter().filter(|answered| **answered).count(), 4, "four at once: {answers:?}");
    stage.publish(0, 1, 0);
    level.iter_mut().for_each(|client| client.expect(1, 1));
    drop(stuck);
}

#[test]
fn ages_are_those_of_streams_not_of_their_slots() {
    let stage = Stage::new(RINGS, CALM);
    stage.open(0, &[0]);
    wait_for(|| (stage.shard.seconds_from_now(Duration::ZERO) >= 3).then_some(()));
    // Its slot is new, the stream is not: it says that it was opened when the clock began.
    let _client = stage.join(0, Terms::default());
    let report = wait_for(|| survey(&stage, None, 1).unwrap().pop());
    assert!(report.age_s >= 2 && report.idle_s < report.age_s, "{report:?}");
}
