//! Backends to run a test against, each empty and of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice_broker::{
    Appended, Broker, BrokerSettings, BrokerUrl, RedisLogin, RedisTls, Retention, RetentionPolicies, connect,
};
use sluice_testkit::RedisServer;
use sluice_wire::{EventId, NewEvent, Topic};
use tokio_util::task::TaskTracker;

/// How long anything may take here before it counts as never.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What a user needs that publishes and holds streams; the documentation says the same.
pub(crate) const LEAST_ACL: &str = "resetkeys ~sluice:* resetchannels &sluice:* -@all +ping +time +role \
     +evalsha +script|load +get +set +pexpire +pttl +exists +xadd +xtrim +xinfo|stream +xread +xrange +xrevrange \
     +publish +subscribe +unsubscribe +hset +hdel +hkeys +hmget +hlen";

/// What it needs in a cluster besides.
pub(crate) const CLUSTER_ACL: &str =
    "+cluster|shards +cluster|slots +cluster|info +asking +spublish +ssubscribe +sunsubscribe";

/// A line of redis.conf that makes such a user.
pub(crate) fn least_user(and: &str) -> String {
    format!("sluice on >s3cret {LEAST_ACL} {and}")
}

/// A broker with whatever it runs on.
pub(crate) struct Stage {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) tracker: TaskTracker,
    /// `None` for the embedded one.
    pub(crate) server: Option<RedisServer>,
}

impl Stage {
    #[expect(clippy::unused_async, reason = "made as the others are, which start servers")]
    pub(crate) async fn memory(retention: Retention) -> Self {
        Self::with(settings("memory://", retention), None)
    }

    pub(crate) async fn redis(retention: Retention) -> Self {
        let server = RedisServer::start().await.unwrap();
        Self::with(settings(&server.url(), retention), Some(server))
    }

    /// By TLS, with a certificate to show, as a user who may do no more than Sluice needs.
    pub(crate) async fn redis_by_tls(retention: Retention) -> Self {
        let server =
            RedisServer::builder().tls().acl_user("sluice", "s3cret", LEAST_ACL).start().await.unwrap();
        Self::with(by_tls(settings(&server.url(), retention), &server), Some(server))
    }

    /// On servers that others use too: under a prefix of its own, as a user who may do no more than Sluice needs.
    pub(crate) fn among_others(url: &str, retention: Retention) -> Self {
        Self::with(shared(url, retention), None)
    }

    /// The same by TLS, with the certificate that `server` accepts.
    pub(crate) fn among_others_by_tls(url: &str, server: &RedisServer, retention: Retention) -> Self {
        Self::with(by_tls(shared(url, retention), server), None)
    }

    pub(crate) fn with(settings: BrokerSettings, server: Option<RedisServer>) -> Self {
        let tracker = TaskTracker::new();
        Self { broker: connect(settings, &tracker).unwrap(), tracker, server }
    }

    pub(crate) async fn append(&self, event: NewEvent) -> Appended {
        self.broker.append(&[event]).await.remove(0).unwrap()
    }

    /// Appends events whose data are `numbers` as text.
    pub(crate) async fn fill(&self, name: &str, numbers: std::ops::Range<usize>) -> Vec<EventId> {
        let events: Vec<_> = numbers.map(|n| NewEvent::new(topic(name), n.to_string())).collect();
        self.broker.append(&events).await.into_iter().map(|answer| answer.unwrap().id).collect()
    }
}

fn shared(url: &str, retention: Retention) -> BrokerSettings {
    static STAGES: AtomicUsize = AtomicUsize::new(0);
    let mut settings = settings(url, retention);
    settings.redis.prefix = format!("sluice:{}", STAGES.fetch_add(1, Ordering::Relaxed));
    settings.redis.login = RedisLogin {
        username: Some("sluice".to_owned()),
        password: Some("s3cret".to_owned()),
        ..RedisLogin::default()
    };
    settings
}

pub(crate) fn settings(url: &str, retention: Retention) -> BrokerSettings {
    let mut settings = BrokerSettings::new(url.parse::<BrokerUrl>().unwrap());
    settings.retention = RetentionPolicies::uniform(retention);
    settings.redis.probe_interval = Duration::from_millis(200);
    // No machine is so busy that a connection is given up for it, where a test says that none is lost.
    settings.redis.probe_deadline = Duration::from_secs(10);
    settings
}

/// The same where a test waits for a hang to be noticed.
pub(crate) fn impatient(url: &str, retention: Retention) -> BrokerSettings {
    let mut settings = settings(url, retention);
    settings.redis.probe_deadline = Duration::from_secs(2);
    settings
}

/// With the certificates of `server`.
pub(crate) fn by_tls(mut settings: BrokerSettings, server: &RedisServer) -> BrokerSettings {
    settings.redis.tls = RedisTls {
        ca_file: Some(server.ca_file()),
        cert_file: Some(server.client_cert_file()),
        key_file: Some(server.client_key_file()),
    };
    settings
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}
