//! The real redis-cli, run as a user would run it, with errors that redis-cli itself only prints.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::certificates::Certificates;
use crate::redis_server::{INSTALL, explain_missing};

/// redis-cli pointed at one address; the program is taken from `PATH`.
#[derive(Debug, Clone)]
pub struct RedisCli {
    address: SocketAddr,
    user: Option<String>,
    password: Option<String>,
    tls: Option<Certificates>,
    cluster: bool,
    within: Duration,
}

impl RedisCli {
    /// redis-cli against `address`, with 30 seconds for each command.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            user: None,
            password: None,
            tls: None,
            cluster: false,
            within: Duration::from_secs(30),
        }
    }

    /// Authenticates with `password`.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Authenticates as this ACL user.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self
    }

    /// Connects by TLS, as the client of these certificates.
    #[must_use]
    pub fn tls(mut self, certificates: Certificates) -> Self {
        self.tls = Some(certificates);
        self
    }

    /// Follows the redirections of a cluster (`-c`).
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// How long a command may take before it is killed and reported.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Runs `redis-cli -h .. -p .. <args>` and returns what it printed, without the final line end.
    ///
    /// Fails on an exit code other than 0, on an error reply, and when the time is over.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with_stdin(args, b"").await
    }

    /// As [`RedisCli::run`] with `--json`: the reply with its structure.
    pub async fn json(&self, args: &[&str]) -> Result<Value> {
        let printed = self.run(&[&["--json"], args].concat()).await?;
        serde_json::from_str(&printed).with_context(|| format!("redis-cli {}: {printed}", args.join(" ")))
    }

    /// As [`RedisCli::run`], with `input` on the standard input (`-x`, `--pipe`, or a script of commands).
    pub async fn run_with_stdin(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let output = timeout(self.within, self.output(args, input))
            .await
            .with_context(|| format!("redis-cli {} took longer than {:?}", args.join(" "), self.within))??;
        let printed = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || is_error(&printed) || is_error(&complained) {
            bail!(
                "redis-cli {} failed ({}): {}{}",
                args.join(" "),
                output.status,
                printed.trim_end(),
                complained.trim_end()
            );
        }
        Ok(printed.strip_suffix('\n').unwrap_or(&printed).to_owned())
    }

    async fn output(&self, args: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = Command::new("redis-cli");
        // `-e`: an error reply becomes an exit code.
        command.args(["-h", &self.address.ip().to_string(), "-p", &self.address.port().to_string(), "-e"]);
        if let Some(certificates) = &self.tls {
            command.arg("--tls").arg("--cacert").arg(certificates.ca_file());
            command.arg("--cert").arg(certificates.client_cert_file());
            command.arg("--key").arg(certificates.client_key_file());
        }
        if self.cluster {
            command.arg("-c");
        }
        if let Some(user) = &self.user {
            command.args(["--user", user]);
        }
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| explain_missing("redis-cli", INSTALL, error))?;
        let mut stdin = child.stdin.take().context("redis-cli has no standard input")?;
        let feed = async move {
            // A command that does not read its input may end first: its own result tells what matters.
            let _ = stdin.write_all(input).await;
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        output.context("reading the output of redis-cli")
    }
}

fn is_error(printed: &str) -> bool {
    printed.trim_start().starts_with("(error)")
}
