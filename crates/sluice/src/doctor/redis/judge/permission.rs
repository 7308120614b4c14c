//! What the user of the connection may do. Pure.

use super::{Context, Listening};
use crate::doctor::finding::Finding;

/// A round trip through Redis beyond which delivery is felt to be slow.
const PROBE_MS_SLOW: u128 = 100;

pub(super) fn commands(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.permissions";
    let lacking = &context.facts.lacking;
    let role = match (context.duties.reading, context.duties.appending) {
        (true, true) => "a gateway and a publisher",
        (true, false) => "a gateway",
        _ => "a publisher",
    };
    if lacking.is_empty() && !context.facts.unknown.is_empty() {
        // What the server does not have says nothing of rights.
        return None;
    }
    if lacking.is_empty() {
        return Some(Finding::ok(ID, format!("every command that {role} sends was allowed")));
    }
    let names: Vec<&str> = lacking.iter().map(|(name, _)| *name).collect();
    let why: Vec<String> = lacking.iter().map(|(name, said)| format!("{name}: {said}")).collect();
    let fix = format!(
        "the ACL lines for {role} are in docs/redis.md; keys and channels begin with {}:",
        context.prefix
    );
    let seen = format!("the user may not: {}", names.join(", "));
    Some(Finding::error(ID, seen).why(why.join("\n")).fix(fix))
}

/// Commands that are not there at all.
pub(super) fn unknown(context: &Context) -> Option<Finding> {
    let unknown = &context.facts.unknown;
    if unknown.is_empty() {
        return None;
    }
    let seen = format!("the server has no command {}", unknown.join(", "));
    let why = "the commands were renamed or disabled (rename-command in redis.conf), or the server is too old; rights to \
               them could not be judged";
    let fix = "remove the rename-command lines for these commands; Redis 7.0 or Valkey 7.2 is needed";
    Some(Finding::error("redis.commands", seen).why(why).fix(fix))
}

pub(super) fn listening(context: &Context) -> Option<Finding> {
    const ID: &str = "redis.subscription";
    let fix = format!(
        "ACL: +subscribe +unsubscribe (in a cluster +ssubscribe +sunsubscribe) &{prefix}:{{*}}:live &{prefix}:probe:*; else what lies between: proxies that do \
         not speak RESP3, firewalls that cut idle connections",
        prefix = context.prefix
    );
    match context.listening.clone()? {
        Listening::Refused(said) => {
            let why = "without announcements a node is not ready, and its streams would stay `stale`";
            let fix = if said.contains("NOPERM") {
                fix.split("; else").next().unwrap_or(&fix).to_owned()
            } else {
                fix
            };
            Some(Finding::error(ID, said).why(why).fix(fix))
        }
        Listening::Heard(round_trip) => {
            let seen =
                format!("a message to itself came back after {:.1} ms", round_trip.as_secs_f64() * 1e3);
            if round_trip.as_millis() < PROBE_MS_SLOW {
                return Some(Finding::ok(ID, seen));
            }
            let why = "every event takes as long to reach a node";
            let fix = "redis-cli --latency from this machine; redis-cli slowlog get";
            Some(Finding::note(ID, seen).why(why).fix(fix))
        }
        Listening::Unheard(within) => {
            let seen = format!("subscribed, but a message to itself did not come back within {within:?}");
            let why = "a node takes such a connection for dead and dials anew, again and again";
            Some(Finding::error(ID, seen).why(why).fix(fix))
        }
        Listening::Unconfirmed(within) => {
            let seen = format!("no subscription was confirmed within {within:?}");
            let why = "without announcements a node's streams stay `stale`";
            Some(Finding::error(ID, seen).why(why).fix(fix))
        }
    }
}

/// What could not be judged, and why.
pub(super) fn questions(context: &Context) -> Option<Finding> {
    let facts = &context.facts;
    let refused: Vec<String> = [
        ("INFO", facts.info.as_ref().err()),
        ("CONFIG GET", facts.config.as_ref().err()),
        ("TIME", facts.clock.as_ref().err()),
    ]
    .into_iter()
    .filter_map(|(question, why)| why.map(|why| format!("{question}: {why}")))
    .collect();
    if refused.is_empty() {
        return None;
    }
    let fix = "run this once with an administrator's address: --set redis.url=redis://admin:..@host (nodes need no such \
               rights), or grant +info +config|get for the while; a hosted Redis tells its settings in its console";
    let seen = "some questions were refused, so eviction, persistence or output limits were not judged";
    Some(Finding::note("redis.questions", seen).why(refused.join("\n")).fix(fix))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::healthy;
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn each_missing_permission_is_named() {
        let mut context = healthy();
        context.facts.lacking = vec![("XADD", "this user has no permissions".to_owned())];
        let finding = commands(&context).unwrap();
        assert_eq!((finding.level, finding.seen.as_str()), (Level::Error, "the user may not: XADD"));
    }

    #[test]
    fn a_subscription_must_hear_itself() {
        let second = Duration::from_secs(1);
        for (listening, expected) in [
            (Listening::Heard(second / 100), Level::Ok),
            (Listening::Heard(second), Level::Note),
            (Listening::Unheard(second), Level::Error),
            (Listening::Unconfirmed(second), Level::Error),
        ] {
            let context = super::super::Context { listening: Some(listening), ..healthy() };
            assert_eq!(super::listening(&context).unwrap().level, expected);
        }
    }
}
