//! A `sluice` process on free ports, started, asked, killed and restarted as an orchestrator would.
//!
//! The ports stay the same over [`Node::restart`], so that clients and balancers keep their addresses.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;
use tempfile::NamedTempFile;

use crate::deadline::eventually;
use crate::http::get;
use crate::ports::free_address;
use crate::process::{Process, exit_code};

const ATTEMPTS: u32 = 5;

/// The subcommand that a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `sluice gateway`
    Gateway,
    /// `sluice publisher`
    Publisher,
    /// `sluice dev`
    Dev,
}

/// What a [`Node`] is started with.
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    binary: PathBuf,
    role: Role,
    args: Vec<String>,
    /// In order: the later one of two equal names wins.
    env: Vec<(String, String)>,
    ready_within: Duration,
}

impl NodeBuilder {
    /// Sets `SLUICE_REDIS__URL`.
    #[must_use]
    pub fn redis(self, url: &str) -> Self {
        self.env("SLUICE_REDIS__URL", url)
    }

    /// Sets an environment variable; it wins over what the kit sets by itself.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a command line argument behind the subcommand.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// How long the node may take to be ready: 20 seconds unless said otherwise.
    #[must_use]
    pub fn ready_within(mut self, within: Duration) -> Self {
        self.ready_within = within;
        self
    }

    /// Starts the process and waits until `/readyz` answers 200.
    pub async fn spawn(self) -> Result<Node> {
        let mut node = self.spawn_unready()?;
        let mut attempt = 1;
        while let Err(error) = node.ready().await {
            // Another process bound a port between our look and the node's bind.
            ensure!(attempt < ATTEMPTS && node.log().contains("in use"), error);
            attempt += 1;
            node = node.settings.spawn_unready()?;
        }
        Ok(node)
    }

    /// Starts the process and waits for nothing: for nodes that shall not become ready. See [`Node::ready`].
    pub fn spawn_unready(&self) -> Result<Node> {
        let mut node = Node {
            process: None,
            listen: free_address()?,
            publisher: free_address()?,
            ops: free_address()?,
            log: NamedTempFile::with_prefix("sluice-node-")?,
            settings: self.clone(),
        };
        node.launch()?;
        Ok(node)
    }
}

/// A running `sluice` process, killed when the value is dropped.
pub struct Node {
    process: Option<Process>,
    listen: SocketAddr,
    publisher: SocketAddr,
    ops: SocketAddr,
    log: NamedTempFile,
    settings: NodeBuilder,
}

impl Node {
    /// A node of `role`, run from `binary` (in tests of its crate: `env!("CARGO_BIN_EXE_sluice")`).
    ///
    /// Everybody may subscribe and publish, and a drain is quick, unless [`NodeBuilder::env`] says otherwise.
    /// Nothing is inherited from the environment's own `SLUICE_` variables.
    pub fn builder(binary: impl AsRef<Path>, role: Role) -> NodeBuilder {
        let quick_and_open = [
            ("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", r#"["**"]"#),
            ("SLUICE_AUTH__ANONYMOUS__PUBLISH", r#"["**"]"#),
            ("SLUICE_DRAIN__DELAY_MS", "0"),
            ("SLUICE_DRAIN__WINDOW_MS", "200"),
        ];
        NodeBuilder {
            binary: binary.as_ref().to_owned(),
            role,
            args: Vec::new(),
            env: quick_and_open.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ready_within: Duration::from_secs(20),
        }
    }

    /// Where clients subscribe.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listen
    }

    /// Where events are published: a `dev` node takes them on its public listener.
    #[must_use]
    pub fn publisher_addr(&self) -> SocketAddr {
        if self.settings.role == Role::Dev { self.listen } else { self.publisher }
    }

    /// Where `/readyz`, `/metrics` and `/v1/node` are.
    #[must_use]
    pub fn ops_addr(&self) -> SocketAddr {
        self.ops
    }

    /// `http://<addr>/v1/events`
    #[must_use]
    pub fn events_url(&self) -> String {
        format!("http://{}/v1/events", self.listen)
    }

    /// What the process printed since its first start, standard output and error together.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.log.path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Waits until `/readyz` answers 200; the error holds the log.
    pub async fn ready(&mut self) -> Result<()> {
        let (ops, within) = (self.ops, self.settings.ready_within);
        let process = self.process.as_mut().context("the node is not running")?;
        let ready = eventually("/readyz to answer 200", within, async || match process.exited() {
            Ok(Some(status)) => Ok(Err(anyhow!("the node ended at once ({status})"))),
            Ok(None) => get(ops, "/readyz").await?.expect_status(200).map(|_| Ok(())),
            Err(error) => Ok(Err(error)),
        });
        let outcome = ready.await.and_then(|outcome| outcome);
        outcome.with_context(|| format!("log of the {:?} node:\n{}", self.settings.role, self.log()))
    }

    /// SIGKILL: no farewell to anybody.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the node is not running")?.kill()
    }

