//! Batches of lines that stay open, and requests whose bodies come slowly or not at all.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::{Extension, Router};
use futures_util::{FutureExt, stream};
use sluice_access::{Access, ClientAddress, Grants, Identity, Revocation, Revoked, Whom};
use sluice_publisher::{PublisherSettings, RouteSettings};
use sluice_wire::TopicPattern;
use tokio::sync::mpsc;

use crate::stage::{
    Answer, JSON, LINES, TEXT, WITHIN, data, gated, memory, open_to_all, post, service, slug, start,
};

/// A body of which a test sends part after part, and its other end.
fn body() -> (mpsc::UnboundedSender<&'static str>, Body) {
    let (parts, coming) = mpsc::unbounded_channel();
    let parts_of = stream::unfold(coming, async |mut coming| {
        let part: &'static str = coming.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from_static(part.as_bytes())), coming))
    });
    (parts, Body::from_stream(parts_of))
}

fn endless() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
}

fn identity(subject: &str, expires_at_ms: Option<u64>) -> Identity {
    let everything = vec![TopicPattern::parse("**").unwrap()];
    let grants = Arc::new(Grants { publish: everything, ..Grants::default() });
    Identity { subject: Some(subject.into()), expires_at_ms, ..Identity::anonymous(grants) }
}

fn as_sender(service: &Router, identity: Identity) -> Router {
    service.clone().layer(Extension(identity))
}

/// Each result in short, as in the tests of batches.
fn results(answer: &Answer) -> Vec<String> {
    let short = |result: &serde_json::Value| match result.get("error") {
        Some(error) => format!("{}:{}", result["line"], slug(error)),
        None => "ok".to_owned(),
    };
    answer.json["results"].as_array().unwrap().iter().map(short).collect()
}

const LINE: &str = "{\"topic\":\"t\",\"data\":1}\n";

#[tokio::test]
async fn a_sender_who_is_revoked_publishes_no_further_line() {
    let broker = Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    let settings = open_to_all();
    let access = settings.access.clone();
    let router = as_sender(&service(&publisher, settings), identity("s", None));
    let (parts, body) = body();
    let publishing = post(&router, "/v1/events", &[LINES], body);
    let revoking = async {
        parts.send(LINE).unwrap();
        sluice_testkit::eventually("the line", WITHIN, async || data(&*broker, "t").await.len() == 1)
            .await
            .unwrap();
        let revoked = Revoked { whom: Whom::Subject("s".into()), issuer: None };
        access.revoke(
            Revocation { revoked, issued_before_s: None, until_ms: u64::MAX, made_ms: 1, kept_until_ms: 0 },
            0,
        );
        parts.send("{\"topic\":\"t\",\"data\":2}\n{\"topic\":\"t\",\"data\":3}\n").unwrap();
    };
    // The body never ends; the answer comes all the same.
    let (answer, ()) = tokio::join!(publishing, revoking);
    assert_eq!(results(&answer), ["ok", "2:invalid-token"]);
    assert_eq!((answer.status, &answer.json["published"]), (207, &1.into()));
    assert!(answer.json["results"][1]["error"]["detail"].as_str().unwrap().contains("revoked"), "{answer:?}");
    assert_eq!(data(&*broker, "t").await, ["1"]);
    drop(parts);
}

#[tokio::test]
async fn a_token_that_expired_while_the_body_came_publishes_nothing() {
    let broker = Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    // As it is when the token was good as the head came.
    let router = as_sender(&service(&publisher, open_to_all()), identity("s", Some(1)));
    let answer = post(&router, "/v1/events", &[LINES], LINE).await;
    assert_eq!(results(&answer), ["1:invalid-token"]);
    let array = format!("[{}]", LINE.trim_end());
    for (path, headers, body) in [
        ("/v1/events", JSON, &*array),
        ("/v1/topics/t/events", JSON, "{\"data\":1}"),
        ("/v1/topics/t/events", TEXT, "x"),
    ] {
        let answer = post(&router, path, &[headers], body.to_owned()).await;
        assert_eq!((answer.status, answer.problem()), (401, "invalid-token"), "{path} {body}");
        assert!(answer.json["detail"].as_str().unwrap().contains("expired"), "{answer:?}");
    }
    assert_eq!(data(&*broker, "t").await, [""; 0]);
}

#[tokio::test]
async fn a_draining_publisher_answers_open_batches_with_what_it_has_read() {
    let broker = Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    let settings = open_to_all();
    let (draining, requests) = (settings.draining.clone(), settings.requests.clone());
    let router = service(&publisher, settings);
    let (parts, body) = body();
    let publishing = post(&router, "/v1/events", &[LINES], body);
    let leaving = async {
        parts.send(LINE).unwrap();
        parts.send("{\"topic\":\"t\",\"data\":2}\n{\"topic\":\"t\",").unwrap();
        sluice_testkit::eventually("both lines", WITHIN, async || data(&*broker, "t").await.len() == 2)
            .await
            .unwrap();
        assert_eq!(requests.len(), 1);
        draining.cancel();
    };
    let (answer, ()) = tokio::join!(publishing, leaving);
    assert_eq!(
        (answer.status, results(&answer)),
        (207, vec!["ok".into(), "ok".into(), "3:shutting-down".into()])
    );
    requests.close();
    requests.wait().await;
    // A request that comes later is one of those that the next process takes.
    assert_eq!(results(&post(&router, "/v1/events", &[LINES], LINE).await), ["1:shutting-down"]);
    assert_eq!(post(&router, "/v1/topics/t/events", &[TEXT], "short").await.status, 201, "until it closes");
    assert_eq!(data(&*broker, "t").await, ["1", "2", "short"]);
    drop(parts);
}

