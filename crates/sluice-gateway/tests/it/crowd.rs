//! Many streams, and nothing left when they have gone.

use sluice_testkit::RawConnection;
use tokio::task::JoinSet;

use crate::stage::{Stage, event, get_stream, greeting};

const ROUNDS: usize = 4;
const STREAMS: usize = 500;
const TOPICS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_streams_come_and_go() {
    let stage = Stage::start().await;
    for round in 0..ROUNDS {
        let mut opening = JoinSet::new();
        for number in 0..STREAMS {
            let address = stage.address;
            opening.spawn(async move {
                let mut connection = RawConnection::connect(address).await.unwrap();
                let topic = format!("t/{}", number % TOPICS);
                connection.send(get_stream(&topic)).await.unwrap();
                greeting(&mut connection).await;
                (connection, topic)
            });
        }
        let mut streams = opening.join_all().await;
        stage.reach("every slot", |status| status.shards.streams == STREAMS).await;
        let status = stage.gateway.status();
        assert_eq!((status.streams, status.topics), (STREAMS, TOPICS));
        assert!((TOPICS..=2 * TOPICS).contains(&status.feeds), "one a topic and shard: {status:?}");
        for number in 0..TOPICS {
            stage.publish(&format!("t/{number}"), &format!("round {round}")).await;
        }
        for (connection, _) in &mut streams {
            event(connection, &format!("round {round}")).await;
        }
        drop(streams);
        stage.empty().await;
    }
    let deliveries = stage.gateway.status().shards.figures.deliveries;
    assert_eq!(deliveries, (ROUNDS * STREAMS) as u64);
}
