//! Clients that go away: whenever it is, nothing is left of them.

use sluice_testkit::RawConnection;

use crate::stage::{Stage, event, get_stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_the_admission() {
    let stage = Stage::start().await;
    for number in 0..100 {
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(get_stream(&format!("a/{}", number % 7))).await.unwrap();
        match number % 3 {
            0 => connection.reset().unwrap(),
            1 => connection.half_close().await.unwrap(),
            _ => drop(connection),
        }
    }
    // A stream that is admitted behind them is the last that was.
    let last = stage.stream("last").await;
    stage.reach("those before to be gone", |status| status.streams == 1).await;
    drop(last);
    stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_live_and_idle() {
    let stage = Stage::start().await;
    let mut stay = stage.stream("a").await;
    for _ in 0..20 {
        let closed = stage.stream("a").await;
        let reset = stage.stream("b").await;
        drop(closed);
        reset.reset().unwrap();
    }
    stage.reach("those to be gone", |status| status.streams == 1 && status.feeds == 1).await;
    stage.publish("a", "one").await;
    event(&mut stay, "one").await;
    drop(stay);
    stage.empty().await;
}

/// A client that has said that it sends no more counts as gone, although it could read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_half() {
    let stage = Stage::start().await;
    let mut connection = stage.stream("a").await;
    connection.half_close().await.unwrap();
    stage.empty().await;
    connection.read_to_end().await.unwrap();
}

/// In the middle of a replay that it does not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_replay_under_way() {
    let stage = Stage::start().await;
    let filler = "x".repeat(30_000);
    for _ in 0..1_000 {
        stage.publish("big", &filler).await;
    }
    let mut connections = Vec::new();
    for _ in 0..10 {
        let mut connection = RawConnection::connect_narrow(stage.address, 4_096).await.unwrap();
        let request = get_stream("big").replace("topic=big", "topic=big&since=earliest");
        connection.send(request).await.unwrap();
        connection.read_until("\ndata: ").await.unwrap();
        connections.push(connection);
    }
    stage.reach("all of them to be parked", |status| status.shards.parked == 10).await;
    assert_eq!(stage.gateway.status().streams, 10);
    drop(connections);
    stage.empty().await;
}
