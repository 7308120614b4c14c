//! Client text in the log: never a line of its own, in either format.

use sluice_testkit::{Node, RawConnection, RedisServer, Role, eventually, request};

use crate::stage::{SLUICE, SOON};

const FORGED: &str = "FORGED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_forges_a_line_of_the_log() {
    for format in ["text", "json"] {
        let redis = RedisServer::start().await.unwrap();
        let node = Node::builder(SLUICE, Role::Dev)
            .redis(&redis.url())
            .env("SLUICE_TELEMETRY__LOG_FORMAT", format)
            .env("SLUICE_TELEMETRY__LOG_LEVEL", "debug,hyper=trace");
        let node = node.spawn().await.unwrap();
        let mut stream = RawConnection::connect(node.addr()).await.unwrap();
        stream.send("GET /v1/events?topic=t HTTP/1.0\r\n\r\n").await.unwrap();
        stream.read_until("\nid: ").await.unwrap();
        for message in [
            format!("\u{1}v=2\r\n{FORGED}"),
            format!("\u{1}v=\r{FORGED} id=1-1\nx"),
            format!("\u{1}v=1 id=1-1 type=%0A{FORGED}%1b[2J\nx"),
        ] {
            redis.cli_with_stdin(&["-x", "PUBLISH", "sluice:{t}:live"], message.as_bytes()).await.unwrap();
        }
        for request in [
            format!(
                "GET /%0A{FORGED}?x=%0A{FORGED} HTTP/1.1\r\nhost: %0A{FORGED}\r\nuser-agent: \x1b[2J{FORGED}\r\n\r\n"
            ),
            format!("GET /v1/events?topic=%0A{FORGED} HTTP/1.1\r\nhost: t\r\n\r\n"),
            format!("GET /v1/topics/%0A{FORGED}/events HTTP/1.1\r\nhost: t\r\ntraceparent: {FORGED}\r\n\r\n"),
            format!("\n{FORGED} \r\n\n"),
            format!("GET / HTTP/1.1\n{FORGED}\r{FORGED}\n\n"),
        ] {
            let mut connection = RawConnection::connect(node.addr()).await.unwrap();
            connection.send(request).await.unwrap();
            connection.half_close().await.unwrap();
            let _ = connection.read_to_end().await;
        }
        let body = format!(
            "{{\"topic\":\"\\n{FORGED}\",\"data\":1}}\n{{\"topic\":\"t\",\"type\":\"\\r{FORGED}\",\"data\":1}}"
        );
        let lines = [("content-type", "application/x-ndjson")];
        request(node.addr(), "POST", "/v1/events", &lines, body).await.unwrap().expect_status(207).unwrap();
        let told = async || node.log().contains("skipped a message");
        eventually("a log line about a message that is none", SOON, told).await.unwrap();
        // The greeting on stdout is no part of the log, and holds nothing of clients.
        for line in node.log().lines() {
            assert!(!line.trim_start().starts_with(FORGED), "{format}: {line}");
            assert!(!line.contains(['\r', '\u{1b}']), "{format}: {line:?}");
            let whole = serde_json::from_str::<serde_json::Value>(line).is_ok();
            assert!(format == "text" || whole || !line.contains(FORGED), "{line}");
        }
    }
}
