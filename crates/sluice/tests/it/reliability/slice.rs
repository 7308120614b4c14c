//! What runs always: the faults of each topology, some of them in turn in one installation.

use sluice_testkit::{Fault, Topology};

use super::hold_under;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_clients_that_go_away() {
    let faults =
        [Fault::GatewayKilled, Fault::GatewayTerminated, Fault::PublisherKilled, Fault::PublishersReset];
    hold_under(4_001, Topology::Standalone, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_cut_or_silent() {
    let faults = [Fault::LinkReset, Fault::LinkSilentFromRedis, Fault::LinkSilentToRedis, Fault::PublisherCut];
    hold_under(4_002, Topology::Standalone, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_restarts_hangs_and_cuts_off() {
    let faults = [Fault::PrimaryKilled, Fault::PrimaryPaused, Fault::ClientsKilled, Fault::OutputLimit];
    hold_under(4_003, Topology::Tls, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_was_emptied_is_told() {
    hold_under(4_004, Topology::Standalone, &[Fault::Flushed]).await;
}
