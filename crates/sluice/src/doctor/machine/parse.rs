//! Reads what the kernel prints. Pure.

/// Limits that the kernel prints as a word.
const UNLIMITED: &str = "unlimited";

/// All numbers of a text.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The soft and the hard limit of open files, from `/proc/self/limits`.
pub(super) fn open_files(limits: &str) -> Option<(u64, u64)> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_whitespace();
    let mut limit =
        || words.next().and_then(|w| if w == UNLIMITED { Some(u64::MAX) } else { w.parse().ok() });
    Some((limit()?, limit()?))
}

/// A counter of `/proc/net/netstat`, where a line of names stands above a line of values.
pub(super) fn counter(netstat: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = netstat.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let at = pair[0].split_whitespace().position(|word| word == name)?;
        pair[1].split_whitespace().nth(at)?.parse().ok()
    })
}

/// Pages that TCP holds, from `/proc/net/sockstat`.
pub(super) fn tcp_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

/// The size of a page, from the auxiliary vector: pairs of machine words, of which 6 is `AT_PAGESZ`.
pub(super) fn page_size(auxv: &[u8]) -> Option<u64> {
    const AT_PAGESZ: u64 = 6;
    let word = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).ok().map(u64::from_ne_bytes);
    auxv.chunks_exact(16).find_map(|pair| (word(&pair[..8])? == AT_PAGESZ).then(|| word(&pair[8..]))?)
}

/// CPUs granted, from `<quota> <period>` in microseconds; `None` where there is no quota.
pub(super) fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_counters_are_found() {
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024   unlimited   files\n";
        assert_eq!(open_files(limits), Some((1_024, u64::MAX)));
        let netstat = "TcpExt: A ListenOverflows B\nTcpExt: 1 22 3\nIpExt: C\nIpExt: 4\n";
        assert_eq!(counter(netstat, "ListenOverflows"), Some(22));
        assert_eq!((counter(netstat, "C"), counter(netstat, "D"), counter("", "A")), (Some(4), None, None));
        let sockstat = "sockets: used 15\nTCP: inuse 1 orphan 0 tw 3 alloc 1 mem 155\nUDP: inuse 0 mem 7\n";
        assert_eq!(tcp_pages(sockstat), Some(155));
        assert_eq!(numbers("32768\t60999\n"), [32_768, 60_999]);
    }

    #[test]
    fn quotas_of_both_kinds_are_read() {
        assert_eq!((quota("max 100000"), quota("-1 100000")), (None, None));
        assert_eq!((quota("50000 100000\n"), quota("400000 100000")), (Some(0.5), Some(4.0)));
    }

    #[test]
    fn the_page_size_is_found() {
        let words = [3_u64, 64, 6, 65_536, 0, 0];
        let auxv: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(page_size(&auxv), Some(65_536));
        assert_eq!(page_size(&[]), None);
    }
}
