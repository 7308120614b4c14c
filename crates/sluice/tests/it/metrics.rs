//! `/metrics`, the list in `sluice-runtime` and `docs/metrics.md` say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sluice_runtime::telemetry::metric;
use sluice_testkit::{Node, SseStream, eventually, get, request};

use crate::stage::{Cluster, SOON, behind};

/// Name and kind of everything that a process prints.
async fn printed(node: &Node) -> BTreeMap<String, String> {
    let page = get(node.ops_addr(), "/metrics").await.unwrap().expect_status(200).unwrap().text();
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Something of everything: a gap, a refusal, a replay, an end.
async fn traffic(cluster: &Cluster) {
    let ids =
        [cluster.publish("a", "1").await, cluster.publish("a", "2").await, cluster.publish("a", "3").await];
    cluster.redis.cli(&["XTRIM", "sluice:{a}:log", "MAXLEN", "1"]).await.unwrap();
    let mut stream = cluster.stream(0, &["a"], &behind(&ids[0].to_string())).await;
    assert_eq!(stream.event().await.unwrap().data, "3");
    cluster.publish("a", "4").await;
    stream.event().await.unwrap();
    let full = request(cluster.addresses()[0], "GET", "/v1/events?topic=a", &[], "").await.unwrap();
    assert_eq!(full.status, 503);
    drop(stream);
    let gateway = &cluster.gateways[0];
    eventually("the end of the stream", SOON, async || {
        gateway.metric("sluice_streams_closed_total").await.map(|closed| closed == Some(1.0)).unwrap_or(false)
    })
    .await
    .unwrap();
    let shed = SseStream::open(cluster.addresses()[0], &["a"], &behind("v9.x")).await.unwrap();
    assert_eq!(shed.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_is_what_is_listed() {
    let cluster = Cluster::start_with(|node| node.env("SLUICE_LIMITS__STREAMS_MAX", "1")).await;
    traffic(&cluster).await;
    let mut all = printed(&cluster.gateways[0]).await;
    all.extend(printed(&cluster.publisher).await);
    let listed: BTreeMap<String, String> =
        metric::ALL.iter().map(|m| (m.name.to_owned(), m.kind.as_str().to_owned())).collect();
    let names = |metrics: &BTreeMap<String, String>| metrics.keys().cloned().collect::<BTreeSet<_>>();
    let (all_names, listed_names) = (names(&all), names(&listed));
    let unlisted: Vec<_> = all_names.difference(&listed_names).collect();
    let unprinted: Vec<_> = listed_names.difference(&all_names).collect();
    assert!(
        unlisted.is_empty() && unprinted.is_empty(),
        "not listed: {unlisted:?}, never printed: {unprinted:?}"
    );
    assert_eq!(all, listed, "kinds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_are_those_of_the_list() {
    let cluster = Cluster::start_with(|node| node.env("SLUICE_LIMITS__STREAMS_MAX", "1")).await;
    traffic(&cluster).await;
    for node in [&cluster.gateways[0], &cluster.publisher] {
        let page = get(node.ops_addr(), "/metrics").await.unwrap().text();
        for sample in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, labels)) = sample.split_once('{') else { continue };
            let metric = metric::ALL.iter().find(|m| name.strip_suffix("_bucket").unwrap_or(name) == m.name);
            let metric = metric.unwrap_or_else(|| panic!("{sample} is not in the list"));
            for label in labels.rsplit_once('}').unwrap().0.split(',') {
                let label = label.split_once('=').unwrap().0;
                assert!(label == "le" || metric.labels.contains(&label), "{sample}");
            }
        }
    }
}

/// `SLUICE_BLESS=1 cargo test -p sluice --test it metrics` renews the page.
#[test]
fn the_page_of_metrics_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let expected = format!(
        "# Metrics\n\nWhat `/metrics` on the operations listener prints. No metric has a topic or a client as a label. \
         This page is\ngenerated from the list in `crates/sluice-runtime/src/telemetry/metric.rs`; a test holds both \
         against a running node.\n\n{}",
        metric::markdown()
    );
    if std::env::var_os("SLUICE_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/metrics.md is out of date: SLUICE_BLESS=1 cargo test -p sluice --test it metrics"
    );
}
