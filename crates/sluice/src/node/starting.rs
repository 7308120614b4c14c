//! The first lines of a process: what it is, what it found, and what it leaves open to everybody.

use sluice_runtime::config::{Config, Role};
use sluice_wire::TopicPattern;

use super::memory;
use crate::settings;

/// Below this a node has room for no more streams than a test.
const DESCRIPTORS_FEW: u64 = 4_096;
/// What most installations raise the limit to.
const RAISE: &str =
    "systemd: LimitNOFILE=1048576; docker: --ulimit nofile=1048576:1048576; shell: ulimit -n 1048576";
/// Patterns that are named one by one.
const NAMED_MAX: usize = 5;

/// Logs what the process is and what it found; `descriptors` is how many it may have open.
pub(super) fn report(config: &Config, descriptors: u64) {
    let (role, version) = (config.role.as_str(), env!("CARGO_PKG_VERSION"));
    let memory = memory::limit_of(config);
    let open = &config.auth.anonymous;
    let (read, published) = (named(&open.subscribe), named(&open.publish));
    tracing::info!(
        version,
        role,
        redis = %config.redis.url,
        prefix = config.redis.prefix,
        descriptors,
        streams_max = streams_max(config, descriptors),
        connections_max = connections_max(config, descriptors),
        memory_bytes = memory.map(|limit| limit.bytes),
        memory_source = memory.map(|limit| limit.source.as_str()),
        "starting sluice {role} {version}; without credentials anybody may {}",
        match config.role {
            Role::Gateway | Role::Client => format!("subscribe to {read}"),
            Role::Publisher => format!("publish to {published}"),
            Role::Dev => format!("subscribe to {read} and publish to {published}"),
        }
    );
    if let Some(what) = shortage(config, descriptors) {
        let wanted = wanted(config);
        tracing::warn!(descriptors, wanted, "{what}; raise the limit of open files ({RAISE})");
    }
}

/// What a process that may open so few files will lack.
fn shortage(config: &Config, descriptors: u64) -> Option<String> {
    let wanted = wanted(config);
    if wanted > descriptors {
        return Some(format!(
            "limits.streams_max and listen.connections_max promise more than this process may open: they want {wanted} \
             descriptors, the limit is {descriptors}"
        ));
    }
    if descriptors >= DESCRIPTORS_FEW || config.role == Role::Publisher {
        return None;
    }
    let streams = streams_max(config, descriptors).unwrap_or(0);
    Some(format!("this process may open {descriptors} files, which leaves room for {streams} streams"))
}

/// The descriptors that the configured limits need; 0 where they are left to what there is.
fn wanted(config: &Config) -> u64 {
    let streams = if config.role == Role::Publisher { 0 } else { config.limits.streams_max as u64 };
    let connections = config.listen.connections_max as u64;
    if streams + connections == 0 { 0 } else { streams + connections + settings::DESCRIPTORS_KEPT }
}

fn streams_max(config: &Config, descriptors: u64) -> Option<usize> {
    let (streams, connections) = (config.limits.streams_max, config.listen.connections_max);
    (config.role != Role::Publisher).then(|| settings::streams_max(streams, connections, descriptors))
}

fn connections_max(config: &Config, descriptors: u64) -> usize {
    settings::connections_max(config.listen.connections_max, config.limits.streams_max, descriptors)
}

/// Patterns in a sentence.
fn named(patterns: &[TopicPattern]) -> String {
    if patterns.is_empty() {
        return "nothing".to_owned();
    }
    if patterns.iter().any(|pattern| pattern.as_str() == "**") {
        return "every topic".to_owned();
    }
    let mut text: Vec<&str> = patterns.iter().take(NAMED_MAX).map(TopicPattern::as_str).collect();
    let more = format!("{} more", patterns.len().saturating_sub(NAMED_MAX));
    if patterns.len() > NAMED_MAX {
        text.push(&more);
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use sluice_runtime::config::Layers;

    use super::*;

    fn config(role: Role, flags: &[(&str, &str)]) -> Config {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::load(role, &Layers { flags, ..Layers::default() }).unwrap()
    }

    #[test]
    fn a_process_short_of_descriptors_is_told_with_figures() {
        let modest = config(Role::Gateway, &[]);
        assert!(
            shortage(&modest, 200).unwrap().contains("may open 200 files"),
            "{:?}",
            shortage(&modest, 200)
        );
        assert_eq!(shortage(&modest, 20_000), None);
        let proud = config(Role::Gateway, &[("limits.streams_max", "100000")]);
        let told = shortage(&proud, 20_000).unwrap();
        assert!(told.contains("want 100256 descriptors, the limit is 20000"), "{told}");
        assert_eq!(shortage(&config(Role::Publisher, &[("limits.streams_max", "100000")]), 20_000), None);
    }

    #[test]
    fn what_is_open_is_named() {
        let open = |given: &str| {
            named(&config(Role::Gateway, &[("auth.anonymous.subscribe", given)]).auth.anonymous.subscribe)
        };
        assert_eq!(open("[]"), "nothing");
        assert_eq!(open("a,**"), "every topic");
        assert_eq!(open("a,b/*"), "a, b/*");
        assert_eq!(open("a,b,c,d,e,f,g"), "a, b, c, d, e, 2 more");
    }
}
