//! A real redis-server of its own for a test: own port, own directory, gone with its value.
//!
//! The port and the directory stay the same over [`RedisServer::restart`], so that what clients hold (an
//! address) and what Redis kept (an append-only file, its place in a cluster) mean the same thing afterwards.

mod settings;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use futures_util::future::try_join_all;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub use self::settings::RedisServerBuilder;
use crate::certificates::Certificates;
use crate::deadline::eventually;
use crate::process::{Process, exit_code};
use crate::redis_cli::RedisCli;

const START_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// For one look at a server that may hang.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const CONFIGURATION: &str = "redis.conf";
const LOG: &str = "redis.log";
/// Only this server is behind it, whereas a stranger may have taken the port first; and it has no TLS.
const SOCKET: &str = "redis.sock";
/// What redis-server says before it has read where its log is.
const COMPLAINTS: &str = "complaints.log";
pub(crate) const INSTALL: &str =
    "scripts/install-test-deps.sh (Debian, Ubuntu: apt-get install redis-server)";

/// A running redis-server, killed and removed with its directory when the value is dropped.
pub struct RedisServer {
    /// Ahead of the directory: fields drop in order, and the server goes before its files.
    process: Option<Process>,
    directory: TempDir,
    address: SocketAddr,
    /// Where the other nodes of its cluster reach it.
    bus: Option<SocketAddr>,
    settings: RedisServerBuilder,
}

impl RedisServer {
    /// A server with nothing but defaults: no snapshots, no append-only file.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A server with settings of its own.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    fn new(settings: RedisServerBuilder, address: SocketAddr, bus: Option<SocketAddr>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("sluice-redis-").tempdir()?;
        if settings.wants_certificates() {
            Certificates::create_in(directory.path())?;
        }
        // Once and for all: sentinels and clusters have their servers write it anew.
        let configuration = settings.configuration(address, bus, directory.path());
        fs::write(directory.path().join(CONFIGURATION), configuration)?;
        Ok(Self { process: None, directory, address, bus, settings })
    }

    /// `redis://[[<user>]:<password>@]127.0.0.1:<port>`, or `rediss://` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.address)
    }

    /// The URL of this server by way of another address, a [`Proxy`](crate::Proxy)'s for instance.
    #[must_use]
    pub fn url_through(&self, address: SocketAddr) -> String {
        self.settings.url_through(address)
    }

    /// Where the server listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn bus(&self) -> Option<SocketAddr> {
        self.bus
    }

    /// The port alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate of the authority to trust, where the server was started with TLS.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.certificates().ca_file()
    }

    /// A client's certificate that the server accepts, where it was started with TLS.
    #[must_use]
    pub fn client_cert_file(&self) -> PathBuf {
        self.certificates().client_cert_file()
    }

    /// The key of [`RedisServer::client_cert_file`].
    #[must_use]
    pub fn client_key_file(&self) -> PathBuf {
        self.certificates().client_key_file()
    }

    /// What the server logged and complained of since its first start.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        read(COMPLAINTS) + &read(LOG)
    }

    /// Runs the real redis-cli against this server, as somebody who may do everything; see [`RedisCli::run`].
    pub async fn cli(&self, args: &[&str]) -> Result<String> {
        self.redis_cli().run(args).await
    }

    /// Runs the real redis-cli with `input` on its standard input; see [`RedisCli::run_with_stdin`].
    pub async fn cli_with_stdin(&self, args: &[&str], input: &[u8]) -> Result<String> {
        self.redis_cli().run_with_stdin(args, input).await
    }

    /// The reply with its structure, or an error soon: for looks at a server that may hang.
    pub(crate) async fn ask(&self, args: &[&str]) -> Result<Value> {
        self.look().json(args).await
    }

    /// redis-cli with less patience.
    pub(crate) fn look(&self) -> RedisCli {
        self.redis_cli().within(LOOK_WITHIN)
    }

    /// redis-cli pointed at this server, with what it takes to be let in.
    #[must_use]
    pub fn redis_cli(&self) -> RedisCli {
        self.settings.cli(self.address, self.directory.path())
    }

    /// Whether it has been started and neither killed nor terminated since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// SIGKILL: the end that no server prepares for.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("redis-server is not running")?.kill()
    }

    /// SIGTERM; waits for the end and returns the exit code.
    pub async fn terminate(&mut self) -> Result<i32> {
        let process = self.process.as_mut().context("redis-server is not running")?;
        let status = process.terminate(STOP_WITHIN).await?;
        self.process = None;
        Ok(exit_code(status))
    }

    /// Starts again on the same port and directory, after SIGKILL if it still runs.
    pub async fn restart(&mut self) -> Result<()> {
        // Dropping a process kills and reaps it.
        self.process = None;
        self.launch().await
    }

    /// SIGSTOP: the server hangs, its connections stay open.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: ends [`RedisServer::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("redis-server is not running")?.signal(signal)
    }

    fn certificates(&self) -> Certificates {
        self.settings.certificates(self.directory.path())
    }

    async fn launch(&mut self) -> Result<()> {
        let complaints = File::create(self.directory.path().join(COMPLAINTS))?;
        let mut command = Command::new("redis-server");
        command.arg(self.directory.path().join(CONFIGURATION));
        if self.settings.is_sentinel() {
            command.arg("--sentinel");
        }
        command.stdin(Stdio::null()).stdout(complaints.try_clone()?).stderr(complaints);
        let mut process = Process::spawn("redis-server", &mut command)
            .map_err(|error| explain_missing("redis-server", INSTALL, error))?;
        let what = format!("redis-server on {} to answer PING", self.address);
        let ready = eventually(&what, START_WITHIN, async || match process.exited() {
            Ok(Some(status)) => Ok(Err(anyhow!("redis-server ended at once ({status})"))),
            Ok(None) => self.answers().await.map(Ok),
            Err(error) => Ok(Err(error)),
        });
        let outcome = ready.await.and_then(|outcome| outcome);
        outcome.with_context(|| format!("log of redis-server:\n{}", self.log()))?;
        self.process = Some(process);
        Ok(())
    }

    /// PONG: it listens everywhere by then, and has read what it kept.
    async fn answers(&self) -> Result<()> {
        let mut connection = UnixStream::connect(self.directory.path().join(SOCKET)).await?;
        let commands = self.settings.greeting() + "PING\r\n";
        connection.write_all(commands.as_bytes()).await?;
        let mut answer = Vec::new();
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        // A line a command: one that is still loading lets the kit in and then refuses to talk.
        while lines(&answer) < lines(commands.as_bytes()) && connection.read_buf(&mut answer).await? > 0 {}
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.ends_with("+PONG\r\n"), "it answered {answer:?}");
        Ok(())
    }
}

/// Starts all of them at once; in the order in which they were given.
pub(crate) async fn start_all(builders: Vec<RedisServerBuilder>) -> Result<Vec<RedisServer>> {
    try_join_all(builders.into_iter().map(RedisServerBuilder::start)).await
}

/// A program that is not there is the one failure of a spawn that the reader can mend at once.
pub(crate) fn explain_missing(program: &str, install: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        anyhow!("{program} is not in PATH, and these tests need the real one: run {install}")
    } else {
        anyhow::Error::new(error).context(format!("starting {program}"))
    }
}
