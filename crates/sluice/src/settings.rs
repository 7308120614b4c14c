//! From the configuration's tree to each crate's plain settings. The only place that knows both.

mod access;
mod faults;

pub(crate) use self::access::access;
pub(crate) use self::faults::faults;
use anyhow::Context as _;
use sluice_access::{Access, AddressPrefixes, Pressure, REVOCATIONS_TOPIC, Rate};
use sluice_broker::{
    BrokerSettings, BrokerUrl, BrokerUrlError, Duties, FollowerSettings, MemorySettings, RedisLogin,
    RedisSettings, RedisTls, ReplaySettings, Retention, RetentionPolicies,
};
use sluice_gateway::{
    CorsSettings, ForwardedField, GatewaySettings, Limits, ListenerSettings, OnLag, ProxyProtocol,
    RefusedWait, RingLimits, StreamSettings, Tls, TlsError, TlsSettings, TrustedProxies, WindowLimits,
};
use sluice_publisher::{PaceSettings, PublisherSettings, RouteSettings};
use sluice_runtime::config::{self, Config, Origins, Role};
use sluice_wire::TopicPattern;
use sluice_wire::cursor::Cursor;

/// Descriptors that a node keeps for everything that is not a stream.
pub(crate) const DESCRIPTORS_KEPT: u64 = 256;
/// Of them, and what a node takes of connections without a stream unless it is told otherwise: one in so many
/// descriptors, between these.
const CONNECTIONS_SHARE: u64 = 16;
const CONNECTIONS_LEAST: u64 = 64;
const CONNECTIONS_MOST: u64 = 4_096;

/// Settings of the broker.
pub(crate) fn broker(config: &Config) -> Result<BrokerSettings, BrokerUrlError> {
    let url: BrokerUrl = config.redis.url.expose().parse()?;
    let rules = config.topics.rules.iter().map(|rule| (rule.pattern.clone(), retention(&rule.retention)));
    let rules = revocations_kept().into_iter().chain(rules);
    let redis = &config.redis;
    Ok(BrokerSettings {
        url,
        retention: RetentionPolicies { rules: rules.collect(), default: retention(&config.topics.retention) },
        once_window: config.topics.idempotency_window,
        redis: RedisSettings {
            prefix: redis.prefix.clone(),
            login: login(&redis.login),
            sentinel_login: login(&redis.sentinel_login),
            tls: RedisTls {
                ca_file: redis.tls_ca_file.clone(),
                cert_file: redis.tls_cert_file.clone(),
                key_file: redis.tls_key_file.clone(),
            },
            pool_size: redis.pool_size,
            connect_timeout: redis.connect_timeout,
            response_timeout: redis.response_timeout,
            probe_interval: redis.probe_interval,
            probe_deadline: redis.probe_deadline,
        },
        memory: MemorySettings::default(),
        ..BrokerSettings::new(BrokerUrl::memory())
    })
}

/// Whoever follows the log of revocations removes what is no longer needed, by each entry's own end and by no setting.
fn revocations_kept() -> Option<(TopicPattern, Retention)> {
    TopicPattern::parse(REVOCATIONS_TOPIC).ok().map(|log| (log, Retention::UNLIMITED))
}

fn login(configured: &config::RedisLogin) -> RedisLogin {
    RedisLogin {
        username: configured.username.clone(),
        password: configured.password.as_ref().map(|secret| secret.expose().to_owned()),
        username_file: configured.username_file.clone(),
        password_file: configured.password_file.clone(),
    }
}

/// What the process does with Redis.
pub(crate) fn duties(config: &Config) -> Duties {
    let (reading, appending) = (config.role != Role::Publisher, config.role != Role::Gateway);
    Duties {
        reading,
        appending,
        waiting: appending && config.publisher.wait_replicas > 0,
        holding: reading && config.limits.cluster_streams_per_subject_max > 0,
    }
}

fn retention(configured: &config::Retention) -> Retention {
    Retention {
        events_max: configured.events_max,
        age_max: configured.age_max,
        idle_max: configured.idle_expiry,
    }
}

