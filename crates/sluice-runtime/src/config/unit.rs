//! Sizes as people write them.

/// Bytes from `1048576`, `1024KiB`, `1 MiB` or `1GiB`.
pub(super) fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn reads_binary_units_and_nothing_doubtful() {
        for (text, bytes) in [("0", 0), ("17", 17), ("2KiB", 2048), ("1 MiB", 1 << 20), ("3GiB", 3 << 30)] {
            assert_eq!(parse_bytes(text), Some(bytes));
        }
        for text in
            ["", "MiB", "1MB", "1 mib", "-1", "1.5MiB", "99999999999999999999", "18014398509481984MiB"]
        {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
