//! The effective configuration of a process, read once at its start.
//!
//! Layers, each over the one before: built-in defaults, the role's defaults, a TOML file,
//! `SLUICE_SECTION__KEY` variables, flags. Every section validates itself and nothing stops at the first
//! mistake: either all of the tree is right, or [`ConfigErrors`] lists all that is wrong and where it came from.

mod auth;
mod cors;
mod drain;
mod error;
mod layers;
mod limits;
mod listen;
mod ops;
mod otlp;
mod publisher;
mod ratio;
mod raw;
mod reader;
mod redis;
mod render;
mod schema;
mod secret;
mod section;
mod streams;
mod suggest;
mod takes;
mod telemetry;
mod tls;
mod topics;
mod unit;

pub use auth::{ALGORITHMS, Anonymous, ApiKey, Auth, Issuer, IssuerKeys, Jwks, Subject};
pub use cors::{Cors, Origins};
pub use drain::Drain;
pub use error::{ConfigError, ConfigErrors};
pub use layers::Layers;
pub use limits::Limits;
pub use listen::{ClientAddressField, Listen, ProxyProtocol};
pub use ops::Ops;
pub use otlp::{Otlp, OtlpProtocol};
pub use publisher::Publisher;
pub use ratio::Ratio;
pub use redis::{ReadFrom, Redis, RedisLogin};
pub use secret::{RedisUrl, RedisUrlError, Secret};
pub use streams::{OnLag, Streams};
pub use telemetry::{LogFormat, Telemetry};
pub use tls::Tls;
pub use topics::{Retention, TopicRule, Topics};

use reader::{Entry, Reader};

/// What a process is for; some defaults depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Holds streams.
    Gateway,
    /// Takes events in.
    Publisher,
    /// Gateway and publisher in one process on this machine, open to everybody, with an embedded broker.
    Dev,
    /// A command that talks to a broker or a node and ends.
    Client,
}

impl Role {
    /// The word for it: the subcommand, and the label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Publisher => "publisher",
            Self::Dev => "dev",
            Self::Client => "client",
        }
    }
}

/// The whole tree. Fields carry the names of their keys, less the unit where the type holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What the defaults were chosen for.
    pub role: Role,
    /// The public listener.
    pub listen: Listen,
    /// The certificate of both public listeners.
    pub tls: Tls,
    /// The publisher's listener and limits.
    pub publisher: Publisher,
    /// The operations listener.
    pub ops: Ops,
    /// The broker.
    pub redis: Redis,
    /// Retention, and what a node keeps of its topics.
    pub topics: Topics,
    /// How streams are served.
    pub streams: Streams,
    /// What a node takes on.
    pub limits: Limits,
    /// Who may do what.
    pub auth: Auth,
    /// Which pages of other origins may use the public listener.
    pub cors: Cors,
    /// How a node leaves.
    pub drain: Drain,
    /// Logs and traces.
    pub telemetry: Telemetry,
    entries: Vec<Entry>,
    warnings: Vec<String>,
}

impl Config {
    /// The built-in defaults as the commented TOML that they are read from.
    pub const DEFAULTS: &'static str = layers::DEFAULTS;

    /// Reads all layers and checks the result.
    ///
    /// # Errors
    /// Every mistake of every layer, together.
    pub fn load(role: Role, layers: &Layers) -> Result<Self, ConfigErrors> {
        Self::load_checked(role, layers, |_| Vec::new())
    }

    /// As [`Config::load`], and has `check` look at what the layers alone do not show, such as files that are named.
    /// Where a value is wrong `check` meets the default. See [`Config::fault`].
    ///
    /// # Errors
    /// Every mistake of every layer, and what `check` found, together.
    pub fn load_checked(
        role: Role,
        layers: &Layers,
        check: impl FnOnce(&Self) -> Vec<ConfigError>,
    ) -> Result<Self, ConfigErrors> {
        let mut config = Self::read(role, layers.reader(role), check)?;
        let keys: Vec<&str> = config.entries.iter().map(|entry| entry.key.as_str()).collect();
        config.warnings = layers.warnings(&keys);
        Ok(config)
    }

    fn read(
        role: Role,
        mut reader: Reader,
        check: impl FnOnce(&Self) -> Vec<ConfigError>,
    ) -> Result<Self, ConfigErrors> {
        let mut config = Self {
            role,
            listen: reader.section("listen", |s| Listen::read(s, &Listen::default_for(role))),
            tls: reader.section("tls", |s| Tls::read(s, &Tls::default())),
            publisher: reader.section("publisher", |s| Publisher::read(s, &Publisher::default_for(role))),
            ops: reader.section("ops", |s| Ops::read(s, &Ops::default_for(role))),
            redis: reader.section("redis", |s| Redis::read(s, &Redis::default_for(role))),
            topics: reader.section("topics", |s| Topics::read(s, &Topics::default())),
            streams: reader.section("streams", |s| Streams::read(s, &Streams::default())),
            limits: reader.section("limits", |s| Limits::read(s, &Limits::default())),
            auth: reader.section("auth", |s| Auth::read(s, &Auth::default_for(role))),
            cors: reader.section("cors", |s| Cors::read(s, &Cors::default_for(role))),
            drain: reader.section("drain", |s| Drain::read(s, &Drain::default_for(role))),
            telemetry: reader.section("telemetry", |s| Telemetry::read(s, &Telemetry::default())),
            entries: Vec::new(),
            warnings: Vec::new(),
        };
        config.check_together(&mut reader);
        config.entries = reader.entries();
        for fault in check(&config) {
            reader.error(fault);
        }
        reader.finish().map_err(|errors| errors.logged_as(config.telemetry.log_format))?;
        Ok(config)
    }

