//! The descriptor limit: every stream is one descriptor, so a process raises its limit to all it may have.

use rustix::io;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one and returns the limit now in force; `u64::MAX`
/// when there is none.
///
/// # Errors
/// What the kernel says; the limit is then as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(descriptor_limit())
}

/// The soft limit in force; `u64::MAX` when there is none.
#[must_use]
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_descriptor_limit().unwrap(), hard);
        assert_eq!(descriptor_limit(), hard);
    }
}