#[tokio::test]
async fn nothing_is_read_of_a_caller_who_may_publish_nothing() {
    let (_gate, publisher) = gated(PublisherSettings::default());
    let settings = RouteSettings { access: Access::open(Vec::new(), Vec::new()), ..RouteSettings::default() };
    let router = service(&publisher, settings);
    let nothing = Identity { grants: Arc::default(), ..identity("s", None) };
    for (router, status, problem) in
        [(router.clone(), 401, "unauthorized"), (as_sender(&router, nothing), 403, "forbidden")]
    {
        for media in [LINES, JSON, TEXT] {
            let read = Arc::new(AtomicBool::new(false));
            let seen = read.clone();
            let unread = Body::from_stream(stream::poll_fn(move |_| {
                seen.store(true, Ordering::SeqCst);
                Poll::Ready(None::<Result<Bytes, Infallible>>)
            }));
            let answer = post(&router, "/v1/events", &[media], unread).await;
            assert_eq!((answer.status, answer.problem()), (status, problem), "{media:?}");
            assert!(!read.load(Ordering::SeqCst), "{media:?}");
        }
    }
}

#[tokio::test]
async fn garbage_is_answered_shortly() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let router = service(&publisher, open_to_all());
    let lines = "x\n".repeat(10_000);
    let array = format!("[{}]", vec!["0"; 10_000].join(","));
    for (media, body, failed) in [(LINES, lines, 101), (JSON, array, 10_000)] {
        let length = body.len();
        let answer = post(&router, "/v1/events", &[media], body).await;
        let results = answer.json["results"].as_array().unwrap();
        assert_eq!((results.len(), &answer.json["failed"]), (101, &failed.into()));
        assert_eq!(slug(&results[100]["error"]), "too-many-errors");
        let told = answer.json.to_string().len();
        assert!(told < 2 * length, "{told} bytes for {length}");
    }
    // Errors that are not the sender's own are told one by one, the first of them in full.
    gate.set_away(true);
    let answer = post(&router, "/v1/events", &[LINES], LINE.repeat(300)).await;
    let results = answer.json["results"].as_array().unwrap();
    assert_eq!((results.len(), &answer.json["failed"]), (300, &300.into()));
    for (nth, result) in results.iter().enumerate() {
        assert_eq!((&result["line"], slug(&result["error"])), (&(nth + 1).into(), "broker-unavailable"));
        assert_eq!(result["error"].get("detail").is_some(), nth < 100, "{nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_given_up_and_one_of_lines_is_not() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let router = service(&publisher, open_to_all());
    let drip = |parts: Vec<&'static str>| {
        Body::from_stream(stream::unfold(parts.into_iter(), async |mut parts| {
            let part = parts.next()?;
            tokio::time::sleep(Duration::from_secs(10)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(part.as_bytes())), parts))
        }))
    };
    let answer = post(&router, "/v1/topics/t/events", &[TEXT], drip(vec!["a", "b", "c"])).await;
    assert_eq!((answer.status, answer.problem()), (408, "body-timeout"));
    assert!(answer.json["detail"].as_str().unwrap().contains("4096 bytes a second"), "{answer:?}");
    let large: &'static str = "x".repeat(40_960).leak();
    assert_eq!(post(&router, "/v1/topics/t/events", &[TEXT], drip(vec![large, "b"])).await.status, 201);
    // Blank lines keep a batch open, for as long as it likes.
    let answer =
        post(&router, "/v1/events", &[LINES], drip([LINE, "\n", "\r\n", "\n", LINE].repeat(10))).await;
    assert_eq!((answer.status, &answer.json["published"]), (200, &20.into()));
    let answer = post(&router, "/v1/events", &[LINES], endless()).await;
    assert_eq!(results(&answer), ["1:body-timeout"]);
}

#[tokio::test]
async fn slow_bodies_of_some_keep_nobody_else_out() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let settings = RouteSettings { requests_max: 8, uploads_max: 8, ..open_to_all() };
    let router = service(&publisher, settings);
    let from = |last: u8| router.clone().layer(Extension(ClientAddress([192, 0, 2, last].into())));
    let path = "/v1/topics/t/events";
    let mut open = Vec::new();
    // One address has a quarter of the places, all of them without credentials three quarters.
    for last in [1, 1, 2, 2, 3, 3] {
        for (path, media) in [(path, TEXT), ("/v1/events", LINES)] {
            let router = from(last);
            let mut request = Box::pin(async move { post(&router, path, &[media], endless()).await });
            assert!(request.as_mut().now_or_never().is_none());
            open.push(request);
        }
    }
    for (path, media) in [(path, TEXT), ("/v1/events", LINES)] {
        for last in [1, 9] {
            let refused = post(&from(last), path, &[media], endless()).await;
            assert_eq!((refused.status, refused.problem()), (429, "sender-requests"), "{path} {last}");
            assert_eq!(refused.header("retry-after"), "1");
        }
    }
    // Whoever has credentials is let in all the same.
    let named = as_sender(&router, identity("s", None));
    assert_eq!(post(&named, path, &[TEXT], "x").await.status, 201);
    assert_eq!(post(&named, "/v1/events", &[LINES], LINE).await.status, 200);
    open.clear();
    assert_eq!(post(&from(9), path, &[TEXT], "y").await.status, 201);
}
