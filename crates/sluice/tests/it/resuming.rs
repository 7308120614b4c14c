//! Where streams begin and how they go on: cursors on another node, `since`, several topics, history.

use std::collections::HashMap;

use sluice_testkit::{Item, SseOptions, SseStream, get, publish_batch};
use sluice_wire::EventId;

use crate::stage::{Cluster, behind, data, open, since};

async fn publish_numbered(cluster: &Cluster, topic: &str, count: usize) -> Vec<EventId> {
    let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    let lines: Vec<_> = numbers.iter().map(|number| (topic, number.as_str())).collect();
    let results = publish_batch(cluster.publisher.publisher_addr(), &lines).await.unwrap();
    results.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_on_at_the_other_node() {
    let cluster = Cluster::start().await;
    let mut first = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    let began_at = first.last_event_id().to_owned();
    publish_numbered(&cluster, "orders", 10).await;
    assert_eq!(data(&first.events(4).await.unwrap()), ["1", "2", "3", "4"]);
    let cursor = first.last_event_id().to_owned();
    drop(first);

    let mut second = cluster.stream(1, &["orders"], &behind(&cursor)).await;
    assert_eq!(second.last_event_id(), cursor, "the first frame says where the stream begins");
    assert_eq!(data(&second.events(6).await.unwrap()), ["5", "6", "7", "8", "9", "10"]);
    cluster.publish("orders", "11").await;
    assert_eq!(second.event().await.unwrap().data, "11");

    // Who left before its first event has the first frame's cursor, and misses nothing.
    let mut third = cluster.stream(1, &["orders"], &behind(&began_at)).await;
    assert_eq!(third.events(11).await.unwrap()[0].data, "1");
    assert!(third.controls().is_empty(), "{:?}", third.controls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_since_begins_where_it_says() {
    let cluster = Cluster::start().await;
    let all = ["1", "2", "3", "4", "5"];
    let fixed = ["earliest", "last:2", "last:0", "last:99", "1970-01-01T00:00:00Z", "1h 30m", "0s"];
    let expected = [&all[..], &all[3..], &[], &all[..], &all[..], &all[..], &[]];
    let mut cases: Vec<(String, &[&str])> = fixed.iter().map(ToString::to_string).zip(expected).collect();
    cases.extend([("the second id".to_owned(), &all[2..]), ("behind the last".to_owned(), &[])]);
    for (number, (mut form, expected)) in cases.into_iter().enumerate() {
        let topic = format!("orders/{number}");
        let ids = publish_numbered(&cluster, &topic, 5).await;
        match form.as_str() {
            "the second id" => form = ids[1].to_string(),
            "behind the last" => form = rfc3339(ids[4].ms + 1),
            _ => {}
        }
        let mut stream = open(cluster.addresses()[1], &[&topic], &since(&form)).await;
        let received = stream.events(expected.len()).await.unwrap();
        assert_eq!(data(&received), expected, "{form}");
        let next = cluster.publish(&topic, "then live").await;
        let event = stream.event().await.unwrap();
        assert_eq!((event.data.as_str(), event.last_event_id), ("then live", next.to_string()), "{form}");
    }
}

fn rfc3339(ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    humantime::format_rfc3339_millis(time).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_beats_since_and_the_header_beats_the_query() {
    let cluster = Cluster::start().await;
    let ids = publish_numbered(&cluster, "orders", 3).await;
    let options = SseOptions { since: Some("earliest".to_owned()), ..behind(&ids[1].to_string()) };
    let mut stream = open(cluster.addresses()[0], &["orders"], &options).await;
    assert_eq!(stream.event().await.unwrap().data, "3");

    let path = format!("/v1/topics/orders/events?since={}&limit=1", ids[0]);
    let page = get(cluster.addresses()[0], &path).await.unwrap().expect_status(200).unwrap();
    assert_eq!(page.json().unwrap()["events"][0]["data"], "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_topics_go_on_by_their_common_cursor() {
    let topics = ["a", "b", "c"];
    let cluster = Cluster::start().await;
    let mut stream = cluster.stream(0, &topics, &SseOptions::default()).await;
    let mut received: HashMap<String, Vec<usize>> = HashMap::new();
    let mut published = 0;
    for round in 0..12 {
        let lines: Vec<(usize, &str)> = (0..25).map(|at| (published + at, topics[(at * at) % 3])).collect();
        published += lines.len();
        let texts: Vec<(&str, String)> =
            lines.iter().map(|(number, topic)| (*topic, format!("{topic} {number}"))).collect();
        let batch: Vec<_> = texts.iter().map(|(topic, text)| (*topic, text.as_str())).collect();
        let results = publish_batch(cluster.publisher.publisher_addr(), &batch).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
        // It leaves in the middle of each batch, and comes back to the other node.
        let take = if round % 2 == 0 { 11 } else { 25 + 14 };
        for event in stream.events(take).await.unwrap() {
            let (topic, number) = event.data.split_once(' ').unwrap();
            received.entry(topic.to_owned()).or_default().push(number.parse().unwrap());
        }
        let cursor = stream.last_event_id().to_owned();
        assert!(cursor.len() <= 128, "{cursor}");
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{cursor}");
        // Its names, not their order, are what the cursor goes by.
        let order = if round % 2 == 0 { ["c", "a", "b"] } else { ["b", "c", "a"] };
        stream = open(cluster.addresses()[(round + 1) % 2], &order, &behind(&cursor)).await;
    }
    assert_eq!(received.values().map(Vec::len).sum::<usize>(), published);
    for (topic, numbers) in received {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{topic}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_read_page_by_page() {
    let cluster = Cluster::start().await;
    let ids = publish_numbered(&cluster, "a/b", 7).await;
    let mut since = "earliest".to_owned();
    let mut read = Vec::new();
    for expected in [3, 3, 1, 0] {
        let path = format!("/v1/topics/a/b/events?since={since}&limit=3");
        let page = get(cluster.addresses()[0], &path).await.unwrap().expect_status(200).unwrap();
        assert_eq!(page.header("content-type"), Some("application/json"));
        let page = page.json().unwrap();
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), expected);
        read.extend(events.iter().map(|event| event["id"].as_str().unwrap().parse::<EventId>().unwrap()));
        if let Some(event) = events.first() {
            assert_eq!(event["type"], "message");
            assert!(event["time"].as_str().unwrap().ends_with('Z'));
        }
        since = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(read, ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_trimmed_is_told() {
    let cluster = Cluster::start().await;
    let ids = publish_numbered(&cluster, "orders", 10).await;
    cluster.redis.cli(&["XTRIM", "sluice:{orders}:log", "MAXLEN", "3"]).await.unwrap();
    let mut stream = open(cluster.addresses()[0], &["orders"], &behind(&ids[1].to_string())).await;
    assert_eq!(data(&stream.events(3).await.unwrap()), ["8", "9", "10"]);
    let [gap] = stream.controls() else { panic!("{:?}", stream.controls()) };
    let told: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!((gap.event_type.as_str(), &told["reason"]), ("sluice.gap", &"trimmed".into()));
    assert_eq!(told["topic"], "orders");
    assert_eq!(told["from"], ids[1].to_string());
    drop(stream);

    // Exactly at the edge nothing is missing.
    let mut stream = open(cluster.addresses()[1], &["orders"], &behind(&ids[6].to_string())).await;
    assert_eq!(data(&stream.events(3).await.unwrap()), ["8", "9", "10"]);
    assert!(stream.controls().is_empty(), "{:?}", stream.controls());
}

/// By HTTP/1.0 there are no chunks; the end of the connection is the end of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_clients_are_streamed_to() {
    let cluster = Cluster::start().await;
    let ids = publish_numbered(&cluster, "orders", 3).await;
    let options = SseOptions { http10: true, ..behind(&ids[0].to_string()) };
    let mut stream = SseStream::open(cluster.addresses()[0], &["orders"], &options).await.unwrap();
    assert!(stream.headers().get("transfer-encoding").is_none());
    assert!(matches!(stream.next().await.unwrap(), Some(Item::Retry(_))));
    assert_eq!(data(&stream.events(2).await.unwrap()), ["2", "3"]);
    cluster.publish("orders", "4").await;
    assert_eq!(stream.event().await.unwrap().data, "4");
}