    /// SIGTERM; waits for the end and returns the exit code, `128 + signal` where a signal ended it.
    pub async fn terminate(&mut self, within: Duration) -> Result<i32> {
        let process = self.process.as_mut().context("the node is not running")?;
        let ended = process.terminate(within).await;
        let status = ended.with_context(|| format!("log of the node:\n{}", self.log()))?;
        self.process = None;
        Ok(exit_code(status))
    }

    /// SIGTERM; waits for nothing. See [`Node::exit`].
    pub fn signal_term(&self) -> Result<()> {
        self.running()?.signal(Signal::TERM)
    }

    /// Waits for a process that ends by itself and returns its exit code.
    pub async fn exit(&mut self, within: Duration) -> Result<i32> {
        let process = self.process.as_mut().context("the node is not running")?;
        let status = eventually("the node to end", within, async || process.exited().transpose()).await??;
        self.process = None;
        Ok(exit_code(status))
    }

    /// Starts again on the same ports, after SIGKILL if it still runs, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        // Dropping a process kills and reaps it.
        self.process = None;
        self.launch()?;
        self.ready().await
    }

    /// SIGSTOP: the node hangs, its connections stay open.
    pub fn pause(&self) -> Result<()> {
        self.running()?.signal(Signal::STOP)
    }

    /// SIGCONT: ends [`Node::pause`].
    pub fn resume(&self) -> Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    /// How the process ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.as_mut().context("the node is not running")?.exited()
    }

    /// The id of the process.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.running()?.pid())
    }

    /// Resident memory of the process.
    pub fn rss_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running()?.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
        Ok(kibibytes * 1024)
    }

    /// The sum of all series of a metric on `/metrics`; `None` where there is none.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let page = get(self.ops, "/metrics").await?.expect_status(200)?.text();
        Ok(sum_of_series(&page, name))
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().context("the node is not running")
    }

    fn launch(&mut self) -> Result<()> {
        let settings = &self.settings;
        let subcommand = match settings.role {
            Role::Gateway => "gateway",
            Role::Publisher => "publisher",
            Role::Dev => "dev",
        };
        let log = OpenOptions::new().append(true).open(self.log.path())?;
        let mut command = Command::new(&settings.binary);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SLUICE_"))
        {
            command.env_remove(name);
        }
        command
            .arg(subcommand)
            .args(&settings.args)
            .env("SLUICE_LISTEN__ADDR", self.listen.to_string())
            .env("SLUICE_PUBLISHER__ADDR", self.publisher.to_string())
            .env("SLUICE_OPS__ADDR", self.ops.to_string())
            .envs(settings.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Process::spawn(&format!("sluice {subcommand}"), &mut command);
        self.process = Some(process.with_context(|| format!("starting {}", settings.binary.display()))?);
        Ok(())
    }
}

/// Adds up the lines `name 1` and `name{label="x"} 2` of a Prometheus text page.
fn sum_of_series(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            // Label values may hold spaces and braces; the value itself holds neither.
            Some(labelled) => labelled.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split(' ').next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_exactly_that_name_are_added() {
        let page = "# TYPE a gauge\na 1\na{x=\"1\"} 2\na{x=\"} 9 \",y=\"\"} 4.5\na_b 100\nb{a=\"1\"} 100\n";
        assert_eq!(sum_of_series(page, "a"), Some(7.5));
        assert_eq!(sum_of_series(page, "c"), None);
        assert_eq!(sum_of_series(page, "a_b"), Some(100.0));
    }
}
