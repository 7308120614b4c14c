//! What `sluice doctor` says of a proxy in front of which browsers wait while all gateways are stopped.

use sluice_testkit::Node;

use super::balancer::Nginx;
use super::{Visit, dev};
use crate::proxies::{Kind, Site};

async fn judge(url: &str) -> Visit {
    Visit::pay(&["--set", "redis.url=memory://", "--url", url, "--gateways-down"]).await
}

async fn a_proxy_that_tells_browsers_to_come_back_is_all_right(kind: Kind) {
    let Some(mut site) = Site::start(kind).await else { return };
    let too_early = judge(&site.front.url()).await;
    assert_eq!(
        (too_early.level("public.gateways-down"), too_early.code),
        ("error", 1),
        "{}",
        too_early.printed
    );
    assert!(too_early.seen("public.gateways-down").contains("a gateway answers"), "{}", too_early.printed);
    let before = Visit::through(&site.front.url(), &["--idle-seconds", "0"]).await;
    assert_eq!((before.complaints("public."), before.code), (Vec::new(), 0), "{}", before.printed);
    assert_eq!(before.level("public.header-size"), "ok", "{}", before.printed);
    assert!(before.seen("public.gateways-down").contains("not tried"), "{}", before.printed);
    site.kill_gateways();
    let visit = judge(&site.front.url()).await;
    assert_eq!((visit.complaints(""), visit.code), (Vec::new(), 0), "{}", visit.printed);
    for id in ["public.gateways-down", "public.gateways-down-caching", "public.gateways-down-cors"] {
        assert_eq!(visit.level(id), "ok", "{}", visit.printed);
    }
    // Nothing of this machine or of Redis was looked at.
    assert!(!visit.printed.contains("machine."), "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nginx_that_is_shipped_is_all_right() {
    a_proxy_that_tells_browsers_to_come_back_is_all_right(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_haproxy_that_is_shipped_is_all_right() {
    a_proxy_that_tells_browsers_to_come_back_is_all_right(Kind::Haproxy).await;
}

/// The usual configuration of nginx, by which every open page is lost at the first rolling restart that goes wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_answers_502_is_found_out() {
    let mut node: Node = dev().await;
    let rules =
        "proxy_http_version 1.1; proxy_buffering off; } large_client_header_buffers 4 8k; location /unused {";
    let Some(proxy) = Nginx::start(node.addr(), rules).await else { return };
    let before = Visit::through(&proxy.url(), &["--idle-seconds", "0"]).await;
    assert_eq!(before.level("public.header-size"), "warning", "{}", before.printed);
    node.kill().unwrap();
    let visit = judge(&proxy.url()).await;
    assert_eq!((visit.level("public.gateways-down"), visit.code), ("error", 1), "{}", visit.printed);
    assert!(visit.seen("public.gateways-down").contains("502"), "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_away_itself_is_not_judged() {
    let visit = judge("http://127.0.0.1:1").await;
    assert_eq!((visit.level("public.address"), visit.code), ("error", 1), "{}", visit.printed);
    let without_url = super::run(&["doctor", "--gateways-down"]).await;
    assert_ne!(without_url.status.code(), Some(0));
}
