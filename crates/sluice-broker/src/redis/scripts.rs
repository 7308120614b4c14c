//! The Lua scripts, each a file of its own under `scripts/`.

/// Appends an event and announces it: `scripts/publish.lua`, whose head documents keys and arguments. Usable
/// with `redis-cli --eval` as it is.
pub const PUBLISH_SCRIPT: &str = include_str!("../../scripts/publish.lua");

/// The script above with its hash.
pub(super) fn publish() -> redis::Script {
    redis::Script::new(PUBLISH_SCRIPT)
}

/// Makes it known to a server.
pub(super) fn load() -> redis::Cmd {
    let mut load = redis::cmd("SCRIPT");
    load.arg("LOAD").arg(PUBLISH_SCRIPT);
    load
}
