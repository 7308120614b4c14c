//! How servers are dialled: credentials, certificates, timeouts, sockets. Where they are is known elsewhere
//! (`layout.rs`). What comes from files is read again for each new connection (`material.rs`), so that it can be
//! rotated under a running process.

mod material;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, PushInfo,
    RedisConnectionInfo,
};
use sluice_diagnostics::{Outage, Repeated};
use tracing::{info, warn};

pub use self::material::SettingsFault;
use self::material::{Material, Sources};
use super::failure;
use super::settings::{RedisLogin, RedisSettings};
use crate::BrokerError;
use crate::url::{Address, RedisPlace};

/// After this long without traffic the kernel asks the peer for a sign of life.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// How often it asks again.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// A peer that acknowledges nothing for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Dials one kind of server. Clones share what was read from files last.
#[derive(Debug, Clone)]
pub(super) struct Dialler {
    sources: Arc<Sources>,
    database: i64,
    kept: Arc<Mutex<Kept>>,
    connect_timeout: Duration,
    response_timeout: Duration,
}

/// What every connection to these servers has in common; its host and port stand for any.
#[derive(Clone)]
pub(super) struct Template {
    /// Grows whenever a file has changed.
    pub(super) number: u64,
    info: ConnectionInfo,
}

struct Kept {
    material: Material,
    template: Template,
    outage: Outage,
}

impl Dialler {
    /// For the servers that hold the topics.
    pub(super) fn for_servers(
        place: &RedisPlace,
        settings: &RedisSettings,
    ) -> Result<Self, Vec<SettingsFault>> {
        let from_address = RedisLogin {
            username: place.username.clone(),
            password: place.password.clone(),
            ..RedisLogin::default()
        };
        let login = RedisLogin {
            username: settings.login.username.clone().or(from_address.username),
            password: settings.login.password.clone().or(from_address.password),
            ..settings.login.clone()
        };
        Self::new(Sources::of_servers(login, place, &settings.tls), settings, place.database)
    }

    /// For the sentinels that watch over them.
    pub(super) fn for_sentinels(
        place: &RedisPlace,
        settings: &RedisSettings,
    ) -> Result<Self, Vec<SettingsFault>> {
        Self::new(Sources::of_sentinels(settings.sentinel_login.clone(), place, &settings.tls), settings, 0)
    }

    fn new(sources: Sources, settings: &RedisSettings, database: i64) -> Result<Self, Vec<SettingsFault>> {
        let material = sources.read()?;
        let info = build(&sources, &material, database)?;
        let kept = Kept { material, template: Template { number: 0, info }, outage: Outage::default() };
        Ok(Self {
            sources: Arc::new(sources),
            database,
            kept: Arc::new(Mutex::new(kept)),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
        })
    }

    /// Reads the files again. What cannot be used now leaves what was read last in use: files are often replaced one
    /// after the other.
    pub(super) fn template(&self) -> Template {
        let read = self.sources.read();
        let mut kept = self.kept.lock().unwrap_or_else(sluice_failure::poisoned);
        let read = read.and_then(|material| {
            let changed = material != kept.material;
            let info = changed.then(|| build(&self.sources, &material, self.database)).transpose()?;
            Ok(info.map(|info| (material, info)))
        });
        match read {
            Ok(changed) => {
                if let Some((material, info)) = changed {
                    info!("read changed credentials or certificates of Redis; new connections use them");
                    let number = kept.template.number + 1;
                    (kept.material, kept.template) = (material, Template { number, info });
                }
                kept.outage.ended(Instant::now());
            }
            Err(faults) => {
                if let Some(Repeated::First | Repeated::Still { .. }) = kept.outage.failed(Instant::now()) {
                    let error = SettingsFault::all(&faults);
                    warn!(
                        error,
                        "cannot read credentials or certificates of Redis; using the last that were read"
                    );
                }
            }
        }
        kept.template.clone()
    }

    /// How to dial the server at `address`.
    pub(super) fn info(&self, address: &Address, protocol: ProtocolVersion) -> ConnectionInfo {
        self.template().info(address, protocol)
    }

    /// Timeouts of a connection.
    pub(super) fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
    }

    /// How long connecting may take, and an answer.
    pub(super) fn timeouts(&self) -> (Duration, Duration) {
        (self.connect_timeout, self.response_timeout)
    }

    /// A connection to the server at `address` that hands pushes to `hear`, from its own task and inline.
    pub(super) async fn listening(
        &self,
        address: &Address,
        hear: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, BrokerError> {
        let config = self.config().set_push_sender(move |push: PushInfo| {
            hear(push);
            Ok::<(), ()>(())
        });
        self.dial(address, ProtocolVersion::RESP3, &config).await
    }

    /// A connection to the server at `address` for a few questions.
    pub(super) async fn asking(&self, address: &Address) -> Result<MultiplexedConnection, BrokerError> {
        self.dial(address, ProtocolVersion::RESP2, &self.config()).await
    }

    async fn dial(
        &self,
        address: &Address,
        protocol: ProtocolVersion,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, BrokerError> {
        let client =
            Client::open(self.info(address, protocol)).map_err(|error| failure::of(&error, address))?;
        let connection = client.get_multiplexed_async_connection_with_config(config);
        connection.await.map_err(|error| failure::of(&error, address))
    }
}

impl Template {
    /// How to dial the server at `address`.
    pub(super) fn info(&self, address: &Address, protocol: ProtocolVersion) -> ConnectionInfo {
        let mut addr = self.info.addr().clone();
        if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = &mut addr {
            host.clone_from(&address.host);
            *port = address.port;
        }
        let redis = self.info.redis_settings().clone().set_protocol(protocol);
        self.info.clone().set_addr(addr).set_redis_settings(redis)
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("number", &self.template.number).finish_non_exhaustive()
    }
}

fn build(
    sources: &Sources,
    material: &Material,
    database: i64,
) -> Result<ConnectionInfo, Vec<SettingsFault>> {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY));
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(USER_TIMEOUT);
    let info = sources.transport(material)?;
    Ok(info.set_tcp_settings(tcp).set_redis_settings(speaker(material, database)))
}

