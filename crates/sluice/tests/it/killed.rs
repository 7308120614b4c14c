//! Continuity while nodes die: nothing lost, nothing repeated, nothing reordered.

use std::time::Duration;

use crate::crowd::{Crowd, TOPICS};
use crate::stage::Cluster;

const STREAMS: usize = 100;
const EVENTS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_and_started_again_costs_nothing() {
    let mut cluster = Cluster::start().await;
    let crowd = Crowd::gather(&cluster.addresses(), STREAMS).await;
    for number in 0..EVENTS {
        match number {
            80 => cluster.gateways[0].kill().unwrap(),
            160 => cluster.gateways[0].restart().await.unwrap(),
            200 => cluster.gateways[1].kill().unwrap(),
            260 => cluster.gateways[1].restart().await.unwrap(),
            _ => {}
        }
        cluster.publish_entered(&crowd.ledger, TOPICS[number % TOPICS.len()]).await;
    }
    crowd.assert_exact("SIGKILL of each gateway in turn, 100 streams").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_in_good_order_costs_nothing() {
    let mut cluster = Cluster::start().await;
    let crowd = Crowd::gather(&cluster.addresses(), 40).await;
    for number in 0..EVENTS {
        if number == 100 {
            let gateway = &mut cluster.gateways[0];
            assert_eq!(gateway.terminate(Duration::from_secs(20)).await.unwrap(), 0);
            gateway.restart().await.unwrap();
        }
        cluster.publish_entered(&crowd.ledger, TOPICS[number % TOPICS.len()]).await;
    }
    crowd.assert_exact("SIGTERM of a gateway, 40 streams").await;
}
