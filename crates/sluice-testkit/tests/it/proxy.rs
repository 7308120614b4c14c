//! Faults, as the real redis-cli and plain sockets feel them.
