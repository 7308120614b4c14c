//! What an acknowledged event is worth: eviction, memory, persistence, replicas. Pure.

use super::Context;
use crate::doctor::finding::{Finding, grouped, size};

/// A replica that is further behind than this would lose so much in a failover.
const LAG_S_MAX: u64 = 10;

pub(super) fn eviction(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.eviction";
    let policy = context.info("maxmemory_policy")?;
    let seen = format!("maxmemory-policy {policy}");
    if policy == "noeviction" {
        return Some(Finding::ok(ID, seen));
    }
    let why = "under memory pressure Redis would delete whole logs, retained events with them; clients are then told \
               that events are missing";
    let fix = "redis-cli config set maxmemory-policy noeviction, and in redis.conf; publishing then answers 503 when \
               memory is full, which a publisher can retry";
    Some(Finding::error(ID, seen).why(why).fix(fix))
}

pub(super) fn memory(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.memory";
    let (used, most) = (context.info_number("used_memory")?, context.info_number("maxmemory")?);
    if most == 0 {
        let why =
            "without maxmemory the kernel ends Redis when memory is short, instead of Redis refusing a write";
        let fix =
            "maxmemory at three quarters of the memory Redis may use, see docs/redis.md for how much that is";
        return Some(Finding::note(ID, format!("{} in use, no limit", size(used))).why(why).fix(fix));
    }
    let seen = format!("{} of {} in use", size(used), size(most));
    if used.saturating_mul(5) <= most.saturating_mul(4) {
        return Some(Finding::ok(ID, seen));
    }
    let why = "at the limit every publish is refused; what subscribers have not read yet counts as well";
    let fix = "raise maxmemory, or keep less: topics.retention_events_max, topics.retention_age_max_s";
    Some(Finding::warning(ID, seen).why(why).fix(fix))
}

pub(super) fn persistence(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.persistence";
    let statuses = ["aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"];
    if let Some(failed) = statuses.iter().find(|name| context.info(name).is_some_and(|status| status != "ok"))
    {
        let why = "Redis cannot write to its disk: it refuses writes (MISCONF) or loses them at a restart";
        let fix = "look at Redis's own log, free or mend the disk";
        return Some(Finding::error(ID, format!("{failed} is not ok")).why(why).fix(fix));
    }
    let aof = context.info("aof_enabled")? == "1";
    if !aof {
        let snapshots = context.setting("save").is_some_and(|save| !save.is_empty());
        let seen = if snapshots { "snapshots only" } else { "no append-only file" };
        let why =
            "acknowledged events are lost when Redis restarts; clients that saw them are told `rewound`";
        let fix = "redis-cli config set appendonly yes, and in redis.conf";
        return Some(Finding::warning(ID, seen).why(why).fix(fix));
    }
    match context.setting("appendfsync") {
        Some("no") => {
            let why =
                "the kernel writes when it likes, after up to 30 s: so much is lost when the machine fails";
            let fix = "redis-cli config set appendfsync everysec, or always";
            Some(Finding::warning(ID, "append-only file, appendfsync no").why(why).fix(fix))
        }
        Some("everysec") => {
            let seen = "append-only file, appendfsync everysec: a crash of the machine may lose two seconds";
            Some(Finding::ok(ID, seen))
        }
        Some(fsync) => Some(Finding::ok(ID, format!("append-only file, appendfsync {fsync}"))),
        None => Some(Finding::ok(ID, "append-only file")),
    }
}

pub(super) fn replicas(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.replicas";
    if context.info("role")? != "master" {
        return None;
    }
    let count = context.info_number("connected_slaves")?;
    let wanted = context.setting("min-replicas-to-write").and_then(|text| text.parse().ok()).unwrap_or(0);
    if count < wanted {
        let seen = format!("{count} replicas, min-replicas-to-write {wanted}");
        let why = "Redis refuses every write until as many replicas are there";
        return Some(Finding::error(ID, seen).why(why).fix("bring the replicas back, or lower the number"));
    }
    if count == 0 {
        return Some(Finding::ok(ID, "none: events are worth what the disk is"));
    }
    let (mut worst_lag, mut offline) = (0, 0);
    for line in (0..count).filter_map(|number| context.info(&format!("slave{number}"))) {
        let field = |name: &str| line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        worst_lag = worst_lag.max(field("lag").and_then(|lag| lag.parse().ok()).unwrap_or(0));
        offline += u64::from(field("state").is_some_and(|state| state != "online"));
    }
    let seen = format!("{count} connected, {offline} not online, {} s behind at most", grouped(worst_lag));
    if offline == 0 && worst_lag <= LAG_S_MAX {
        return Some(Finding::ok(ID, seen));
    }
    let why =
        "replication is asynchronous: what a replica lacks is lost in a failover; clients are told `rewound`";
    let fix = "redis-cli info replication on both; client-output-buffer-limit replica, repl-backlog-size";
    Some(Finding::warning(ID, seen).why(why).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::*;
    use crate::doctor::finding::Level;

    fn level(finding: Option<Finding>) -> Level {
        finding.unwrap().level
    }

    #[test]
    fn evicting_anything_is_an_error() {
        for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
            assert_eq!(level(eviction(&healthy().with_info("maxmemory_policy", policy))), Level::Error);
        }
    }

    #[test]
    fn memory_has_a_limit_and_room() {
        assert_eq!(level(memory(&healthy().with_info("maxmemory", "0"))), Level::Note);
        assert_eq!(level(memory(&healthy().with_info("used_memory", "80000001"))), Level::Warning);
    }

    #[test]
    fn what_a_restart_would_lose_is_told() {
        let none = healthy().with_info("aof_enabled", "0");
        assert_eq!(persistence(&none).unwrap().seen, "snapshots only");
        let none = persistence(&none.with_setting("save", "")).unwrap();
        assert_eq!((none.level, none.seen.as_str()), (Level::Warning, "no append-only file"));
        assert_eq!(level(persistence(&healthy().with_setting("appendfsync", "no"))), Level::Warning);
        assert_eq!(level(persistence(&healthy().with_setting("appendfsync", "always"))), Level::Ok);
        assert_eq!(level(persistence(&healthy().with_info("aof_last_write_status", "err"))), Level::Error);
    }

    #[test]
    fn replicas_are_judged_by_their_lag() {
        let one = |line: &str| healthy().with_info("connected_slaves", "1").with_info("slave0", line);
        assert_eq!(level(replicas(&one("ip=h,port=1,state=online,offset=1,lag=1"))), Level::Ok);
        assert_eq!(level(replicas(&one("ip=h,port=1,state=online,offset=1,lag=11"))), Level::Warning);
        assert_eq!(level(replicas(&one("ip=h,port=1,state=wait_bgsave,offset=0,lag=0"))), Level::Warning);
        assert_eq!(level(replicas(&healthy().with_setting("min-replicas-to-write", "1"))), Level::Error);
        assert!(replicas(&healthy().with_info("role", "slave")).is_none());
    }
}
