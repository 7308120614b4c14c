//! A running process: builds everything from the configuration, in one place, and runs it to its end.

mod ending;
pub(crate) mod key_sets;
mod memory;
mod operations;
mod readiness;
mod revocations;
mod starting;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use sluice_access::{Access, Pressure};
use sluice_broker::{Broker, BrokerSettings, connect};
use sluice_gateway::{Ends, Gateway, GatewaySettings, ListenerSettings, Serves};
use sluice_publisher::{Publisher, RouteSettings};
use sluice_runtime::config::{Config, LogFormat, Role};
use sluice_runtime::failures;
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::limits::raise_descriptor_limit;
use sluice_runtime::telemetry::{Telemetry, Traces, metric};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::readiness::Readiness;
use self::revocations::{RevocationSettings, Revocations};
use crate::{console, settings, status};

/// Connections that may wait to be accepted: what a reconnect storm brings between two looks at the listener.
/// The kernel takes fewer where `net.core.somaxconn` is less.
pub(crate) const BACKLOG: u32 = 4_096;

/// Runs the process that `config` describes until it is told to stop.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let telemetry = Telemetry::init(&config.telemetry)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let descriptors = raise_descriptor_limit().unwrap_or(1_024);
    starting::report(&config, descriptors);
    let traces = Traces::start(&config.telemetry, config.role)?;
    let lifecycle = Lifecycle::new();
    failures::watch(&lifecycle);
    lifecycle.handle_signals()?;
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("role", config.role.as_str())];
    metric::BUILD_INFO.gauge(&labels).set(1.0);
    status::metrics::publish_process(&telemetry, &config, &lifecycle);

    let settings = BrokerSettings { stop: lifecycle.hard.clone(), ..settings::broker(&config)? };
    let broker = connect(settings, &lifecycle.tracker)?;
    let fetch = key_sets::fetch(config.auth.jwks.bytes_max, &lifecycle.tracker);
    let access = settings::access(&config, &fetch)?;
    let pressure = Pressure::default();
    memory::watch(&config, &pressure, &lifecycle);
    let revocations = revocations(&config, &broker, &access)?;
    let with = (&access, &revocations);
    let parts = Parts::build(&config, &broker, with, descriptors, &pressure, &lifecycle, &telemetry)?;
    let readiness = Readiness::new(settings::duties(&config), config.redis.url.is_memory());
    let ops = bind(config.ops.addr, "ops.addr")?;
    operations::serve(ops, &config, &parts, &readiness, with, &lifecycle, &telemetry);
    parts.listen(&config, &lifecycle)?;
    lifecycle.tracker.spawn(readiness.prove(broker, lifecycle.clone()));
    if access.has_credentials() {
        let follow = lifecycle.hard.clone().run_until_cancelled_owned(revocations.follow());
        lifecycle.spawn_essential("the reader of revocations", async {
            follow.await;
        });
    }
    let keep = lifecycle.hard.clone().run_until_cancelled_owned(access.keep());
    lifecycle.spawn_essential("the upkeep of keys", async {
        keep.await;
    });
    lifecycle.spawn_essential("the upkeep of metrics", telemetry.clone().upkeep(lifecycle.hard.clone()));

    lifecycle.soft.cancelled().await;
    Ok(ending::end(&parts, traces, &config, &lifecycle).await)
}

fn revocations(config: &Config, broker: &Arc<dyn Broker>, access: &Access) -> anyhow::Result<Revocations> {
    let settings = RevocationSettings {
        longest: config.auth.revocation_max,
        in_force_max: config.auth.revocations_max,
        trims: config.role != Role::Gateway,
    };
    let revocations = Revocations::new(broker.clone(), access.clone(), settings);
    revocations.context("the log of revocations has no name")
}

/// The halves of Sluice that this process has.
struct Parts {
    gateway: Option<Gateway>,
    publisher: Option<Publisher>,
    gateway_settings: GatewaySettings,
    listener_settings: ListenerSettings,
    /// Connections take no further request from then on.
    leaving: CancellationToken,
    /// Publishing requests that are not answered yet.
    requests: TaskTracker,
    public: Option<Router>,
    publishing: Option<Router>,
}

