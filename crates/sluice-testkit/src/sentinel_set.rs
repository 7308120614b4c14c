//! A primary, its replicas and three sentinels, all real processes, with timings that suit a test.
//!
//! Which server is the primary is for the sentinels to say, so servers go by their addresses here. Every wait ends
//! when the sentinels agree and the servers' own roles bear them out, or at a deadline that says what was missing.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::deadline::eventually;
use crate::redis_server::{RedisServer, RedisServerBuilder, start_all};

const NAME: &str = "sluice-test";
const SENTINELS: usize = 3;
const SETTLE_WITHIN: Duration = Duration::from_secs(40);
/// What sentinels do every one to ten seconds otherwise; and no tilt because a busy machine let them wait.
const HURRY: &[&str] = &[
    "SENTINEL",
    "DEBUG",
    "INFO-PERIOD",
    "300",
    "PING-PERIOD",
    "200",
    "ASK-PERIOD",
    "200",
    "PUBLISH-PERIOD",
    "300",
    "ELECTION-TIMEOUT",
    "2000",
    "TILT-TRIGGER",
    "20000",
    "TILT-PERIOD",
    "1000",
];

/// What a [`SentinelSet`] is started with.
#[derive(Debug, Clone)]
pub struct SentinelSetBuilder {
    server: RedisServerBuilder,
    replicas: usize,
    down_after: Duration,
}

impl SentinelSetBuilder {
    /// How many replicas the primary has; one unless said otherwise.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Adds a line to the redis.conf of primary and replicas; see [`RedisServerBuilder::arg`].
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.server = self.server.arg(name, value);
        self
    }

    /// Whether primary and replicas keep an append-only file.
    #[must_use]
    pub fn appendonly(mut self, appendonly: bool) -> Self {
        self.server = self.server.appendonly(appendonly);
        self
    }

    /// How long a primary must be silent before it counts as down; a second unless said otherwise.
    #[must_use]
    pub fn down_after(mut self, down_after: Duration) -> Self {
        self.down_after = down_after;
        self
    }

    /// Listens and dials by TLS alone, sentinels too, with one authority for all; see [`RedisServerBuilder::tls`].
    pub fn tls(mut self) -> Result<Self> {
        self.server = self.server.tls_among_servers()?;
        Ok(self)
    }

    /// Starts everything and waits until the sentinels know each other and every replica is in sync.
    pub async fn start(self) -> Result<SentinelSet> {
        let server =
            self.server.clone().arg("repl-diskless-sync-delay", "0").arg("repl-ping-replica-period", "1");
        let by_tls = server.is_by_tls();
        let primary = server.clone().start().await?;
        let port = primary.port().to_string();
        let mut builders = vec![server.arg("replicaof", &format!("127.0.0.1 {port}")); self.replicas];
        builders.extend(vec![self.sentinel(&port); SENTINELS]);
        let mut others = start_all(builders).await?;
        let sentinels = others.split_off(self.replicas);
        others.insert(0, primary);
        let set = SentinelSet { sentinels, servers: others, by_tls };
        for sentinel in &set.sentinels {
            sentinel.cli(HURRY).await?;
        }
        set.settled().await?;
        Ok(set)
    }

    fn sentinel(&self, primary_port: &str) -> RedisServerBuilder {
        let quorum = SENTINELS / 2 + 1;
        let down_after = self.down_after.as_millis();
        RedisServer::builder()
            .tls_of(&self.server)
            .sentinel()
            .arg("sentinel", &format!("monitor {NAME} 127.0.0.1 {primary_port} {quorum}"))
            .arg("sentinel", &format!("down-after-milliseconds {NAME} {down_after}"))
            .arg("sentinel", &format!("failover-timeout {NAME} 3000"))
            .arg("sentinel", &format!("parallel-syncs {NAME} 8"))
    }
}

/// Running sentinels and the servers that they watch.
pub struct SentinelSet {
    sentinels: Vec<RedisServer>,
    servers: Vec<RedisServer>,
    by_tls: bool,
}

impl SentinelSet {
    /// One primary, one replica, three sentinels, nothing kept on disk.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A set with settings of its own.
    #[must_use]
    pub fn builder() -> SentinelSetBuilder {
        SentinelSetBuilder { server: RedisServer::builder(), replicas: 1, down_after: Duration::from_secs(1) }
    }

