//! Signals from the kernel, and waiting for tasks.

use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use sluice_runtime::lifecycle::{Lifecycle, Phase};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_first_signal_drains_and_the_second_ends() {
    let life = Lifecycle::new();
    life.handle_signals().unwrap();
    assert_eq!(life.phase(), Phase::Starting);
    life.set_ready();
    assert_eq!(life.phase(), Phase::Ready);

    kill_process(getpid(), Signal::TERM).unwrap();
    tokio::time::timeout(PATIENCE, life.soft.cancelled()).await.unwrap();
    assert_eq!((life.phase(), life.hard.is_cancelled()), (Phase::Draining, false));

    kill_process(getpid(), Signal::INT).unwrap();
    tokio::time::timeout(PATIENCE, life.hard.cancelled()).await.unwrap();
    assert!(life.wait_idle(PATIENCE).await, "nobody waits for the signal handler");
}

#[tokio::test]
async fn hard_implies_soft() {
    let life = Lifecycle::new();
    life.hard.cancel();
    assert!(life.soft.is_cancelled());
    assert_eq!(life.phase(), Phase::Draining);
}

#[tokio::test]
async fn waiting_ends_with_the_last_task_or_at_the_deadline() {
    let life = Lifecycle::new();
    let hard = life.hard.clone();
    life.tracker.spawn(async move { hard.cancelled().await });
    assert!(!life.wait_idle(Duration::from_millis(20)).await);
    life.hard.cancel();
    assert!(life.wait_idle(PATIENCE).await);
}
