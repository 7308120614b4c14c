//! Programs that some tests run beside Redis: nginx, HAProxy, a browser, curl, an OTLP receiver.
//!
//! A test whose program is missing is skipped and says so, except where `TEST_TOOLS` names the program: `make test`
//! installs the programs and sets the variable, so a program that a test cannot find after all is a failure.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The comma-separated programs that must be there.
const REQUIRED: &str = "TEST_TOOLS";
/// Directories of servers that distributions leave out of the PATH of ordinary users.
const SERVERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Returns the path of the first of `programs` that is installed.
///
/// Returns `None`, after a line on the standard error that says how to install `tool`, if there is none.
///
/// # Panics
/// If there is none although `TEST_TOOLS` names `tool`.
#[must_use]
pub fn find_tool(tool: &str, programs: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).chain(SERVERS.map(PathBuf::from)).collect();
    let found = programs.iter().find_map(|program| {
        directories.iter().map(|directory| directory.join(program)).find(|file| is_program(file))
    });
    if found.is_none() {
        skip_without(tool);
    }
    found
}

/// Says that the running test is skipped because `tool` is missing.
///
/// # Panics
/// If `TEST_TOOLS` names `tool`.
pub fn skip_without(tool: &str) {
    let required = env::var(REQUIRED).unwrap_or_default();
    assert!(!is_named(&required, tool), "{tool} is not installed, but {REQUIRED} names it");
    // `eprintln` is captured, and a test that checked nothing must say so where it passes too.
    let _ =
        writeln!(io::stderr(), "SKIPPED: {tool} is not installed; scripts/install-test-deps.sh installs it");
}

fn is_named(list: &str, tool: &str) -> bool {
    list.split(',').any(|name| name.trim() == tool)
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_any_of_its_names() {
        assert!(find_tool("sh", &["no-such-program", "sh"]).is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find_tool("no-such-tool", &["no-such-program"]), None);
    }

    #[test]
    fn only_whole_names_are_required() {
        assert!(is_named("redis,nginx", "nginx") && is_named("nginx, redis", "redis"));
        assert!(!is_named("", "nginx") && !is_named("nginx-light", "nginx"));
    }
}
