//! The same spans at a receiver that shares no code with Sluice or its tests: rotel, a collector written anew
//! (`make test` installs its `rotel-agent` from PyPI).

use std::fs;
use std::process::Stdio;

use sluice_testkit::{Node, Role, SseOptions, eventually, find_tool, free_address, skip_without};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use super::{caller, publish, traced};
use crate::stage::{SLUICE, SOON, open};

/// Which program, unless `rotel-agent` is found as it is.
const PROGRAM: &str = "ROTEL_AGENT";

/// Starts the receiver, which prints each span into `log`. Returns `None` where there is none.
fn start(grpc: &str, http: &str, log: &NamedTempFile) -> Option<Child> {
    let program = match std::env::var_os(PROGRAM).filter(|program| !program.is_empty()) {
        Some(program) => program.into(),
        None => find_tool("rotel-agent", &["rotel-agent"])?,
    };
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
    if started.is_err() {
        skip_without("rotel-agent");
    }
    started.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_receiver_reads_what_is_sent() {
    let address = || free_address().unwrap().to_string();
    let (grpc, http) = (address(), address());
    let log = NamedTempFile::new().unwrap();
    let Some(_receiver) = start(&grpc, &http, &log) else { return };
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
