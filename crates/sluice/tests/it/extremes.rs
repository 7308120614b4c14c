//! Numbers that no clock gives, in ids and in stored records: each is answered, and the process lives.

use serde_json::{Value, json};
use sluice_testkit::{RedisServer, eventually, get};

use crate::access::closed;
use crate::stage::{SOON, gateway, open, since};

const LOG: &str = "sluice:{orders}:log";

/// The first id is the last moment that RFC 3339 can write, the second is one millisecond later.
const IDS: [(&str, Option<&str>); 4] = [
    ("253402300799999-0", Some("9999-12-31T23:59:59.999Z")),
    ("253402300800000-0", None),
    ("18446744073709551615-1", None),
    ("18446744073709551615-18446744073709551615", None),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_answers_for_ids_after_the_year_9999() {
    let redis = RedisServer::start().await.unwrap();
    let node = gateway(&redis.url()).spawn().await.unwrap();
    for (id, _) in IDS {
        redis.cli(&["XADD", LOG, id, "data", "x"]).await.unwrap();
    }
    let page = get(node.addr(), "/v1/topics/orders/events").await.unwrap();
    let page = page.expect_status(200).unwrap().json().unwrap();
    let told = page["events"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|event| (event["id"].as_str().unwrap(), event["time"].as_str())).collect();
    assert_eq!(told, IDS);
    let mut stream = open(node.addr(), &["orders"], &since("earliest")).await;
    for (id, _) in IDS {
        assert_eq!(stream.event().await.unwrap().last_event_id, id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_are_listed_whatever_their_end() {
    let redis = RedisServer::start().await.unwrap();
    let node = closed(gateway(&redis.url())).spawn().await.unwrap();
    let entry = json!({"subject": "mallory", "until_ms": u64::MAX}).to_string();
    redis.cli(&["XADD", "sluice:{sluice.revocations}:log", "*", "data", &entry]).await.unwrap();
    eventually("the revocation to be listed", SOON, async || {
        let list = get(node.ops_addr(), "/v1/revocations").await?.expect_status(200)?.json()?;
        let first = list["revocations"].get(0).cloned().unwrap_or_default();
        anyhow::ensure!(first["subject"] == "mallory", "{list}");
        anyhow::ensure!(first.get("until") == Some(&Value::Null), "{list}");
        Ok(())
    })
    .await
    .unwrap();
}
