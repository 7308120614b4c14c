//! What a Redis says of itself, for `sluice doctor`. Nothing here changes anything on the server: what can
//! only be tried is tried on a topic that does not exist, in a form that creates nothing.

pub(super) mod trials;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{Cmd, Pipeline, ServerError, Value};

use self::trials::Trial;
use super::pool::Pool;
use super::{RedisBroker, failure, parse};
use crate::{BrokerError, Duties};

/// Settings that decide what an acknowledged event is worth and when a subscriber is cut off.
const SETTINGS: [&str; 8] = [
    "appendfsync",
    "appendonly",
    "client-output-buffer-limit",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "save",
];

/// Looks at the clock, of which the quickest counts.
const CLOCK_LOOKS: usize = 5;

/// The answer to a question, or why the server would not answer it.
pub type Asked<T> = Result<T, String>;

/// Fields by name, both as Redis spells them.
pub type Fields = BTreeMap<String, String>;

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisFacts {
    /// `host:port` of the server.
    pub address: String,
    /// INFO.
    pub info: Asked<Fields>,
    /// CONFIG GET of what matters to Sluice; never of a password.
    pub config: Asked<Fields>,
    /// CLUSTER INFO, of a server in cluster mode.
    pub cluster: Option<Asked<Fields>>,
    /// How the server's clock compares with this machine's.
    pub clock: Asked<ClockSkew>,
    /// ROLE: what a node asks to tell a primary that has become a replica.
    pub role: Asked<()>,
    /// Commands that the user of the connection may not run though its duties need them, each with what the
    /// server said.
    pub lacking: Vec<(&'static str, String)>,
    /// Commands that the duties need and the server does not have, or has by another name.
    pub unknown: Vec<&'static str>,
}

/// The difference between two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSkew {
    /// How far the server is ahead of this machine, in milliseconds.
    pub ahead_ms: i64,
    /// The round trip it was measured with: the difference is known to half of it.
    pub round_trip: Duration,
}

impl RedisBroker {
    /// Asks every server in charge about itself and about what its user may do, one after the other: one server,
    /// or the primaries of a cluster by address.
    ///
    /// # Errors
    ///
    /// When a server cannot be reached or does not let the user in; a single question that is refused is told
    /// in its own place.
    pub async fn facts(&self, duties: Duties) -> Result<Vec<RedisFacts>, BrokerError> {
        let deadline = tokio::time::Instant::now() + self.servers.dialler().timeouts().0;
        let layout = self.servers.scout().known(deadline).await?;
        let topic = trials::nobodys_topic()?;
        let trials = trials::of(&self.keys, self.servers.announce_command(), duties, &topic)?;
        let mut facts = Vec::new();
        for shard in layout.shards() {
            let server = Server { pool: self.servers.pool(&shard.primary) };
            facts.push(server.facts(shard.primary.to_string(), &trials).await?);
        }
        Ok(facts)
    }
}

/// One server that is asked.
struct Server {
    pool: Arc<Pool>,
}

impl Server {
    async fn facts(&self, address: String, trials: &[Trial]) -> Result<RedisFacts, BrokerError> {
        let clock = self.clock().await?;
        let info = self.ask(redis::cmd("INFO")).await?.and_then(|value| lines(&value));
        let config = self.ask(command("CONFIG", &["GET"]).arg(&SETTINGS[..]).clone()).await?;
        let clustered =
            info.as_ref().is_ok_and(|info| info.get("cluster_enabled").is_some_and(|on| on == "1"));
        let cluster = match clustered {
            true => Some(self.ask(command("CLUSTER", &["INFO"])).await?.and_then(|value| lines(&value))),
            false => None,
        };
        let config = config.and_then(|value| pairs(&value));
        let role = self.ask(redis::cmd("ROLE")).await?.map(drop);
        let (lacking, unknown) = self.lacking(trials).await?;
        Ok(RedisFacts { address, info, config, cluster, clock, role, lacking, unknown })
    }

