//! The same spans at a receiver that shares no code with Sluice or its tests: rotel, a collector written anew
//! (`pip download rotel` has its `rotel-agent`).

use std::fs;
use std::process::Stdio;

use sluice_testkit::{Node, Role, SseOptions, eventually};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::{caller, publish, traced};
use crate::stage::{SLUICE, SOON, open};

/// Which program, unless `rotel-agent` is found as it is.
const PROGRAM: &str = "ROTEL_AGENT";

async fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Starts the receiver, which prints each span into `log`; `None` where there is none.
fn start(grpc: &str, http: &str, log: &NamedTempFile) -> Option<Child> {
    let program = std::env::var(PROGRAM).unwrap_or_else(|_| "rotel-agent".to_owned());
    let started = Command::new(program)
        .args([
            "start",
            "--exporter",
            "blackhole",
            "--debug-log",
            "traces",
            "--debug-log-verbosity",
            "detailed",
        ])
        .args(["--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http])
        .stdin(Stdio::null())
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .kill_on_drop(true)
        .spawn();
    started.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_receiver_reads_what_is_sent() {
    let (grpc, http) = (free_address().await, free_address().await);
    let log = NamedTempFile::new().unwrap();
    let Some(_receiver) = start(&grpc, &http, &log) else {
        println!("SKIPPED: an independent OTLP receiver, for want of rotel-agent ({PROGRAM} may name it)");
        return;
    };
    for (number, protocol, address) in [(1, "grpc", &grpc), (2, "http", &http)] {
        let node = traced(Node::builder(SLUICE, Role::Dev), protocol, &format!("http://{address}"));
        let node = node.spawn().await.unwrap();
        let mut stream = open(node.addr(), &["a"], &SseOptions::default()).await;
        let (traceparent, trace, _) = caller(number, "01");
        publish(&node, "a", &traceparent).await;
        stream.event().await.unwrap();
        let read = async || {
            let log = fs::read_to_string(log.path())?;
            let of_trace: Vec<&str> = log.split("Span #").filter(|span| span.contains(&trace)).collect();
            for name in ["publish", "redis publish", "deliver"] {
                let name = format!(": {name}\n");
                anyhow::ensure!(of_trace.iter().any(|span| span.contains(&name)), "no{name} in {log}");
            }
            Ok(())
        };
        eventually("the three spans", SOON, read).await.unwrap();
    }
}
