//! What a Redis's answers mean for Sluice. Pure.

mod durability;
mod output;
mod permission;
mod server;

use std::time::Duration;

use sluice_broker::{BrokerError, Duties, RedisFacts};

use crate::doctor::finding::Finding;

/// Everything that is judged together.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) facts: RedisFacts,
    /// `None` where the process does not listen.
    pub(super) listening: Option<Listening>,
    pub(super) duties: Duties,
    /// `topics.event_bytes_max`.
    pub(super) event_bytes_max: u64,
    /// `redis.prefix`.
    pub(super) prefix: String,
}

/// What became of a real subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listening {
    /// A message published to the connection came back on it.
    Heard(Duration),
    /// Subscribed, but nothing came back in time.
    Unheard(Duration),
    /// The subscription was not confirmed in time.
    Unconfirmed(Duration),
    /// The server refuses it; what it says.
    Refused(String),
}

impl Context {
    /// A field of INFO.
    fn info(&self, name: &str) -> Option<&str> {
        self.facts.info.as_ref().ok()?.get(name).map(String::as_str)
    }

    fn info_number(&self, name: &str) -> Option<u64> {
        self.info(name)?.parse().ok()
    }

    /// A setting of CONFIG GET.
    fn setting(&self, name: &str) -> Option<&str> {
        self.facts.config.as_ref().ok()?.get(name).map(String::as_str)
    }
}

/// There is nothing to ask.
pub(super) fn embedded() -> Finding {
    Finding::note("redis.address", "memory://: events live in the process and end with it")
        .why("one process only, for development")
        .fix("redis.url = redis://host:6379")
}

/// The server did not answer.
pub(super) fn unreachable(error: &BrokerError) -> Finding {
    let text = error.to_string();
    let why = "without Redis a node takes streams but delivers nothing, and publishing answers 503";
    if ["(NOAUTH)", "(WRONGPASS)"].iter().any(|code| text.contains(code)) {
        let fix = "redis.username and redis.password, or redis.username_file and redis.password_file; to try them: \
                   redis-cli -u <redis.url> --user <user> acl whoami. Nothing else of this Redis was judged";
        return Finding::error("redis.login", text).why(why).fix(fix);
    }
    let fix = if text.contains("TLS handshake") {
        "openssl s_client -connect <host:port> -servername <host> -CAfile <redis.tls.ca_file> shows the certificate"
    } else if error.is_transient() {
        "start it, or correct redis.url; from this machine: redis-cli -u <redis.url> ping"
    } else {
        "correct redis.url; the rights that a user needs are in docs/redis.md"
    };
    Finding::error("redis.address", text).why(why).fix(fix)
}

/// Redis was not asked, because the settings cannot work.
pub(super) fn unusable(faults: &str) -> Finding {
    Finding::error("redis.settings", faults)
        .why("a process with these settings ends at its start, with exit code 64; Redis was not asked")
        .fix("correct the setting that is named, or the file that it names")
}

/// All judgements about a server that answered.
pub(super) fn all(context: &Context) -> Vec<Finding> {
    [
        server::version(context),
        server::role(context),
        server::cluster(context),
        server::clock(context),
        server::clients(context),
        permission::unknown(context),
        permission::commands(context),
        permission::listening(context),
        durability::eviction(context),
        durability::memory(context),
        durability::persistence(context),
        durability::replicas(context),
        output::announcements(context),
        permission::questions(context),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use sluice_broker::{ClockSkew, Fields};

    use super::*;
    use crate::doctor::finding::Level;

    pub(in crate::doctor::redis) fn fields(text: &str) -> Fields {
        text.lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    pub(in crate::doctor::redis) fn healthy() -> Context {
        let info = "redis_version 7.0.15\nredis_mode standalone\nrole master\nconnected_slaves 0
            connected_clients 10\nmaxclients 10000\nused_memory 1000000\nmaxmemory 100000000
            maxmemory_policy noeviction\naof_enabled 1\naof_last_write_status ok
            aof_last_bgrewrite_status ok\nrdb_last_bgsave_status ok\nloading 0\nmaster_repl_offset 100";
        let config = "appendfsync everysec\nappendonly yes\nmin-replicas-to-write 0\nsave 3600 1
            client-output-buffer-limit normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        Context {
            facts: RedisFacts {
                address: "127.0.0.1:6379".to_owned(),
                info: Ok(fields(info)),
                config: Ok(fields(config)),
                cluster: None,
                clock: Ok(ClockSkew { ahead_ms: 3, round_trip: Duration::from_millis(1) }),
                role: Ok(()),
                lacking: Vec::new(),
                unknown: Vec::new(),
            },
            listening: Some(Listening::Heard(Duration::from_micros(200))),
            duties: Duties { reading: true, appending: true, waiting: false, holding: false },
            event_bytes_max: 262_144,
            prefix: "sluice".to_owned(),
        }
    }

    impl Context {
        pub(in crate::doctor::redis) fn with_info(mut self, name: &str, value: &str) -> Self {
            self.facts.info.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
            self
        }

        pub(in crate::doctor::redis) fn with_setting(mut self, name: &str, value: &str) -> Self {
            self.facts.config.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
            self
        }
    }

    #[test]
    fn a_healthy_server_is_all_right() {
        let findings = all(&healthy());
        assert!(findings.len() >= 9, "{findings:#?}");
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    }

    #[test]
    fn a_server_that_answers_no_question_is_not_judged_by_guesses() {
        let mut context = healthy();
        context.facts.info = Err("NOPERM".to_owned());
        context.facts.config = Err("NOPERM".to_owned());
        let findings = all(&context);
        assert!(findings.iter().all(|finding| finding.level <= Level::Note), "{findings:#?}");
        assert!(findings.iter().any(|finding| finding.id == "redis.questions"), "{findings:#?}");
    }
}
