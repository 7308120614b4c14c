//! How servers are dialled: credentials, certificates, timeouts, sockets. Where they are is known elsewhere
//! (`layout.rs`). Certificates are read and checked here, once; what they are is used with every connection.

use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, TlsCertificates,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::failure;
use super::settings::{RedisLogin, RedisSettings, RedisTls};
use crate::BrokerError;
use crate::url::{Address, RedisPlace};

/// After this long without traffic the kernel asks the peer for a sign of life.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// How often it asks again.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// A peer that acknowledges nothing for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Dials one kind of server. Its `Debug` masks what is secret.
#[derive(Debug, Clone)]
pub(super) struct Dialler {
    /// What every connection has in common; its host and port stand for any.
    template: ConnectionInfo,
    connect_timeout: Duration,
    response_timeout: Duration,
}

impl Dialler {
    /// For the servers that hold the topics.
    pub(super) fn for_servers(place: &RedisPlace, settings: &RedisSettings) -> Result<Self, String> {
        let from_address = RedisLogin { username: place.username.clone(), password: place.password.clone() };
        let login = RedisLogin {
            username: settings.login.username.clone().or(from_address.username),
            password: settings.login.password.clone().or(from_address.password),
        };
        Self::new(place, settings, &login, place.database)
    }

    /// For the sentinels that watch over them.
    pub(super) fn for_sentinels(place: &RedisPlace, settings: &RedisSettings) -> Result<Self, String> {
        Self::new(place, settings, &settings.sentinel_login, 0)
    }

    fn new(
        place: &RedisPlace,
        settings: &RedisSettings,
        login: &RedisLogin,
        database: i64,
    ) -> Result<Self, String> {
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY));
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(USER_TIMEOUT);
        let template = if place.tls { by_tls(&settings.tls)? } else { plain()? };
        Ok(Self {
            template: template.set_tcp_settings(tcp).set_redis_settings(speaker(login, database)),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
        })
    }

    /// How to dial the server at `address`.
    pub(super) fn info(&self, address: &Address, protocol: ProtocolVersion) -> ConnectionInfo {
        let mut addr = self.template.addr().clone();
        if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = &mut addr {
            host.clone_from(&address.host);
            *port = address.port;
        }
        let redis = self.template.redis_settings().clone().set_protocol(protocol);
        self.template.clone().set_addr(addr).set_redis_settings(redis)
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
        self.dial(self.info(address, ProtocolVersion::RESP3), &config).await
    }

    /// A connection to the server at `address` for a few questions.
    pub(super) async fn asking(&self, address: &Address) -> Result<MultiplexedConnection, BrokerError> {
        self.dial(self.info(address, ProtocolVersion::RESP2), &self.config()).await
    }

    async fn dial(
        &self,
        info: ConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, BrokerError> {
        let client = Client::open(info).map_err(|error| failure::of(&error))?;
        let connection = client.get_multiplexed_async_connection_with_config(config);
        connection.await.map_err(|error| failure::of(&error))
    }
}

fn speaker(login: &RedisLogin, database: i64) -> RedisConnectionInfo {
    let mut speaker =
        RedisConnectionInfo::default().set_db(database).set_lib_name("sluice", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &login.username {
        speaker = speaker.set_username(username);
    }
    if let Some(password) = &login.password {
        speaker = speaker.set_password(password);
    }
    speaker
}

fn plain() -> Result<ConnectionInfo, String> {
    "redis://localhost".into_connection_info().map_err(|error| error.to_string())
}

fn by_tls(files: &RedisTls) -> Result<ConnectionInfo, String> {
    let root_cert = files.ca_file.as_deref().map(|path| certificates(path, "CA")).transpose()?;
    let client_tls = match (&files.cert_file, &files.key_file) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: certificates(cert, "certificate")?,
            client_key: private_key(key)?,
        }),
        (Some(_), None) => return Err("a TLS certificate needs its key file too".to_owned()),
        (None, Some(_)) => return Err("a TLS key needs its certificate file too".to_owned()),
    };
    let client = Client::build_with_tls("rediss://localhost", TlsCertificates { client_tls, root_cert });
    let client = client.map_err(|error| format!("the TLS files cannot be used: {error}"))?;
    Ok(client.get_connection_info().clone())
}

/// The bytes of a file that holds at least one certificate.
fn certificates(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    let pem = contents(path, what)?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| format!("the {what} file {} is no PEM: {error}", path.display()))?;
        found += 1;
    }
    if found == 0 {
        return Err(format!("the {what} file {} holds no certificate in PEM form", path.display()));
    }
    Ok(pem)
}

/// The bytes of a file that holds a private key.
fn private_key(path: &Path) -> Result<Vec<u8>, String> {
    let pem = contents(path, "key")?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(format!("the key file {} holds no private key in PEM form", path.display())),
    }
}

fn contents(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("the {what} file {} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
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
            login: RedisLogin { username: None, password: Some("s3cret".to_owned()) },
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
            (RedisTls { ca_file: Some("/nowhere/ca.pem".into()), ..tls() }, "/nowhere/ca.pem cannot be read"),
            (RedisTls { ca_file: path(&empty), ..tls() }, "holds no certificate"),
            (RedisTls { ca_file: path(&junk), ..tls() }, "is no PEM"),
            (RedisTls { cert_file: path(&empty), ..tls() }, "needs its key"),
            (RedisTls { key_file: path(&empty), ..tls() }, "needs its certificate"),
        ] {
            let settings = RedisSettings { tls: files, ..RedisSettings::default() };
            let why = Dialler::for_servers(&place("rediss://h"), &settings).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        let dialler = Dialler::for_servers(&place("rediss://h"), &RedisSettings::default()).unwrap();
        let info = dialler.info(&Address { host: "g".to_owned(), port: 1 }, ProtocolVersion::RESP2);
        assert!(matches!(info.addr(), ConnectionAddr::TcpTls { host, insecure: false, .. } if host == "g"));
    }
}
