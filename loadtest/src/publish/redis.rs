//! A client for the little of Redis that a load needs: pipelined commands, the publish script, statistics. It
//! speaks the wire protocol itself, because this crate is a client of the wire only.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Outgoing;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Commands on the way at one time.
const PIPELINED_MAX: usize = 512;
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The longest list that is read.
const LIST_MAX: usize = 16;
/// The script of this repository.
const SCRIPT: &str = include_str!("../../../crates/sluice-broker/scripts/publish.lua");
/// What the script keeps of a topic: the publisher service's default.
const RETAINED_EVENTS: &[u8] = b"10000";

/// A connection to a Redis.
pub(crate) struct Redis {
    socket: BufReader<TcpStream>,
    text: Vec<u8>,
}

impl Redis {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let socket =
            TcpStream::connect(address).with_context(|| format!("cannot reach Redis at {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { socket: BufReader::new(socket), text: Vec::new() })
    }

    /// Sends one command and returns its answer.
    pub(crate) fn command(&mut self, arguments: &[&[u8]]) -> Result<String> {
        self.push(arguments)?;
        self.send()?;
        self.answer()
    }

    /// How often each command was executed so far.
    pub(crate) fn command_counts(&mut self) -> Result<BTreeMap<String, u64>> {
        Ok(command_counts(&self.command(&[b"INFO", b"commandstats"])?))
    }

    fn push(&mut self, arguments: &[&[u8]]) -> Result<()> {
        write!(self.text, "*{}\r\n", arguments.len())?;
        for argument in arguments {
            write!(self.text, "${}\r\n", argument.len())?;
            self.text.extend_from_slice(argument);
            self.text.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        self.socket.get_mut().write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    /// Reads an answer that is a string, a number or an error; of a list, its first element.
    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.socket.read_line(&mut line)? > 0, "Redis closed the connection");
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.to_owned()),
            Some(("-", fault)) => bail!("Redis answers: {fault}"),
            Some(("$", length)) => {
                let length: usize = length.parse().context("Redis answers with nothing")?;
                ensure!(length <= ANSWER_BYTES_MAX, "Redis answers with {length} bytes");
                let mut body = vec![0; length + 2];
                self.socket.read_exact(&mut body)?;
                body.truncate(length);
                Ok(String::from_utf8(body)?)
            }
            Some(("*", length)) => {
                let length: usize = length.parse().context("Redis answers with nothing")?;
                ensure!((1..=LIST_MAX).contains(&length), "Redis answers with a list of {length}");
                let answers = (0..length).map(|_| self.answer()).collect::<Result<Vec<_>>>()?;
                answers.into_iter().next().context("Redis answers with nothing")
            }
            _ => bail!("Redis answers with {line:?}, which no command here expects"),
        }
    }
}

/// Calls by command, from the text of `INFO commandstats`.
fn command_counts(info: &str) -> BTreeMap<String, u64> {
    let count = |line: &str| {
        let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), figures.split(',').next()?.parse().ok()?))
    };
    info.lines().filter_map(count).collect()
}

/// The publish script, loaded.
pub(super) struct Script {
    redis: Redis,
    digest: String,
}

impl Script {
    /// Loads the repository's script, or the one in a file.
    pub(super) fn load(address: SocketAddr, script: Option<&Path>) -> Result<Self> {
        let text = match script {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => SCRIPT.to_owned(),
        };
        let mut redis = Redis::connect(address)?;
        let digest = redis.command(&[b"SCRIPT", b"LOAD", text.as_bytes()])?;
        Ok(Self { redis, digest })
    }

    /// Publishes a batch, waiting for every answer.
    pub(super) fn publish(&mut self, events: &[Outgoing<'_>]) -> Result<Vec<String>> {
        let mut ids = Vec::with_capacity(events.len());
        for some in events.chunks(PIPELINED_MAX) {
            for event in some {
                let key = format!("sluice:{{{}}}:log", event.topic);
                let digest = self.digest.as_bytes();
                let arguments: [&[u8]; 8] =
                    [b"EVALSHA", digest, b"1", key.as_bytes(), event.data, b"", b"", RETAINED_EVENTS];
                self.redis.push(&arguments)?;
            }
            self.redis.send()?;
            for _ in some {
                ids.push(self.redis.answer()?);
            }
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_command() {
        let info = "# Commandstats\r\ncmdstat_xrange:calls=12,usec=3,usec_per_call=0.2\r\ncmdstat_script|load:calls=1,usec=9\r\n";
        let counts = command_counts(info);
        assert_eq!((counts["xrange"], counts["script|load"], counts.len()), (12, 1, 2));
    }
}
