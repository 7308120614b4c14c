//! A process that has no descriptor left: what it serves is served on, and nothing spins.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_testkit::{Node, RawConnection, Role, SseOptions, SseStream, eventually, publish_http};

use crate::stage::{SLUICE, SOON};

const DESCRIPTORS: usize = 200;

/// The binary with so many descriptors.
pub(crate) fn limited(directory: &Path, descriptors: usize) -> PathBuf {
    let limited = directory.join("sluice-limited");
    fs::write(&limited, format!("#!/bin/sh\nulimit -n {descriptors}\nexec '{SLUICE}' \"$@\"\n")).unwrap();
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).unwrap();
    limited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_half_open_connections_as_there_are_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let limited = limited(directory.path(), DESCRIPTORS);
    // Promises that its descriptors do not cover, so that the last of them is reached.
    let node = Node::builder(&limited, Role::Dev)
        .env("SLUICE_LISTEN__CONNECTIONS_MAX", "10000")
        .env("SLUICE_LIMITS__STREAMS_MAX", "10000")
        .env("SLUICE_LIMITS__HEADER_READ_TIMEOUT_MS", "300000")
        .spawn()
        .await
        .unwrap();
    let mut stream = SseStream::open(node.addr(), &["a"], &SseOptions::default()).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..3 * DESCRIPTORS {
        silent.push(RawConnection::connect(node.addr()).await.unwrap());
    }
    // Operations answer too, if perhaps not at once: they share the descriptors.
    eventually("a pause of accepting", SOON, async || {
        node.metric("sluice_accept_pauses_total").await.is_ok_and(|pauses| pauses > Some(0.0))
    })
    .await
    .unwrap();
    let publishing =
        eventually("an event to be taken", SOON, async || publish_http(node.addr(), "a", "one").await);
    publishing.await.unwrap();
    assert_eq!(stream.event().await.unwrap().data, "one");
    let late = eventually("a new stream", SOON, async || {
        SseStream::open(node.addr(), &["a"], &SseOptions::default()).await
    });
    drop(late.await.unwrap());
    drop(silent);

    // At rest it costs nothing again. It is at rest when it has taken in and let go what was in the queue.
    eventually("the silent connections to be gone", SOON, async || {
        let open = node.metric("process_open_fds").await?.unwrap_or(0.0);
        anyhow::ensure!(open < 60.0, "{open} descriptors open");
        Ok(())
    })
    .await
    .unwrap();
    let cpu = async || node.metric("process_cpu_seconds_total").await.ok().flatten();
    let before = eventually("operations", SOON, cpu).await.unwrap();
    let pauses = node.metric("sluice_accept_pauses_total").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cpu().await.unwrap() - before <= 1.0, "it spins");
    assert_eq!(node.metric("sluice_accept_pauses_total").await.unwrap(), pauses);
}

/// The operations listener shares the descriptors, and must not take those of streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_requests_to_operations_leave_room_for_streams() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::builder(limited(directory.path(), 512), Role::Dev).spawn().await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..600 {
        let mut connection = RawConnection::connect(node.ops_addr()).await.unwrap();
        // One that was cut off at once is as good.
        let _ = connection.send("GET /readyz HTTP/1.1\r\nhost: x\r\n").await;
        silent.push(connection);
    }
    let open = node.metric("process_open_fds").await.unwrap().unwrap();
    assert!(open < 256.0, "{open} descriptors open");
    sluice_testkit::get(node.ops_addr(), "/readyz").await.unwrap().expect_status(200).unwrap();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let stream = SseStream::open(node.addr(), &["a"], &SseOptions::default()).await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    assert_eq!(node.metric("sluice_accept_pauses_total").await.unwrap(), Some(0.0));
}
