//! What nodes ask of Redis, as Redis itself counts it.

use std::collections::BTreeMap;

use sluice_testkit::RedisServer;

/// Commands that read logs.
const READS: [&str; 4] = ["xread", "xrange", "xrevrange", "xinfo"];
/// SLOWLOG keeps so many arguments of a command; of one with more the last says how many are left out.
const ARGUMENTS_KEPT: usize = 32;
/// `XREAD COUNT <n> STREAMS`
const BEFORE_KEYS: usize = 4;

/// Calls of each command that reads logs.
pub(crate) type Calls = BTreeMap<String, u64>;

/// Counts from here.
pub(crate) async fn count_from_now(redis: &RedisServer) {
    redis.cli(&["CONFIG", "RESETSTAT"]).await.unwrap();
}

/// The calls since [`count_from_now`].
pub(crate) async fn reads(redis: &RedisServer) -> Calls {
    let stats = redis.cli(&["INFO", "commandstats"]).await.unwrap();
    let mut calls = Calls::new();
    for line in stats.lines() {
        let Some((name, figures)) =
            line.trim().strip_prefix("cmdstat_").and_then(|line| line.split_once(':'))
        else {
            continue;
        };
        let command = name.split('|').next().unwrap();
        // `xinfo|help` and the like count as well: nothing is to slip through.
        if READS.contains(&command) {
            let count = figures.strip_prefix("calls=").and_then(|rest| rest.split(',').next()).unwrap();
            *calls.entry(command.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    calls
}

/// From here on SLOWLOG holds every command, for [`keys_of_xreads`].
pub(crate) async fn log_commands(redis: &RedisServer) {
    redis.cli(&["CONFIG", "SET", "slowlog-max-len", "100000"]).await.unwrap();
    redis.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]).await.unwrap();
    redis.cli(&["SLOWLOG", "RESET"]).await.unwrap();
}

/// How many keys each XREAD since [`log_commands`] named. INFO counts commands only.
pub(crate) async fn keys_of_xreads(redis: &RedisServer) -> Vec<usize> {
    let log = redis.redis_cli().json(&["SLOWLOG", "GET", "100000"]).await.unwrap();
    let commands = log.as_array().unwrap().iter().map(|entry| entry[3].as_array().unwrap());
    commands
        .filter(|arguments| arguments[0].as_str().unwrap().eq_ignore_ascii_case("XREAD"))
        .map(|arguments| {
            let left_out = arguments.last().and_then(|last| left_out(last.as_str()?));
            let count = left_out.map_or(arguments.len(), |left_out| ARGUMENTS_KEPT - 1 + left_out);
            // As many positions follow the keys.
            (count - BEFORE_KEYS) / 2
        })
        .collect()
}

/// Of `... (970 more arguments)`: 970.
fn left_out(argument: &str) -> Option<usize> {
    argument.strip_prefix("... (")?.strip_suffix(" more arguments)")?.parse().ok()
}
