//! Node's `fetch`, which fails where an answer is followed by a reset while its body is still being sent.

use std::process::Command;

use serde_json::{Value, json};
use sluice_testkit::find_tool;

use crate::access::dev;

const SCRIPT: &str = r"
const [url, count] = process.argv.slice(1);
const body = 'x'.repeat(4 << 20);
const seen = {};
for (let n = 0; n < Number(count); n++) {
  let outcome;
  try {
    const answer = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'text/plain' } });
    await answer.text();
    outcome = String(answer.status);
  } catch (error) {
    outcome = String(error.cause?.code ?? error);
  }
  seen[outcome] = (seen[outcome] ?? 0) + 1;
}
console.log(JSON.stringify(seen));
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_sees_every_early_answer() {
    let Some(program) = find_tool("node", &["node", "nodejs"]) else { return };
    let node = dev().spawn().await.unwrap();
    let url = |path: &str| format!("http://{}{path}", node.addr());
    for (path, status) in [("/v1/topics/a/events", "401"), ("/nothing", "404")] {
        let mut command = Command::new(&program);
        command.args(["--input-type=module", "-e", SCRIPT, &url(path), "40"]);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(seen, json!({ status: 40 }), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
