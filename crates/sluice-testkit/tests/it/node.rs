//! Processes that stand in for `sluice`: what the kit does with a node, whatever the node does. The real binary is
//! driven by the end-to-end tests of its own crate.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use sluice_testkit::{Node, Role, eventually};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::answers::{Answers, End};

const SOON: Duration = Duration::from_secs(10);

/// An executable shell script.
fn script(directory: &TempDir, body: &str) -> Result<PathBuf> {
    let path = directory.path().join("stand-in");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn answer(body: &str) -> (String, End) {
    (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()), End::Close)
}

#[tokio::test]
async fn a_node_that_ends_at_once_fails_with_its_log() -> Result<()> {
    let directory = TempDir::new()?;
    let body = r#"echo "role $1, flag $2, at $SLUICE_LISTEN__ADDR, redis $SLUICE_REDIS__URL" >&2; exit 64"#;
    let node = Node::builder(script(&directory, body)?, Role::Gateway).redis("redis://x").arg("--flag");
    let error = format!("{:#}", node.clone().spawn().await.err().unwrap());
    assert!(error.contains("role gateway, flag --flag, at 127.0.0.1:"), "{error}");
    assert!(error.contains("redis redis://x") && error.contains("ended at once"), "{error}");
    assert_eq!(node.spawn_unready()?.exit(SOON).await?, 64);
    Ok(())
}

#[tokio::test]
async fn a_node_that_never_is_ready_fails_at_the_deadline() -> Result<()> {
    let directory = TempDir::new()?;
    let binary = script(&directory, "echo waiting; exec sleep 1000")?;
    let node = Node::builder(binary, Role::Dev).ready_within(Duration::from_millis(300));
    let error = format!("{:#}", node.spawn().await.err().unwrap());
    assert!(error.contains("/readyz") && error.contains("waiting"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_missing_binary_is_named() {
    let error = Node::builder("/no/such/sluice", Role::Gateway).spawn().await.err().unwrap();
    assert!(format!("{error:#}").contains("/no/such/sluice"));
}

#[tokio::test]
async fn a_ready_node_is_measured_and_terminated() -> Result<()> {
    let directory = TempDir::new()?;
    let binary = script(&directory, "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done")?;
    let mut node = Node::builder(binary, Role::Gateway).spawn_unready()?;
    let page = "# HELP sluice_streams_open x\nsluice_streams_open{shard=\"0\"} 2\nsluice_streams_open{shard=\"1\"} 3\n";
    let listener = TcpListener::bind(node.ops_addr()).await?;
    let _ops = Answers::serve(listener, vec![answer("ready"), answer(page), answer(page)])?;
    node.ready().await?;
    // Ahead of that the process may not even be the script yet.
    eventually("the script", SOON, async || node.log().contains("up")).await?;
    assert_eq!(node.metric("sluice_streams_open").await?, Some(5.0));
    assert_eq!(node.metric("sluice_streams").await?, None);
    assert!((100_000..100_000_000).contains(&node.rss_bytes()?));
    assert_eq!(node.events_url(), format!("http://{}/v1/events", node.addr()));
    node.pause()?;
    assert!(node.terminate(Duration::from_millis(100)).await.is_err());
    node.resume()?;
    assert_eq!(node.terminate(SOON).await?, 7);
    assert!(node.rss_bytes().is_err());
    Ok(())
}

#[tokio::test]
async fn a_killed_node_comes_back_on_its_ports() -> Result<()> {
    let directory = TempDir::new()?;
    let binary = script(&directory, r#"echo "at $SLUICE_LISTEN__ADDR"; exec sleep 1000"#)?;
    let mut node = Node::builder(binary, Role::Publisher).spawn_unready()?;
    let _ops = Answers::serve(TcpListener::bind(node.ops_addr()).await?, vec![answer("")])?;
    let starts = |node: &Node| node.log().matches(&format!("at {}\n", node.addr())).count();
    eventually("the first start in the log", SOON, async || starts(&node) == 1).await?;
    node.kill()?;
    assert!(node.kill().is_err());
    node.restart().await?;
    eventually("the second start in the log", SOON, async || starts(&node) == 2).await
}
