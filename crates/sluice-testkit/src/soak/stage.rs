//! What a soak runs on: Redis, a gateway in plain text, one with TLS, and a publisher.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sluice_wire::EventId;
use tempfile::TempDir;

use super::command::Carrier;
use crate::certificates::Certificates;
use crate::experiment::{Servers, Topology};
use crate::node::{Node, NodeBuilder, Role};
use crate::redis_cli::RedisCli;
use crate::sse::Transport;

/// So that a soak is slow nowhere but where it means to be, and heartbeats are many.
const QUICK: [(&str, &str); 5] = [
    ("SLUICE_REDIS__PROBE_INTERVAL_MS", "200"),
    ("SLUICE_REDIS__PROBE_DEADLINE_MS", "2000"),
    ("SLUICE_REDIS__RESPONSE_TIMEOUT_MS", "2000"),
    ("SLUICE_STREAMS__HEARTBEAT_MS", "200"),
    ("SLUICE_TOPICS__LINGER_MS", "500"),
];
/// What installations differ in.
const VARIANTS: [&[(&str, &str)]; 4] = [
    &[],
    &[("SLUICE_TOPICS__IDLE_EXPIRY_S", "5")],
    &[("SLUICE_TOPICS__RETENTION_EVENTS_MAX", "100"), ("SLUICE_STREAMS__CATCH_UP_PAGE_EVENTS", "3")],
    &[("SLUICE_TOPICS__WINDOW_EVENTS_MAX", "8"), ("SLUICE_STREAMS__RING_EVENTS_MAX", "8")],
];

pub(super) struct Stage {
    /// Ahead of everything else: fields drop in order, and nodes go first.
    pub(super) plain: Node,
    pub(super) secure: Node,
    pub(super) publisher: Node,
    pub(super) topics: Vec<String>,
    /// The primary of each topic, and each primary once.
    clis: Vec<RedisCli>,
    pub(super) primaries: Vec<RedisCli>,
    pub(super) topology: Topology,
    pub(super) variant: &'static [(&'static str, &'static str)],
    trusted: Certificates,
    _servers: Servers,
    _directory: TempDir,
}

/// Where a stream is opened.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
}

impl Stage {
    /// Starts everything, in the variant with this number.
    pub(super) async fn set(binary: &Path, topology: Topology, topics: usize, variant: u64) -> Result<Self> {
        let directory = TempDir::with_prefix("sluice-soak-")?;
        let trusted = Certificates::create_in(directory.path())?;
        let servers = Servers::start(topology).await?;
        let variant = VARIANTS[usize::try_from(variant % VARIANTS.len() as u64)?];
        let node = |role| {
            let node = servers.given_to(Node::builder(binary, role), None);
            let settings = QUICK.iter().chain(variant);
            settings.fold(node, |node: NodeBuilder, (name, value)| node.env(name, value))
        };
        let text = |path: PathBuf| path.display().to_string();
        let secure = node(Role::Gateway)
            .env("SLUICE_TLS__CERT_FILE", &text(trusted.server_cert_file()))
            .env("SLUICE_TLS__KEY_FILE", &text(trusted.server_key_file()));
        let (plain, secure, publisher) =
            tokio::try_join!(node(Role::Gateway).spawn(), secure.spawn(), node(Role::Publisher).spawn())?;
        let topics: Vec<_> = (0..topics).map(|number| format!("t/{number}")).collect();
        let mut clis = Vec::new();
        let mut primaries: Vec<(SocketAddr, RedisCli)> = Vec::new();
        for topic in &topics {
            let primary = servers.primary_of(topic).await?;
            clis.push(primary.redis_cli());
            if primaries.iter().all(|(address, _)| *address != primary.addr()) {
                primaries.push((primary.addr(), primary.redis_cli()));
            }
        }
        Ok(Self {
            plain,
            secure,
            publisher,
            topics,
            clis,
            primaries: primaries.into_iter().map(|(_, cli)| cli).collect(),
            topology,
            variant,
            trusted,
            _servers: servers,
            _directory: directory,
        })
    }

    pub(super) fn nodes(&mut self) -> [(&'static str, &mut Node); 3] {
        [
            ("gateway", &mut self.plain),
            ("gateway with TLS", &mut self.secure),
            ("publisher", &mut self.publisher),
        ]
    }

    pub(super) fn place(&self, carrier: Carrier) -> Place {
        match carrier {
            Carrier::Plain => Place { address: self.plain.addr(), transport: Transport::Plain },
            Carrier::Tls => {
                Place { address: self.secure.addr(), transport: Transport::Tls(self.trusted.clone()) }
            }
            Carrier::Http2 => {
                Place { address: self.secure.addr(), transport: Transport::Http2(self.trusted.clone()) }
            }
        }
    }

    /// redis-cli at the primary of this topic.
    pub(super) fn cli(&self, topic: usize) -> &RedisCli {
        &self.clis[topic]
    }

    /// `sluice:{<topic>}:<part>`
    pub(super) fn key(&self, topic: usize, part: &str) -> String {
        format!("sluice:{{{}}}:{part}", self.topics[topic])
    }

    /// The command that announces.
    pub(super) fn publish_command(&self) -> &'static str {
        if self.topology == Topology::Cluster { "SPUBLISH" } else { "PUBLISH" }
    }

    /// The ids in the log of a topic.
    pub(super) async fn ids(&self, topic: usize) -> Result<Vec<EventId>> {
        const IDS: &str = "local ids = {} \
             for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do ids[#ids + 1] = entry[1] end \
             return ids";
        let printed = self.cli(topic).run(&["EVAL", IDS, "1", &self.key(topic, "log")]).await?;
        let ids = printed.lines().filter(|line| !line.is_empty());
        ids.map(|line| line.parse().with_context(|| format!("{line:?} is not an id"))).collect()
    }

    /// Removes keys that no log can be: of another type, or without a further id.
    pub(super) async fn make_sane(&self) -> Result<()> {
        const SANE: &str = "local kind = redis.call('TYPE', KEYS[1]).ok \
             if kind == 'none' then return 'absent' end \
             if kind ~= 'stream' then redis.call('DEL', KEYS[1]) return 'was a ' .. kind end \
             local info = redis.call('XINFO', 'STREAM', KEYS[1]) \
             for i = 1, #info, 2 do \
               if info[i] == 'last-generated-id' and info[i + 1] == ARGV[1] then \
                 redis.call('DEL', KEYS[1]) return 'was exhausted' \
               end \
             end \
             return 'sane'";
        for topic in 0..self.topics.len() {
            let key = self.key(topic, "log");
            self.cli(topic).run(&["EVAL", SANE, "1", &key, &EventId::MAX.to_string()]).await?;
        }
        Ok(())
    }

    /// Commands that all primaries together have run.
    pub(super) async fn commands_run(&self) -> Result<u64> {
        let mut sum = 0;
        for cli in &self.primaries {
            let stats = cli.run(&["INFO", "stats"]).await?;
            let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
            sum += line.context("INFO without total_commands_processed")?.trim().parse::<u64>()?;
        }
        Ok(sum)
    }
}
