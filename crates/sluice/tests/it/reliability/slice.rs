//! What runs always: the faults of each topology, some of them in turn in one installation.

use sluice_testkit::{Fault, Topology};
use tokio::sync::Mutex;

use super::{experiment, hold};

/// One installation at a time: each has its machine's two cores to itself, the failovers their timings.
static MACHINE: Mutex<()> = Mutex::const_new(());

async fn hold_under(seed: u64, topology: Topology, faults: &[Fault]) {
    let _alone = MACHINE.lock().await;
    hold(faults.iter().fold(experiment(seed, topology), |experiment, fault| experiment.fault(*fault))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_clients_that_go_away() {
    let faults =
        [Fault::GatewayKilled, Fault::GatewayTerminated, Fault::PublisherKilled, Fault::PublishersReset];
    hold_under(4_001, Topology::Standalone, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_cut_or_silent() {
    let faults =
        [Fault::LinkReset, Fault::LinkSilentFromRedis, Fault::LinkSilentToRedis, Fault::PublisherCut];
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_sentinels_replace() {
    let faults = [Fault::PrimaryKilled, Fault::FailoverByCommand, Fault::PrimaryPaused];
    hold_under(4_005, Topology::Sentinel, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_changes_its_shape() {
    let faults = [Fault::SlotMoved, Fault::FailoverByCommand, Fault::SubscribersKilled];
    hold_under(4_006, Topology::Cluster, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_a_cluster_replaces() {
    hold_under(4_007, Topology::Cluster, &[Fault::PrimaryKilled]).await;
}
