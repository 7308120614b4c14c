//! Several servers: each is looked at, and the one that is wrong is named.

use sluice_testkit::{RedisCluster, SentinelSet};

use super::Visit;

/// Whose finding of this name is an error.
fn wrong<'a>(visit: &'a Visit, id: &str) -> Vec<&'a str> {
    let bad = visit.findings.iter().filter(|finding| finding["id"] == id && finding["level"] == "error");
    bad.map(|finding| finding["subject"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_primary_of_a_cluster_is_looked_at() {
    let cluster = RedisCluster::builder().appendonly(true).start().await.unwrap();
    let url = cluster.url();
    let healthy = Visit::of_redis(&url, &["dev"]).await;
    assert_eq!((healthy.code, healthy.complaints("redis.")), (0, Vec::new()), "{}", healthy.printed);
    let versions = healthy.findings.iter().filter(|finding| finding["id"] == "redis.version").count();
    assert_eq!((versions, healthy.level("redis.cluster")), (3, "ok"), "{}", healthy.printed);
    let subscriptions = healthy.findings.iter().filter(|finding| finding["id"] == "redis.subscription");
    assert_eq!(subscriptions.count(), 1, "{}", healthy.printed);

    let server = cluster.primary_of("{a}").await.unwrap();
    server.cli(&["config", "set", "maxmemory-policy", "allkeys-lfu"]).await.unwrap();
    server.cli(&["acl", "setuser", "default", "-xadd"]).await.unwrap();
    let visit = Visit::of_redis(&url, &["publisher"]).await;
    assert_eq!(visit.code, 1, "{}", visit.printed);
    for id in ["redis.eviction", "redis.permissions"] {
        let subjects = wrong(&visit, id);
        let own = format!("{} of ", server.addr());
        assert!(subjects.len() == 1 && subjects[0].starts_with(&own), "{id}: {subjects:?}, not {own}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_that_sentinels_name_is_looked_at() {
    let set = SentinelSet::builder().appendonly(true).start().await.unwrap();
    let visit = Visit::of_redis(&set.url(), &["dev"]).await;
    assert_eq!((visit.code, visit.complaints("redis.")), (0, Vec::new()), "{}", visit.printed);
    assert_eq!(visit.level("redis.role"), "ok");
    assert!(visit.seen("redis.replicas").contains("connected"), "{}", visit.printed);
}
