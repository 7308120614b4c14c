//! How streams end and how idle ones are kept: SIGTERM, greatest age, heartbeats.

use std::time::Duration;

use sluice_testkit::{Item, RawConnection, SseOptions, eventually, get};

use crate::stage::{Cluster, SOON, behind, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_every_stream_with_a_retry_and_the_last_chunk() {
    let mut cluster = Cluster::start_with(|node| node.env("SLUICE_DRAIN__WINDOW_MS", "1000")).await;
    let address = cluster.addresses()[0];
    let mut streams = Vec::new();
    for topic in ["a", "a", "b"] {
        let mut stream = RawConnection::connect(address).await.unwrap();
        let request = format!("GET /v1/events?topic={topic} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.send(request).await.unwrap();
        stream.read_until("\nid: ").await.unwrap();
        streams.push(stream);
    }
    let old = SseOptions { http10: true, ..SseOptions::default() };
    let mut old = open(address, &["a"], &old).await;
    cluster.publish("a", "last words").await;
    assert_eq!(cluster.gateways[0].terminate(SOON).await.unwrap(), 0, "exit code");
    for (stream, topic) in streams.iter_mut().zip(["a", "a", "b"]) {
        let rest = String::from_utf8(stream.read_to_end().await.unwrap()).unwrap();
        assert_eq!(rest.contains("data: last words\n"), topic == "a", "{rest}");
        let farewell = rest.rsplit("retry: ").next().unwrap();
        let (ms, end) = farewell.split_once('\n').unwrap();
        assert!((1_000..=3_000).contains(&ms.parse::<u64>().unwrap()), "{rest}");
        assert_eq!(end, "\n\r\n0\r\n\r\n", "{rest:?}");
    }
    let items = old.end().await.unwrap();
    assert!(matches!(items.last(), Some(Item::Retry(_))), "{items:?}");
    assert!(!cluster.gateways[0].log().contains("panicked"));
    let publisher = cluster.publisher.terminate(SOON).await.unwrap();
    assert_eq!(publisher, 0);
}

/// A balancer must learn of the end before the streams do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaving_node_is_unready_first_and_sheds_later() {
    let mut cluster = Cluster::start_with(|node| {
        node.env("SLUICE_DRAIN__DELAY_MS", "4000").env("SLUICE_DRAIN__WINDOW_MS", "500")
    })
    .await;
    let (address, ops) = (cluster.addresses()[0], cluster.gateways[0].ops_addr());
    let mut stream = cluster.stream(0, &["a"], &SseOptions::default()).await;
    let looking = async {
        eventually("the node to be unready", SOON, async || {
            get(ops, "/readyz").await.is_ok_and(|answer| answer.status == 503)
        })
        .await
        .unwrap();
        get(ops, "/livez").await.unwrap().expect_status(200).unwrap();
        // It goes on as before while balancers have not noticed.
        let late = open(address, &["a"], &SseOptions::default()).await;
        drop(late);
    };
    let (code, ()) = tokio::join!(cluster.gateways[0].terminate(SOON), looking);
    assert_eq!(code.unwrap(), 0);
    assert!(matches!(stream.end().await.unwrap().last(), Some(Item::Retry(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_is_kept_awake_and_its_cursor_young() {
    let cluster = Cluster::start_with(|node| node.env("SLUICE_STREAMS__HEARTBEAT_MS", "1000")).await;
    for topics in [&["quiet"][..], &["quiet", "quieter"]] {
        let id = cluster.publish("quiet", "long ago").await;
        let mut stream = cluster.stream(0, topics, &SseOptions::default()).await;
        let began_at = stream.last_event_id().to_owned();
        let mut beats = 0;
        // The floor of a cursor moves once a tail check has confirmed it.
        let checkpoint = loop {
            match stream.next().await.unwrap().expect("the stream stays open") {
                Item::Comment(_) => beats += 1,
                Item::Id(cursor) if cursor != began_at => break cursor,
                Item::Id(_) => beats += 1,
                other => panic!("{other:?} on an idle stream"),
            }
            assert!(beats < 60, "no checkpoint");
        };
        println!("{topics:?}: {beats} heartbeats before checkpoint {checkpoint}, begun at {began_at}");
        if topics.len() == 1 {
            assert!(checkpoint.starts_with(&format!("{id}~")), "{checkpoint}");
        }
        drop(stream);
        cluster.publish("quiet", "at last").await;
        let mut stream = cluster.stream(1, topics, &behind(&checkpoint)).await;
        assert_eq!(stream.event().await.unwrap().data, "at last");
        assert!(stream.controls().is_empty(), "{:?}", stream.controls());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_greatest_age_is_sent_on() {
    let cluster = Cluster::start_with(|node| node.env("SLUICE_STREAMS__MAX_AGE_S", "1")).await;
    let mut stream = cluster.stream(0, &["a"], &SseOptions::default()).await;
    let items = stream.end().await.unwrap();
    assert!(matches!(items.last(), Some(Item::Retry(_))), "{items:?}");
    let gateway = &cluster.gateways[0];
    eventually("the count of ended streams", Duration::from_secs(10), async || {
        gateway.metric("sluice_streams_closed_total").await.map(|ended| ended == Some(1.0)).unwrap_or(false)
    })
    .await
    .unwrap();
}