/// Settings of the gateway; `descriptors` is what the process may hold.
pub(crate) fn gateway(
    config: &Config,
    descriptors: u64,
    access: &Access,
    pressure: &Pressure,
) -> GatewaySettings {
    let Config { topics, streams, limits, .. } = config;
    let replay = ReplaySettings { page_events: streams.catch_up_page_events, ..ReplaySettings::default() };
    let origins = match &config.cors.origins {
        Origins::Any => vec!["*".to_owned()],
        Origins::Listed(listed) => listed.clone(),
    };
    GatewaySettings {
        windows: WindowLimits {
            events_max: topics.window_events_max,
            bytes_max: topics.window_bytes_max,
            node_bytes_max: topics.windows_bytes_max,
        },
        rings: RingLimits { events_max: streams.ring_events_max, bytes_max: streams.ring_bytes_max },
        follower: FollowerSettings {
            tail_interval: topics.tail_check_interval,
            tail_topics_per_second: topics.tail_check_keys_per_second as usize,
            linger: topics.linger,
            topics_max: limits.topics_max,
            replay,
            ..FollowerSettings::default()
        },
        catch_up_readers_max: streams.catch_up_readers_max,
        catch_up_bytes_max: streams.catch_up_bytes_max,
        streams: StreamSettings {
            heartbeat: streams.heartbeat,
            retry: streams.retry,
            retry_jitter_percent: streams.retry_jitter_percent,
            on_lag: match streams.on_lag {
                config::OnLag::CatchUp => OnLag::CatchUp,
                config::OnLag::Disconnect => OnLag::Disconnect,
            },
            write_stall: streams.write_stall,
            max_age: streams.max_age,
            expiry_jitter: config.auth.expiry_jitter,
            leeway: config.auth.leeway,
            shards: streams.shards,
            pin_cpus: streams.pin_cpus,
        },
        limits: Limits {
            streams_max: streams_max(limits.streams_max, config.listen.connections_max, descriptors),
            accept_per_second: limits.accept_per_second,
            accept_burst: limits.accept_burst,
            streams_per_address_max: limits.streams_per_address_max,
            address_prefixes: address_prefixes(config),
            streams_per_subject_max: limits.streams_per_subject_max,
            cluster_streams_per_subject_max: limits.cluster_streams_per_subject_max,
            streams_per_topic_max: limits.streams_per_topic_max,
            refused_wait: RefusedWait { least: limits.refused_retry, most: limits.refused_retry_max },
            topics_per_stream_max: topics.per_stream_max,
        },
        pressure: pressure.clone(),
        access: access.clone(),
        expired_as_event: config.auth.expired_as_event,
        cors: CorsSettings { origins, credentials: config.cors.credentials, max_age: config.cors.max_age },
        traced: is_traced(config),
    }
}

/// Settings of the public listeners, with the certificate that there is now; `descriptors` is what the process
/// may hold.
pub(crate) fn listener(config: &Config, descriptors: u64) -> anyhow::Result<ListenerSettings> {
    let Config { listen, limits, streams, topics, .. } = config;
    let field = match listen.client_address {
        config::ClientAddressField::XForwardedFor => ForwardedField::XForwardedFor,
        config::ClientAddressField::Forwarded => ForwardedField::Forwarded,
        config::ClientAddressField::Off => ForwardedField::Off,
    };
    Ok(ListenerSettings {
        proxies: TrustedProxies { networks: listen.trusted_proxies.clone(), field },
        proxy_protocol: match listen.proxy_protocol {
            config::ProxyProtocol::Off => ProxyProtocol::Off,
            config::ProxyProtocol::Optional => ProxyProtocol::Optional,
            config::ProxyProtocol::Required => ProxyProtocol::Required,
        },
        handshake_timeout: listen.handshake_timeout,
        header_read_timeout: limits.header_read_timeout,
        header_bytes_max: limits.header_bytes_max,
        header_count_max: limits.header_count_max,
        cursor_bytes_max: Cursor::len_max(topics.per_stream_max),
        connections_max: connections_max(listen.connections_max, limits.streams_max, descriptors),
        tls: tls(&config.tls).context("TLS cannot be served ([tls])")?,
        h2c: listen.h2c,
        http2_streams_max: listen.http2_streams_max,
        write_stall: streams.write_stall,
    })
}