    /// `redis+sentinel://<sentinel>,<sentinel>,<sentinel>/sluice-test`; `rediss+..` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        let scheme = if self.by_tls { "rediss" } else { "redis" };
        format!("{scheme}+sentinel://{}/{NAME}", sentinels.join(","))
    }

    /// The sentinels; to hang one, [`RedisServer::pause`] it.
    #[must_use]
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Primary and replicas, in no order that outlasts a failover.
    #[must_use]
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The server at this address.
    pub fn server(&self, address: SocketAddr) -> Result<&RedisServer> {
        let server = self.servers.iter().find(|server| server.addr() == address);
        server.with_context(|| format!("no server of the set is at {address}"))
    }

    /// The primary, once all sentinels that run say the same.
    pub async fn primary(&self) -> Result<&RedisServer> {
        let agreed = eventually("the sentinels to agree", SETTLE_WITHIN, async || self.agreed().await);
        self.server(agreed.await?)
    }

    /// A running server that is not the primary.
    pub async fn replica(&self) -> Result<&RedisServer> {
        let primary = self.primary().await?.addr();
        let mut replicas =
            self.servers.iter().filter(|server| server.is_running() && server.addr() != primary);
        replicas.next().context("no replica is running")
    }

    /// SIGKILL of the primary, and the address where it was; see [`SentinelSet::failed_over`].
    pub async fn kill_primary(&mut self) -> Result<SocketAddr> {
        let address = self.primary().await?.addr();
        self.server_mut(address)?.kill()?;
        Ok(address)
    }

    /// `SENTINEL FAILOVER`, which asks nobody whether the primary is down; waits until it is over and returns
    /// where the new primary is.
    pub async fn failover(&self) -> Result<SocketAddr> {
        let from = self.primary().await?.addr();
        let sentinel = self.sentinels.iter().find(|sentinel| sentinel.is_running());
        let sentinel = sentinel.context("no sentinel is running")?;
        // It refuses for some seconds after another failover.
        eventually("SENTINEL FAILOVER to be accepted", SETTLE_WITHIN, async || {
            sentinel.cli(&["SENTINEL", "FAILOVER", NAME]).await
        })
        .await?;
        self.failed_over(from).await
    }

    /// Waits until another server than `from` is the primary and everything is settled; where it is.
    pub async fn failed_over(&self, from: SocketAddr) -> Result<SocketAddr> {
        self.taken_over(from).await?;
        self.settled().await
    }

    /// Waits until the sentinels agree on another primary than `from` and it takes writes, whatever becomes of the
    /// other servers; where it is.
    pub async fn taken_over(&self, from: SocketAddr) -> Result<SocketAddr> {
        let over = eventually("the end of the failover", SETTLE_WITHIN, async || {
            let primary = self.agreed().await?;
            ensure!(primary != from, "{from} is the primary still");
            self.leads(primary).await?;
            Ok::<_, anyhow::Error>(primary)
        });
        over.await
    }

    /// Starts a killed server again and waits until the sentinels have made it a replica in sync. Until then it
    /// takes itself for what it was, a primary perhaps.
    pub async fn restart(&mut self, address: SocketAddr) -> Result<()> {
        self.server_mut(address)?.restart().await?;
        self.settled().await?;
        Ok(())
    }

    /// Waits until all sentinels that run agree, all servers that run have the role that this means, and every
    /// replica is in sync and known; where the primary is.
    pub async fn settled(&self) -> Result<SocketAddr> {
        eventually("primary, replicas and sentinels to settle", SETTLE_WITHIN, async || self.whole().await)
            .await
    }

    fn server_mut(&mut self, address: SocketAddr) -> Result<&mut RedisServer> {
        let server = self.servers.iter_mut().find(|server| server.addr() == address);
        server.with_context(|| format!("no server of the set is at {address}"))
    }

    fn running_sentinels(&self) -> impl Iterator<Item = &RedisServer> {
        self.sentinels.iter().filter(|sentinel| sentinel.is_running())
    }

    async fn agreed(&self) -> Result<SocketAddr> {
        let mut said = HashSet::new();
        for sentinel in self.running_sentinels() {
            let address = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).await?;
            said.insert(address_in(&address[0], &address[1])?);
        }
        ensure!(said.len() == 1, "the sentinels say {said:?}");
        said.into_iter().next().context("no sentinel is running")
    }

    async fn whole(&self) -> Result<SocketAddr> {
        let primary = self.agreed().await?;
        let running: Vec<_> = self.servers.iter().filter(|server| server.is_running()).collect();
        self.leads(primary).await?;
        for replica in running.iter().filter(|server| server.addr() != primary) {
            let role = replica.ask(&["ROLE"]).await?;
            let follows = role[0] == "slave" && role[2] == primary.port() && role[3] == "connected";
            ensure!(follows, "{} should follow {primary} and says {role}", replica.addr());
        }
        for sentinel in self.running_sentinels() {
            self.sees_all(sentinel, running.len() - 1).await?;
        }
        Ok(primary)
    }

    async fn leads(&self, primary: SocketAddr) -> Result<()> {
        let role = self.server(primary)?.ask(&["ROLE"]).await?;
        ensure!(role[0] == "master", "{primary} should be the primary and says {role}");
        Ok(())
    }

    /// Whether the sentinel could lead a failover now.
    async fn sees_all(&self, sentinel: &RedisServer, replicas: usize) -> Result<()> {
        let seen = sentinel.ask(&["SENTINEL", "MASTER", NAME]).await?;
        let others = (SENTINELS - 1).to_string();
        let healthy = seen["flags"] == "master" && seen["num-other-sentinels"] == others.as_str();
        ensure!(healthy, "{} sees {seen}", sentinel.addr());
        let seen = sentinel.ask(&["SENTINEL", "REPLICAS", NAME]).await?;
        let up = |replica: &&Value| replica["flags"] == "slave" && replica["master-link-status"] == "ok";
        let up = seen.as_array().into_iter().flatten().filter(up).count();
        ensure!(up >= replicas, "{} sees {up} replicas in sync, and {replicas} are: {seen}", sentinel.addr());
        Ok(())
    }
}

fn address_in(ip: &Value, port: &Value) -> Result<SocketAddr> {
    let (ip, port) = (ip.as_str().context("no address")?, port.as_str().context("no port")?);
    format!("{ip}:{port}").parse().with_context(|| format!("{ip}:{port} is no address"))
}