    /// That the value of `key` is wrong; shown as in other mistakes, secrets masked.
    #[must_use]
    pub fn fault(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        ConfigError {
            key: key.to_owned(),
            value: entry.map(|entry| entry.literal.clone()),
            source: entry
                .and_then(|entry| entry.source.clone())
                .unwrap_or_else(|| layers::DEFAULT_SOURCE.to_owned()),
            problem: problem.into(),
        }
    }

    /// What is allowed and yet hardly meant, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The effective configuration as TOML, secrets masked, with the source of each value that is not a
    /// default.
    #[must_use]
    pub fn render(&self) -> String {
        render::render(&self.entries)
    }

    /// The tree as a JSON Schema, draft 2020-12: types, ranges, enums and units (`x-unit`) that the sections read
    /// by, the defaults of `role`, and what each key does. Secrets are `writeOnly`.
    ///
    /// # Errors
    /// None, unless the defaults themselves are wrong.
    pub fn schema(role: Role) -> Result<serde_json::Value, ConfigErrors> {
        let defaults = Self::read(role, Reader::new(figment::Figment::new(), Vec::new()), |_| Vec::new())?;
        Ok(schema::schema(&defaults.entries))
    }

    /// Every key there is, dotted, in the order of the sections.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// Rules that hold between keys; each is reported at the key that is easiest to change.
    fn check_together(&self, reader: &mut Reader) {
        let event = self.topics.event_bytes_max;
        let holders = [
            ("topics.window_bytes_max", self.topics.window_bytes_max),
            ("streams.ring_bytes_max", self.streams.ring_bytes_max),
            ("streams.catch_up_bytes_max", self.streams.catch_up_bytes_max),
            ("publisher.body_bytes_max", self.publisher.body_bytes_max),
            ("publisher.line_bytes_max", self.publisher.line_bytes_max),
        ];
        for (key, bytes) in holders {
            if bytes < event {
                reader.refuse(key, &format!("must hold one event: at least topics.event_bytes_max, {event}"));
            }
        }
        let window = self.topics.window_bytes_max;
        if self.topics.windows_bytes_max < window {
            let problem = format!("must hold one window: at least topics.window_bytes_max, {window}");
            reader.refuse("topics.windows_bytes_max", &problem);
        }
        if self.redis.probe_deadline < self.redis.probe_interval {
            let interval = self.redis.probe_interval.as_millis();
            let problem = format!("must be at least redis.probe_interval_ms, {interval}");
            reader.refuse("redis.probe_deadline_ms", &problem);
        }
        if self.cors.credentials && self.cors.origins == Origins::Any {
            reader.refuse(
                "cors.credentials",
                "browsers refuse credentials with origins \"*\": list the origins",
            );
        }
        if self.listen.proxy_protocol != ProxyProtocol::Off && self.listen.trusted_proxies.is_empty() {
            let problem = "must name the balancers whose PROXY header is read (listen.proxy_protocol)";
            reader.refuse("listen.trusted_proxies", problem);
        }
        self.tls.check(reader);
        if self.listen.h2c && self.tls.cert_file.is_some() {
            reader.refuse(
                "listen.h2c",
                "must be false with tls.cert_file: by TLS, HTTP/2 is agreed on by itself",
            );
        }
        if self.ops.addr.port() != 0 && self.ops.addr == self.listen.addr {
            reader.refuse("ops.addr", "must differ from listen.addr: operations are never public");
        }
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;

    use super::*;

    const ROLES: [Role; 4] = [Role::Gateway, Role::Publisher, Role::Dev, Role::Client];

    #[test]
    fn the_written_defaults_are_the_typed_ones() {
        for role in ROLES {
            let typed = Config::read(role, Reader::new(Figment::new(), Vec::new()), |_| Vec::new()).unwrap();
            let written = Config::load(role, &Layers::default()).unwrap();
            assert_eq!(typed, written, "{}", role.as_str());
        }
    }

    #[test]
    fn every_key_is_written_with_its_default() {
        let reader = Layers::default().reader(Role::Gateway);
        let config = Config::load(Role::Gateway, &Layers::default()).unwrap();
        assert!(config.keys().count() > 50);
        for key in config.keys() {
            assert!(reader.find(key).is_some(), "defaults.toml lacks {key}");
        }
    }
}
