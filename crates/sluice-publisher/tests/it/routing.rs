//! The routes beside those of a gateway, and what answers where there is no route.

use axum::Router;
use axum::routing::get;
use sluice_publisher::{PublisherSettings, RouteSettings, routes, with_problem_fallbacks};

use crate::stage::{JSON, gated, open_to_all, post, send, service};

#[tokio::test]
async fn a_gateway_may_have_the_same_paths() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let gateway = Router::new()
        .route("/v1/events", get(async || "\"stream\""))
        .route("/v1/topics/{*rest}", get(async || "\"history\""));
    let merged = with_problem_fallbacks(gateway.merge(routes(publisher, open_to_all())));
    assert_eq!(send(&merged, "GET", "/v1/events", &[], "").await.json, "stream");
    assert_eq!(send(&merged, "GET", "/v1/topics/a/b/events", &[], "").await.json, "history");
    assert_eq!(post(&merged, "/v1/topics/a/b/events", &[JSON], r#"{"data":1}"#).await.status, 201);
    assert_eq!(post(&merged, "/v1/events", &[JSON], "[]").await.status, 200);
    let answer = send(&merged, "DELETE", "/v1/events", &[], "").await;
    assert_eq!((answer.status, answer.problem()), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let (_gate, publisher) = gated(PublisherSettings::default());
    let service = service(&publisher, open_to_all());
    for path in ["/", "/v1/topics", "/v1/topics/", "/v1/topics/t", "/v1/topics/t/events/", "/v2/events"] {
        let answer = post(&service, path, &[JSON], r#"{"data":1}"#).await;
        assert_eq!((answer.status, answer.problem()), (404, "not-found"), "{path}");
    }
    for path in ["/v1/events", "/v1/topics/t/events"] {
        let answer = send(&service, "PUT", path, &[JSON], "").await;
        assert_eq!((answer.status, answer.problem()), (405, "method-not-allowed"), "{path}");
        assert_eq!(answer.header("allow"), "POST");
    }
}

#[tokio::test]
async fn nobody_publishes_without_permission() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let open = vec![sluice_wire::TopicPattern::parse("open/*").unwrap()];
    let access = sluice_access::Access::open(Vec::new(), open);
    let service = service(&publisher, RouteSettings { access, ..RouteSettings::default() });
    assert_eq!(post(&service, "/v1/topics/open/a/events", &[JSON], r#"{"data":1}"#).await.status, 201);
    for path in ["/v1/topics/shut/events", "/v1/topics/open/a/b/events", "/v1/topics/open%2Fa%2Fb/events"] {
        let answer = post(&service, path, &[], "neither type nor body are looked at").await;
        assert_eq!((answer.status, answer.problem()), (401, "unauthorized"));
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"sluice\"");
    }
    let batch = r#"[{"topic":"open/a","data":1},{"topic":"shut","data":2},{"topic":"open/b","data":3}]"#;
    let answer = post(&service, "/v1/events", &[JSON], batch).await;
    assert_eq!(
        (answer.status, &answer.json["published"], &answer.json["failed"]),
        (207, &2.into(), &1.into())
    );
    assert_eq!(answer.json["results"][1]["error"]["status"], 401);
    assert_eq!(gate.arrived().concat(), ["1", "1", "3"]);
}