/// The certificate, where there is to be one.
fn tls(config: &config::Tls) -> Result<Option<Tls>, TlsError> {
    let Some((cert_file, key_file)) = config.cert_file.clone().zip(config.key_file.clone()) else {
        return Ok(None);
    };
    let (client_ca_file, reload_interval) = (config.client_ca_file.clone(), config.reload_interval);
    let settings = TlsSettings { cert_file, key_file, client_ca_file, reload_interval };
    Tls::load(settings).map(Some)
}

/// Whether anybody collects the spans of this process.
fn is_traced(config: &Config) -> bool {
    config.telemetry.otlp.endpoint.is_some()
}

/// How many streams a node takes: as configured, else what its descriptors allow beside the connections that
/// hold none.
pub(crate) fn streams_max(configured: usize, connections: usize, descriptors: u64) -> usize {
    if configured > 0 {
        return configured;
    }
    let left = descriptors.saturating_sub(connections_max(connections, 0, descriptors) as u64);
    usize::try_from(left.saturating_sub(DESCRIPTORS_KEPT - CONNECTIONS_LEAST)).unwrap_or(usize::MAX).max(1)
}

/// How many connections without a stream a node takes: as configured, else a share of its descriptors, or what
/// a configured number of streams leaves of them.
pub(crate) fn connections_max(configured: usize, streams: usize, descriptors: u64) -> usize {
    if configured > 0 {
        return configured;
    }
    let share = match streams {
        0 => descriptors / CONNECTIONS_SHARE,
        streams => descriptors.saturating_sub(DESCRIPTORS_KEPT).saturating_sub(streams as u64),
    };
    usize::try_from(share.clamp(CONNECTIONS_LEAST, CONNECTIONS_MOST)).unwrap_or(usize::MAX)
}

/// Settings of the publisher.
pub(crate) fn publisher(config: &Config) -> PublisherSettings {
    PublisherSettings {
        flush_events_max: config.publisher.flush_events_max,
        event_bytes_max: config.topics.event_bytes_max,
        wait_replicas: config.publisher.wait_replicas,
        wait_replicas_timeout: config.publisher.wait_replicas_timeout,
        traced: is_traced(config),
        ..PublisherSettings::default()
    }
}

fn address_prefixes(config: &Config) -> AddressPrefixes {
    AddressPrefixes { v4_bits: config.limits.address_prefix_v4, v6_bits: config.limits.address_prefix_v6 }
}

fn pace(config: &Config) -> PaceSettings {
    let limits = &config.limits;
    let rate = |per_second, burst| (per_second > 0).then_some(Rate { per_second, burst });
    PaceSettings {
        per_sender: rate(limits.publish_per_second, limits.publish_burst),
        per_topic: rate(limits.topic_publish_per_second, limits.topic_publish_burst),
        address_prefixes: address_prefixes(config),
    }
}

/// Settings of the publisher's routes.
pub(crate) fn publisher_routes(config: &Config, access: &Access, pressure: &Pressure) -> RouteSettings {
    RouteSettings {
        access: access.clone(),
        body_bytes_max: config.publisher.body_bytes_max,
        line_bytes_max: config.publisher.line_bytes_max,
        batch_events_max: config.publisher.batch_events_max,
        batch_bytes_max: config.publisher.batch_bytes_max,
        requests_max: config.publisher.concurrency_max,
        uploads_max: config.publisher.uploads_max,
        body_idle_max: config.publisher.body_idle,
        wait_replicas_max: config.publisher.wait_replicas_max.max(config.publisher.wait_replicas),
        pace: pace(config),
        pressure: pressure.clone(),
        ..RouteSettings::default()
    }
}