fn speaker(material: &Material, database: i64) -> RedisConnectionInfo {
    let mut speaker =
        RedisConnectionInfo::default().set_db(database).set_lib_name("sluice", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &material.username {
        speaker = speaker.set_username(username);
    }
    if let Some(password) = &material.password {
        speaker = speaker.set_password(password);
    }
    speaker
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::redis::settings::RedisTls;
    use crate::url::Place;

    fn place(text: &str) -> RedisPlace {
        match text.parse::<crate::BrokerUrl>().unwrap().place() {
            Place::Redis(place) => place.clone(),
            Place::Memory => panic!("{text}"),
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn settings_override_the_address_each_for_itself() {
        let settings = RedisSettings {
            login: RedisLogin { password: Some("s3cret".to_owned()), ..RedisLogin::default() },
            ..RedisSettings::default()
        };
        let dialler = Dialler::for_servers(&place("redis://u:old@h:1/2"), &settings).unwrap();
        let address = Address { host: "::1".to_owned(), port: 7 };
        let info = dialler.info(&address, ProtocolVersion::RESP3);
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("::1".to_owned(), 7));
        let redis = info.redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("u"), Some("s3cret"), 2));
        assert!(!format!("{settings:?} {dialler:?}").contains("s3cret"));
        let sentinels = Dialler::for_sentinels(&place("redis+sentinel://u:p@h/m/2"), &settings).unwrap();
        let redis = sentinels.info(&address, ProtocolVersion::RESP2);
        let redis = redis.redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (None, None, 0));
    }

    #[test]
    fn certificates_are_read_at_once_and_named_when_they_are_wrong() {
        let (empty, junk) = (file(""), file("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"));
        let path = |file: &tempfile::NamedTempFile| Some(file.path().to_owned());
        let tls = RedisTls::default;
        for (files, part) in [
            (
                RedisTls { ca_file: Some("/nowhere/ca.pem".into()), ..tls() },
                "redis.tls.ca_file = /nowhere/ca.pem: no such file",
            ),
            (RedisTls { ca_file: path(&empty), ..tls() }, "holds no certificate"),
            (RedisTls { ca_file: path(&junk), ..tls() }, "is not valid PEM"),
            (RedisTls { cert_file: path(&empty), ..tls() }, "needs its key"),
            (RedisTls { key_file: path(&empty), ..tls() }, "needs its certificate"),
        ] {
            let settings = RedisSettings { tls: files, ..RedisSettings::default() };
            let why = SettingsFault::all(&Dialler::for_servers(&place("rediss://h"), &settings).unwrap_err());
            assert!(why.contains(part), "{why}");
        }
        let dialler = Dialler::for_servers(&place("rediss://h"), &RedisSettings::default()).unwrap();
        let info = dialler.info(&Address { host: "g".to_owned(), port: 1 }, ProtocolVersion::RESP2);
        assert!(matches!(info.addr(), ConnectionAddr::TcpTls { host, insecure: false, .. } if host == "g"));
    }

    #[test]
    fn files_are_read_again_and_a_file_that_is_gone_leaves_the_last_in_use() {
        let (user, password) = (file("u\n"), file("first\n"));
        let login = RedisLogin {
            username_file: Some(user.path().to_owned()),
            password_file: Some(password.path().to_owned()),
            ..RedisLogin::default()
        };
        let settings = RedisSettings { login, ..RedisSettings::default() };
        let dialler = Dialler::for_servers(&place("redis://v:old@h"), &settings).unwrap();
        let address = Address { host: "h".to_owned(), port: 7 };
        let now = || {
            let info = dialler.info(&address, ProtocolVersion::RESP2);
            let redis = info.redis_settings();
            (redis.username().map(str::to_owned), redis.password().map(str::to_owned))
        };
        let login = |password: &str| (Some("u".to_owned()), Some(password.to_owned()));
        assert_eq!(now(), login("first"));
        std::fs::write(password.path(), "second").unwrap();
        assert_eq!(now(), login("second"));
        let number = dialler.template().number;
        std::fs::remove_file(user.path()).unwrap();
        assert_eq!((now(), dialler.template().number), (login("second"), number));
        let why = Dialler::for_servers(&place("redis://h"), &settings).unwrap_err();
        assert!(SettingsFault::all(&why).contains("redis.username_file = "), "{why:?}");
    }
}
