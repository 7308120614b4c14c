//! TLS and ACL users: who is let in, who is not and what that one is told.

use sluice_broker::{BrokerError, BrokerSettings, RedisLogin, RedisTls, Retention, connect};
use sluice_testkit::RedisServer;
use sluice_wire::EventId;
use tokio_util::task::TaskTracker;

use crate::listening::Notes;
use crate::stage::{LEAST_ACL, Stage, by_tls, settings, topic};

async fn refusal(settings: BrokerSettings) -> BrokerError {
    let stage = Stage::with(settings, None);
    stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 1).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_beside_the_address_count() {
    let builder = RedisServer::builder().tls().acl_user("sluice", "s3cret", LEAST_ACL);
    let server = builder.start().await.unwrap();
    let mut settings =
        by_tls(settings(&format!("rediss://{}", server.addr()), Retention::default()), &server);
    settings.redis.login = RedisLogin {
        username: Some("sluice".to_owned()),
        password: Some("s3cret".to_owned()),
        ..RedisLogin::default()
    };
    let stage = Stage::with(settings.clone(), None);
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("t")]).await;
    stage.fill("t", 0..3).await;
    notes.wait_for("the announcements", |notes| notes.all().len() == 3).await;
    let said = format!("{:?} {settings:?}", stage.broker);
    assert!(!said.contains("s3cret"), "{said}");

    settings.redis.login.password = Some("wr0ng".to_owned());
    let why = refusal(settings).await;
    assert!(matches!(why, BrokerError::Refused(_)), "{why:?}");
    assert!(why.to_string().contains("WRONGPASS") && !why.to_string().contains("wr0ng"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_not_trusted_and_without_a_certificate_nobody_is_let_in() {
    let server = RedisServer::builder().tls().start().await.unwrap();
    let mut settings = by_tls(settings(&server.url(), Retention::default()), &server);
    Stage::with(settings.clone(), None).fill("t", 0..1).await;
    // An authority that signed nothing of this server.
    let other = RedisServer::builder().tls().start().await.unwrap();
    settings.redis.tls.ca_file = Some(other.ca_file());
    let why = refusal(settings.clone()).await;
    assert!(why.is_transient() && why.to_string().contains("certificate"), "{why}");

    settings.redis.tls = RedisTls { ca_file: Some(server.ca_file()), ..RedisTls::default() };
    let why = refusal(settings).await;
    assert!(why.is_transient(), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_refused_at_once() {
    let mut settings = settings("rediss://127.0.0.1", Retention::default());
    settings.redis.tls.ca_file = Some("/nowhere/ca.pem".into());
    let why = connect(settings, &TaskTracker::new()).unwrap_err();
    assert!(matches!(&why, BrokerError::Refused(why) if why.contains("/nowhere/ca.pem")), "{why}");
}