impl Parts {
    fn build(
        config: &Config,
        broker: &Arc<dyn Broker>,
        (access, revocations): (&Access, &Revocations),
        descriptors: u64,
        pressure: &Pressure,
        lifecycle: &Lifecycle,
        telemetry: &Telemetry,
    ) -> anyhow::Result<Self> {
        let gateway_settings = settings::gateway(config, descriptors, access, pressure);
        let gateway = if config.role == Role::Publisher {
            None
        } else {
            let (tracker, stop) = (&lifecycle.tracker, &lifecycle.hard);
            let gateway = Gateway::start(broker.clone(), gateway_settings.clone(), tracker, stop)
                .context("the shards cannot be started")?;
            status::metrics::publish_gateway(telemetry, &gateway, gateway_settings.limits.streams_max);
            Some(gateway)
        };
        let publisher = (config.role != Role::Gateway)
            .then(|| Publisher::start(broker.clone(), settings::publisher(config), &lifecycle.tracker));
        let (leaving, requests) = (lifecycle.hard.child_token(), TaskTracker::new());
        let routes = publisher.as_ref().map(|publisher| {
            let settings = RouteSettings {
                draining: leaving.clone(),
                requests: requests.clone(),
                revoking: access.has_credentials().then(|| revocations.for_applications(config)),
                ..settings::publisher_routes(config, access, pressure)
            };
            sluice_publisher::routes(publisher.clone(), settings)
        });
        let (public, publishing) = match (gateway.as_ref().map(Gateway::router), routes) {
            // One listener has both, so that a first try needs one address.
            (Some(streams), Some(routes)) => (Some(streams.merge(routes)), None),
            (streams, routes) => (streams, routes),
        };
        let public = public.map(|router| match config.role {
            Role::Dev => router.merge(console::routes()),
            _ => router,
        });
        let listener_settings = settings::listener(config, descriptors)?;
        status::metrics::publish_listeners(listener_settings.tls.as_ref());
        Ok(Self {
            gateway,
            publisher,
            gateway_settings,
            listener_settings,
            leaving,
            requests,
            public,
            publishing,
        })
    }

    fn listen(&self, config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<()> {
        if let Some(tls) = &self.listener_settings.tls {
            lifecycle
                .spawn_essential("the upkeep of the certificate", tls.clone().keep(lifecycle.hard.clone()));
        }
        let scheme = if self.listener_settings.tls.is_some() { "https" } else { "http" };
        if let Some(router) = &self.public {
            let listener = bind(config.listen.addr, "listen.addr")?;
            let addr = listener.local_addr()?;
            tracing::info!(%addr, scheme, role = config.role.as_str(), "serving streams");
            if config.role == Role::Dev && config.telemetry.log_format == LogFormat::Text {
                greet(scheme, addr);
            }
            let serves = if self.publisher.is_some() { Serves::Both } else { Serves::Streams };
            self.serve(listener, (router.clone(), serves), lifecycle);
        }
        if let Some(router) = &self.publishing {
            let listener = bind(config.publisher.addr, "publisher.addr")?;
            tracing::info!(addr = %listener.local_addr()?, scheme, "serving publishing");
            self.serve(listener, (router.clone(), Serves::Publishing), lifecycle);
        }
        Ok(())
    }

    fn serve(&self, listener: TcpListener, (router, serves): (Router, Serves), lifecycle: &Lifecycle) {
        let router = sluice_gateway::finish(router, &self.gateway_settings.cors, serves);
        let (settings, tracker) = (self.listener_settings.clone(), lifecycle.tracker.clone());
        let ends = Ends { leaving: self.leaving.clone(), stop: lifecycle.hard.clone() };
        lifecycle.spawn_essential("a listener", async move {
            sluice_gateway::serve(listener, router, settings, &tracker, ends).await;
        });
    }
}

fn bind(addr: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As the standard library does: an address is free again as soon as its process has gone.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("{key} = {addr}: cannot listen on this address"))
}

#[expect(clippy::print_stdout, reason = "the first words to whoever tries Sluice")]
fn greet(scheme: &str, addr: SocketAddr) {
    println!("sluice dev at {scheme}://{addr}, events are kept in memory unless redis.url says otherwise\n");
    println!("  console  {scheme}://{addr}/?topic=hello");
    println!("  stream   curl -N '{scheme}://{addr}/v1/events?topic=hello'");
    println!(
        "  publish  curl -H 'content-type: text/plain' -d 'hi there' {scheme}://{addr}/v1/topics/hello/events"
    );
    println!("  resume   curl -N -H 'Last-Event-ID: <id>' '{scheme}://{addr}/v1/events?topic=hello'\n");
}
