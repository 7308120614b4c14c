//! A real redis-server of its own for a test: own port, own directory, gone with its value.
//!
//! The port and the directory stay the same over [`RedisServer::restart`], so that what clients hold (an
//! address) and what Redis kept (an append-only file) mean the same thing afterwards.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::deadline::eventually;
use crate::ports::free_address;
use crate::process::{Process, exit_code};
use crate::redis_cli::RedisCli;

const START_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 5;
const LOG: &str = "redis.log";
/// What redis-server says before it has read where its log is.
const COMPLAINTS: &str = "complaints.log";
pub(crate) const INSTALL: &str =
    "scripts/install-test-deps.sh (Debian, Ubuntu: apt-get install redis-server)";

/// What a [`RedisServer`] is started with.
#[derive(Debug, Clone, Default)]
pub struct RedisServerBuilder {
    directives: Vec<(String, String)>,
    appendonly: bool,
    password: Option<String>,
}

impl RedisServerBuilder {
    /// Adds a line of redis.conf, such as `("client-output-buffer-limit", "pubsub 1mb 1mb 0")`. Later lines win.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps an append-only file: what was acknowledged survives [`RedisServer::kill`] and a restart.
    #[must_use]
    pub fn appendonly(mut self, appendonly: bool) -> Self {
        self.appendonly = appendonly;
        self
    }

    /// Asks clients for `password`; [`RedisServer::url`] and [`RedisServer::cli`] carry it.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Starts the server and waits until it answers PING.
    pub async fn start(self) -> Result<RedisServer> {
        let mut refusal = None;
        for _ in 0..ATTEMPTS {
            let mut server = RedisServer {
                process: None,
                directory: tempfile::Builder::new().prefix("sluice-redis-").tempdir()?,
                address: free_address()?,
                settings: self.clone(),
            };
            match server.launch().await {
                Ok(()) => return Ok(server),
                // Another process bound the port between our look and the server's bind.
                Err(error) if server.log().contains("Address already in use") => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| anyhow!("redis-server found no port in {ATTEMPTS} attempts")))
    }

    fn configuration(&self, address: SocketAddr, directory: &TempDir) -> String {
        let mut lines = format!(
            "bind {}\nport {}\ndir {}\nlogfile {LOG}\nloglevel notice\nsave \"\"\ndaemonize no\n",
            address.ip(),
            address.port(),
            directory.path().display()
        );
        if self.appendonly {
            lines.push_str("appendonly yes\n");
        }
        if let Some(password) = &self.password {
            let _ = writeln!(lines, "requirepass {password}");
        }
        for (name, value) in &self.directives {
            let _ = writeln!(lines, "{name} {value}");
        }
        lines
    }
}

/// A running redis-server, killed and removed with its directory when the value is dropped.
pub struct RedisServer {
    /// Ahead of the directory: fields drop in order, and the server goes before its files.
    process: Option<Process>,
    directory: TempDir,
    address: SocketAddr,
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

    /// `redis://[:<password>@]127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.address)
    }

    /// The URL of this server by way of another address, a [`Proxy`](crate::Proxy)'s for instance.
    #[must_use]
    pub fn url_through(&self, address: SocketAddr) -> String {
        match &self.settings.password {
            Some(password) => format!("redis://:{password}@{address}"),
            None => format!("redis://{address}"),
        }
    }

    /// Where the server listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The port alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the server logged and complained of since its first start.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        read(COMPLAINTS) + &read(LOG)
    }

    /// Runs the real redis-cli against this server; see [`RedisCli::run`].
    pub async fn cli(&self, args: &[&str]) -> Result<String> {
        self.redis_cli().run(args).await
    }

    /// Runs the real redis-cli with `input` on its standard input; see [`RedisCli::run_with_stdin`].
    pub async fn cli_with_stdin(&self, args: &[&str], input: &[u8]) -> Result<String> {
        self.redis_cli().run_with_stdin(args, input).await
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

    fn redis_cli(&self) -> RedisCli {
        let cli = RedisCli::new(self.address);
        match &self.settings.password {
            Some(password) => cli.password(password),
            None => cli,
        }
    }

    async fn launch(&mut self) -> Result<()> {
        let configuration = self.directory.path().join("redis.conf");
        fs::write(&configuration, self.settings.configuration(self.address, &self.directory))?;
        let complaints = File::create(self.directory.path().join(COMPLAINTS))?;
        let mut command = Command::new("redis-server");
        command.arg(&configuration).stdin(Stdio::null()).stdout(complaints.try_clone()?).stderr(complaints);
        let mut process = Process::spawn("redis-server", &mut command)
            .map_err(|error| explain_missing("redis-server", INSTALL, error))?;
        let what = format!("redis-server on {} to answer PING", self.address);
        let ready = eventually(&what, START_WITHIN, async || match process.exited() {
            Ok(Some(status)) => Ok(Err(anyhow!("redis-server ended at once ({status})"))),
            Ok(None) => self.answers(process.pid()).await.map(Ok),
            Err(error) => Ok(Err(error)),
        });
        let outcome = ready.await.and_then(|outcome| outcome);
        outcome.with_context(|| format!("log of redis-server:\n{}", self.log()))?;
        self.process = Some(process);
        Ok(())
    }

    /// PONG from the process with this pid: a stranger that took the port first answers PING as well.
    async fn answers(&self, pid: u32) -> Result<()> {
        let mut connection = TcpStream::connect(self.address).await?;
        let mut commands = String::new();
        if let Some(password) = &self.settings.password {
            let _ = write!(commands, "AUTH {password}\r\n");
        }
        commands.push_str("PING\r\nINFO server\r\nQUIT\r\n");
        connection.write_all(commands.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let first_line = answer.lines().find(|line| line.starts_with('-')).unwrap_or_default();
        ensure!(answer.contains("+PONG\r\n"), "it answered {first_line:?}");
        if !answer.contains(&format!("process_id:{pid}\r\n")) {
            bail!("another redis-server answers on {}", self.address);
        }
        Ok(())
    }
}

/// A program that is not there is the one failure of a spawn that the reader can mend at once.
pub(crate) fn explain_missing(program: &str, install: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        anyhow!("{program} is not in PATH, and these tests need the real one: run {install}")
    } else {
        anyhow::Error::new(error).context(format!("starting {program}"))
    }
}