    /// Commands of `trials` that the user may not run, and those that the server does not know.
    async fn lacking(
        &self,
        trials: &[Trial],
    ) -> Result<(Vec<(&'static str, String)>, Vec<&'static str>), BrokerError> {
        let mut lacking: Vec<(&'static str, String)> = Vec::new();
        let mut unknown: Vec<&'static str> = Vec::new();
        for (what, trial) in trials {
            let Err(error) = self.answer(trial.clone()).await? else { continue };
            // Rights are looked at before anything else, also where a cluster keeps the key elsewhere.
            if error.code() == "NOPERM" && !lacking.iter().any(|(known, _)| known == what) {
                lacking.push((*what, error.details().unwrap_or_default().to_owned()));
            }
            if failure::is_unknown_command(&error) && !unknown.contains(what) {
                unknown.push(*what);
            }
        }
        Ok((lacking, unknown))
    }

    async fn clock(&self) -> Result<Asked<ClockSkew>, BrokerError> {
        let mut best: Option<ClockSkew> = None;
        for _ in 0..CLOCK_LOOKS {
            let (here, began) = (SystemTime::now(), Instant::now());
            let time = match self.ask(redis::cmd("TIME")).await? {
                Ok(time) => parse::time_ms(&time)?,
                Err(why) => return Ok(Err(why)),
            };
            let round_trip = began.elapsed();
            let middle = here + round_trip / 2;
            let middle_ms = middle.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let signed = |ms: u128| i64::try_from(ms).unwrap_or(i64::MAX);
            let skew = ClockSkew { ahead_ms: signed(time.into()) - signed(middle_ms), round_trip };
            if best.is_none_or(|best| round_trip < best.round_trip) {
                best = Some(skew);
            }
        }
        Ok(best.ok_or_else(|| "it was not asked".to_owned()))
    }

    /// What was answered, or the complaint as text.
    async fn ask(&self, command: Cmd) -> Result<Asked<Value>, BrokerError> {
        let answer = self.answer(command).await?;
        Ok(answer.map_err(|error| failure::of_answer(&error).to_string()))
    }

    async fn answer(&self, command: Cmd) -> Result<Result<Value, ServerError>, BrokerError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        match self.pool.pipeline(&pipeline).await.map_err(|failure| failure.why)?.pop() {
            // Nothing else that is asked says anything then.
            Some(Value::ServerError(error)) if failure::is_not_let_in(&error) => {
                Err(failure::of_answer(&error))
            }
            Some(Value::ServerError(error)) => Ok(Err(error)),
            Some(value) => Ok(Ok(value)),
            None => Err(failure::odd("a question", "answer")),
        }
    }
}

fn command(name: &str, args: &[&str]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(args);
    command
}

/// The `name:value` lines of INFO.
fn lines(value: &Value) -> Asked<Fields> {
    let text = parse::text(value).ok_or_else(|| "the answer is no text".to_owned())?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    Ok(fields.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
}

/// The names and values of CONFIG GET.
fn pairs(value: &Value) -> Asked<Fields> {
    let text = |value: &Value| parse::text(value).map(str::to_owned);
    let found: Option<Fields> = match value {
        Value::Array(flat) => {
            flat.chunks_exact(2).map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect()
        }
        Value::Map(pairs) => pairs.iter().map(|(name, value)| Some((text(name)?, text(value)?))).collect(),
        _ => None,
    };
    found.ok_or_else(|| "the answer holds no settings".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn answers_of_both_protocols_are_read() {
        let info = "# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n";
        let expected =
            [("executable", "/a:b"), ("redis_version", "7.0.15")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(lines(&bulk(info)), Ok(Fields::from(expected)));
        let flat = Value::Array(vec![bulk("maxmemory"), bulk("0")]);
        let map = Value::Map(vec![(bulk("maxmemory"), bulk("0"))]);
        assert_eq!(pairs(&flat), pairs(&map));
        assert_eq!(pairs(&flat).unwrap()["maxmemory"], "0");
        assert!(pairs(&Value::Nil).is_err() && lines(&Value::Nil).is_err());
    }
}
