//! The verbs of the command line, as a shell would call them.

mod revoke;

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use sluice_testkit::{Node, RedisServer, Role, eventually};
use sluice_wire::EventId;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::stage::{SLUICE, SOON};

fn sluice(args: &[&str], url: &str) -> Command {
    let mut command = Command::new(SLUICE);
    command.args(args).env("SLUICE_URL", url).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(args: &[&str], url: &str, input: &str) -> Output {
    let mut child = sluice(args, url).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    timeout(SOON, child.wait_with_output()).await.unwrap().unwrap()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn out(output: &Output) -> Vec<&str> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    std::str::from_utf8(&output.stdout).unwrap().lines().collect()
}

/// A running `sluice tail`.
struct Tail {
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Tail {
    fn start(args: &[&str], url: &str) -> Self {
        let mut child = sluice(args, url).stderr(Stdio::null()).spawn().unwrap();
        Self { lines: BufReader::new(child.stdout.take().unwrap()).lines(), child }
    }

    async fn line(&mut self) -> String {
        timeout(SOON, self.lines.next_line()).await.expect("a line in time").unwrap().expect("a line")
    }
}

async fn node() -> (RedisServer, Node) {
    let redis = RedisServer::builder().appendonly(true).start().await.unwrap();
    let node = Node::builder(SLUICE, Role::Dev).redis(&redis.url()).spawn().await.unwrap();
    (redis, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_publish_prints_ids_in_order() {
    let (redis, node) = node().await;
    let url = url(node.addr());
    let all = [
        run(&["publish", "orders", "one", "--type", "first"], &url, "").await,
        run(&["publish", "orders"], &url, "two\nlines\n").await,
        run(&["publish", "orders", "--lines"], &url, "three\nfour\n").await,
        run(&["publish", "--ndjson"], &url, "{\"topic\":\"orders\",\"data\":{\"n\":5}}\n").await,
        run(&["publish", "orders", "six", "--url", &redis.url()], "http://127.0.0.1:1", "").await,
    ];
    let ids: Vec<EventId> = all.iter().flat_map(|output| out(output)).map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 6 && ids.is_sorted_by(|a, b| a < b), "{ids:?}");

    let read = run(&["tail", "orders", "--since", "earliest", "--count", "6", "--json"], &url, "").await;
    let events: Vec<serde_json::Value> =
        out(&read).into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let data: Vec<_> = events.iter().map(|event| event["data"].as_str().unwrap()).collect();
    assert_eq!(data, ["one", "two\nlines\n", "three", "four", "{\"n\":5}", "six"]);
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&"first".into(), &"message".into()));
    let read: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(ids, read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_a_retry_safe() {
    let (_redis, node) = node().await;
    let publish = ["publish", "orders", "once", "--key", "order-7"];
    let url = url(node.addr());
    let first = run(&publish, &url, "").await;
    let again = run(&publish, &url, "").await;
    assert_eq!(out(&first), out(&again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_told_with_its_line_and_the_rest_goes_on() {
    let (_redis, node) = node().await;
    let input = "{\"topic\":\"a\",\"data\":\"1\"}\n{\n{\"topic\":\"a b\",\"data\":\"x\"}\n{\"topic\":\"a\",\"data\":\"2\"}\n";
    let output = run(&["publish", "--ndjson"], &url(node.addr()), input).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 2") && said.contains("line 3"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    let nobody = run(&["publish", "a", "x"], "http://127.0.0.1:1", "").await;
    assert_eq!(nobody.status.code(), Some(69));
    let wrong = run(&["publish", "a b", "x"], &url(node.addr()), "").await;
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_goes_on_over_a_restart_without_a_loss_or_a_repeat() {
    let (redis, mut node) = node().await;
    let url = url(node.addr());
    let mut tail = Tail::start(&["tail", "orders", "--since", "earliest", "--count", "30"], &url);
    let direct = redis.url();
    for part in 0..3 {
        let numbers: Vec<String> = (part * 10..(part + 1) * 10).map(|number| number.to_string()).collect();
        if part == 1 {
            node.kill().unwrap();
        }
        let lines = numbers.join("\n");
        out(&run(&["publish", "orders", "--lines", "--url", &direct], &url, &lines).await);
        if part == 1 {
            node.restart().await.unwrap();
        }
        for number in numbers {
            assert_eq!(tail.line().await, number);
        }
    }
    let status = timeout(SOON, tail.child.wait()).await.expect("an end after --count").unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_follows_several_topics_from_now_on() {
    let (_redis, node) = node().await;
    let url = url(node.addr());
    out(&run(&["publish", "a", "before"], &url, "").await);
    let mut tail = Tail::start(&["tail", "a", "b"], &url);
    eventually("the stream", SOON, async || {
        node.metric("sluice_feeds").await.map(|feeds| feeds == Some(1.0)).unwrap_or(false)
    })
    .await
    .unwrap();
    out(&run(&["publish", "b", "1"], &url, "").await);
    out(&run(&["publish", "a", "2"], &url, "").await);
    assert_eq!([tail.line().await, tail.line().await], ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_says_why_there_is_nothing_to_follow() {
    let (_redis, node) = node().await;
    let nobody = run(&["tail", "a"], "http://127.0.0.1:1", "").await;
    assert_eq!(nobody.status.code(), Some(69));
    let elsewhere = run(&["tail", "a"], &url(node.ops_addr()), "").await;
    assert_eq!(elsewhere.status.code(), Some(1), "{}", String::from_utf8_lossy(&elsewhere.stderr));
    let wrong = run(&["tail", "a", "--since", "yesterday"], &url(node.addr()), "").await;
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_prints_what_is_in_force_and_no_secret() {
    let output = Command::new(SLUICE)
        .args(["config", "gateway", "--set", "streams.retry_ms=1234"])
        .env("SLUICE_REDIS__URL", "redis://user:hunter2@redis.example:6380/0")
        .output();
    let output = timeout(Duration::from_secs(10), output).await.unwrap().unwrap();
    let printed = out(&output).join("\n");
    assert!(printed.contains("retry_ms = 1234"), "{printed}");
    assert!(printed.contains("redis.example:6380") && !printed.contains("hunter2"), "{printed}");
    let defaults = out(&run(&["config", "--defaults"], "", "").await).join("\n");
    assert!(defaults.contains("[streams]"), "{defaults}");
}
