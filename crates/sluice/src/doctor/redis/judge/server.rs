//! Which server it is, in which part, and how its clock goes. Pure.

use super::Context;
use crate::doctor::finding::{Finding, grouped};

/// Replayed positions of several topics stand on clocks agreeing within the margin that floors keep.
const SKEW_MS_WARN: u64 = 1_000;
const SKEW_MS_MAX: u64 = 10_000;

pub(super) fn version(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.version";
    // Valkey names a version of Redis too, for old clients.
    let (name, version, least) = match context.info("valkey_version") {
        Some(version) => ("Valkey", version, (7, 2)),
        None => ("Redis", context.info("redis_version")?, (7, 0)),
    };
    let mut parts = version.split('.').map_while(|part| part.parse::<u64>().ok());
    let number = (parts.next()?, parts.next().unwrap_or(0));
    let seen = format!("{name} {version}");
    if number >= least {
        return Some(Finding::ok(ID, seen));
    }
    let why =
        "announcements come as pushes of RESP3, and logs are read with commands that this version lacks";
    Some(Finding::error(ID, seen).why(why).fix("Redis 7.0 or newer, Valkey 7.2 or newer"))
}

pub(super) fn role(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.role";
    let role = context.info("role")?;
    if context.info("loading").is_some_and(|loading| loading != "0") {
        let seen = "the server is reading its data from disk";
        let why = "it answers nothing else until it has";
        return Some(Finding::warning(ID, seen).why(why).fix("wait, then run this again"));
    }
    if context.info("redis_mode") == Some("sentinel") {
        let why = "a Sentinel knows where the data is and holds none";
        return Some(
            Finding::error(ID, "a Sentinel").why(why).fix("redis.url of the data, or a Sentinel address"),
        );
    }
    if role == "master" {
        return Some(match &context.facts.role {
            Err(said) if said.contains("unknown command") => Finding::note(
                ID,
                "the primary by INFO; the server has no ROLE command, so nodes ask INFO, too",
            )
            .why("a user that may not run INFO takes every server for a primary then")
            .fix("remove `rename-command ROLE` from redis.conf, or grant +info to the user of the nodes"),
            _ => Finding::ok(ID, "the primary"),
        });
    }
    let why = "a replica takes no writes: publishing and the subscriber's probe fail";
    let fix = "redis.url of the primary, or of what follows it (Sentinel, a virtual address)";
    Some(Finding::error(ID, "a replica").why(why).fix(fix))
}

pub(super) fn cluster(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.cluster";
    let fields = match context.facts.cluster.as_ref()? {
        Ok(fields) => fields,
        Err(why) => return Some(Finding::note(ID, format!("cluster mode; its state is not told: {why}"))),
    };
    let field = |name: &str| fields.get(name).map_or("?", String::as_str);
    let seen =
        format!("state {}, {} of 16384 slots served", field("cluster_state"), field("cluster_slots_ok"));
    if field("cluster_state") == "ok" {
        return Some(Finding::ok(ID, seen));
    }
    let why = "topics whose slots nobody serves can neither be published to nor read";
    Some(Finding::error(ID, seen).why(why).fix("redis-cli --cluster check <host:port>"))
}

pub(super) fn clock(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.clock";
    let skew = context.facts.clock.as_ref().ok()?;
    let off = skew.ahead_ms.unsigned_abs();
    let direction = if skew.ahead_ms < 0 { "behind" } else { "ahead of" };
    let half = skew.round_trip.as_millis() / 2;
    let seen = format!("{} ms {direction} this machine, known to {} ms", grouped(off), half + 1);
    let why = "ids are Redis's time: `since=5m`, retention by age and the delivery lag in metrics are off by as much";
    let fix = "NTP on both machines (chronyc tracking)";
    let finding = match off {
        0..SKEW_MS_WARN => return Some(Finding::ok(ID, seen)),
        SKEW_MS_WARN..SKEW_MS_MAX => Finding::warning(ID, seen),
        _ => Finding::error(ID, seen),
    };
    Some(finding.why(why).fix(fix))
}

pub(super) fn clients(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.clients";
    let (connected, most) = (context.info_number("connected_clients")?, context.info_number("maxclients")?);
    let seen = format!("{} of {} clients connected", grouped(connected), grouped(most));
    if connected.saturating_mul(5) <= most.saturating_mul(4) {
        return Some(Finding::ok(ID, seen));
    }
    let why = "a node holds redis.pool_size connections and one for its subscription; a refused one leaves it stale";
    Some(
        Finding::warning(ID, seen).why(why).fix("raise maxclients, or find who leaks: redis-cli client list"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_broker::ClockSkew;

    use super::super::tests::{fields, healthy};
    use super::*;
    use crate::doctor::finding::Level;

    fn level(finding: Option<Finding>) -> Level {
        finding.unwrap().level
    }

    #[test]
    fn old_versions_are_refused_and_names_told_apart() {
        let redis = |version| healthy().with_info("redis_version", version);
        assert_eq!(level(version(&redis("6.2.14"))), Level::Error);
        assert_eq!(level(version(&redis("7.0.0"))), Level::Ok);
        assert_eq!(level(version(&redis("8.2-rc1"))), Level::Ok);
        let valkey = redis("7.2.4").with_info("valkey_version", "8.1.0");
        assert_eq!(version(&valkey).unwrap().seen, "Valkey 8.1.0");
        assert!(version(&redis("255")).is_some() && version(&redis("odd")).is_none());
    }

    #[test]
    fn only_a_primary_will_do() {
        assert_eq!(level(role(&healthy().with_info("role", "slave"))), Level::Error);
        assert_eq!(level(role(&healthy().with_info("redis_mode", "sentinel"))), Level::Error);
        assert_eq!(level(role(&healthy().with_info("loading", "1"))), Level::Warning);
        let mut without = healthy();
        without.facts.role = Err("unknown command 'ROLE'".to_owned());
        assert_eq!(level(role(&without)), Level::Note);
    }

    #[test]
    fn clocks_that_differ_are_told() {
        for (ahead_ms, expected) in
            [(999, Level::Ok), (-1_000, Level::Warning), (9_999, Level::Warning), (-10_000, Level::Error)]
        {
            let mut context = healthy();
            context.facts.clock = Ok(ClockSkew { ahead_ms, round_trip: Duration::from_millis(1) });
            assert_eq!(level(clock(&context)), expected, "{ahead_ms}");
        }
    }

    #[test]
    fn a_cluster_must_serve_its_slots() {
        assert!(cluster(&healthy()).is_none());
        for (state, expected) in [("ok", Level::Ok), ("fail", Level::Error)] {
            let mut context = healthy();
            context.facts.cluster = Some(Ok(fields(&format!("cluster_state {state}"))));
            assert_eq!(level(cluster(&context)), expected);
        }
    }

    #[test]
    fn room_for_clients_is_watched() {
        let with = |connected: &str| healthy().with_info("connected_clients", connected);
        assert_eq!(level(clients(&with("8000"))), Level::Ok);
        assert_eq!(level(clients(&with("8001"))), Level::Warning);
    }
}
