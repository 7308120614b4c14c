//! Against a real cluster, one shard of which hangs, primary and replica.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Router;
use sluice_broker::{BrokerSettings, connect};
use sluice_testkit::{RedisCluster, eventually};
use tokio_util::task::TaskTracker;

use crate::stage::{Answer, TEXT, WITHIN, data, open_to_all, post, service, start};

const TOPICS: [&str; 6] = ["t0", "t1", "t2", "t3", "t4", "t5"];

/// Publishes the next number to `topic` and takes it down if it is acknowledged.
async fn publish(
    service: &Router,
    acknowledged: &mut HashMap<&str, Vec<String>>,
    topic: &'static str,
    number: u32,
) -> Answer {
    let answer = post(service, &format!("/v1/topics/{topic}/events"), &[TEXT], number.to_string()).await;
    if answer.status == 201 {
        acknowledged.entry(topic).or_default().push(number.to_string());
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_shard_refuses_its_own_topics_alone() {
    let cluster = RedisCluster::builder().arg("cluster-require-full-coverage", "no").start().await.unwrap();
    let settings = BrokerSettings::new(cluster.url().parse().unwrap());
    let broker = connect(settings, &TaskTracker::new()).unwrap();
    let publisher = start(broker.clone(), sluice_publisher::PublisherSettings::default());
    let service = service(&publisher, open_to_all());
    let (primary, replica) =
        (cluster.primary_of("t0").await.unwrap(), cluster.replica_of("t0").await.unwrap());
    let (mut dead, mut healthy) = (Vec::new(), Vec::new());
    let mut acknowledged = HashMap::new();
    for topic in TOPICS {
        let of_dead = cluster.primary_of(topic).await.unwrap().addr() == primary.addr();
        if of_dead { &mut dead } else { &mut healthy }.push(topic);
        assert_eq!(publish(&service, &mut acknowledged, topic, 0).await.status, 201);
    }
    assert!(healthy.len() >= 2, "{healthy:?}");
    cluster.settled().await.unwrap();

    replica.pause().unwrap();
    primary.pause().unwrap();
    assert_eq!(publish(&service, &mut acknowledged, "t0", 1).await.status, 503, "it takes a timeout to know");
    let began = Instant::now();
    for number in 2..22 {
        for topic in &healthy {
            let answer = publish(&service, &mut acknowledged, topic, number).await;
            assert_eq!(answer.status, 201, "{topic}: {answer:?}");
        }
        for topic in &dead {
            let answer = publish(&service, &mut acknowledged, topic, number).await;
            assert_eq!((answer.status, answer.problem()), (503, "broker-unavailable"), "{topic}");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        }
    }
    // Had each waited for a timeout of Redis, it would have been minutes.
    assert!(began.elapsed() < Duration::from_secs(20), "somebody waited for it: {:?}", began.elapsed());

    let open = publisher.open_circuits();
    assert!(open.len() == 1 && open[0].partition == broker.partition(&"t0".parse().unwrap()), "{open:?}");

    primary.resume().unwrap();
    replica.resume().unwrap();
    let mut number = 22;
    eventually("the dead shard to be back", WITHIN, async || {
        number += 1;
        publish(&service, &mut acknowledged, "t0", number).await.status == 201
    })
    .await
    .unwrap();
    for topic in TOPICS {
        let mut kept = data(&*broker, topic).await;
        // What was refused may be there: nobody knew.
        kept.retain(|number| acknowledged[topic].contains(number));
        assert_eq!(kept, acknowledged[topic], "{topic}");
    }
    publisher.close().await;
}
