//! Where a process finds its control groups, of both versions.

/// Where, below `/sys/fs/cgroup`, the limits of a controller may stand: innermost first. In a container its own
/// group is mounted as the root, whatever `/proc/self/cgroup` calls it.
#[must_use]
pub fn directories(cgroup: &str, controller: &str) -> Vec<String> {
    let mut directories = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let path = path.trim_matches('/');
        if controllers.is_empty() {
            directories.extend([path.to_owned(), String::new()]);
        } else if controllers.split(',').any(|name| name == controller) {
            directories.extend([format!("{controllers}/{path}"), controllers.to_owned()]);
        }
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_found() {
        let old = "4:memory:/docker/x\n2:cpu,cpuacct:/\n0::/\n";
        assert_eq!(directories(old, "memory"), ["memory/docker/x", "memory", "", ""]);
        assert_eq!(directories(old, "cpu"), ["cpu,cpuacct/", "cpu,cpuacct", "", ""]);
        assert_eq!(directories("0::/a.slice/b\n", "cpu"), ["a.slice/b", ""]);
    }
}
