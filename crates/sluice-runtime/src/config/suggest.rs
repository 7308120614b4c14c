//! Guessing what a mistyped key was meant to be.

/// The known key nearest to `typed`, if one is near enough to be worth saying.
///
/// Both the whole dotted names and their last parts are compared, so that a right key in the wrong section
/// is found too.
pub(super) fn nearest<'k>(typed: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let typed_last = last(typed);
    known
        .map(|key| (distance(typed, key).min(distance(&typed_last, &last(key)) + 1), key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 1 + typed_last.len() / 4)
        .map(|(_, key)| key)
}

/// Levenshtein's distance, in one row.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["redis.url", "redis.pool_size", "streams.heartbeat_ms", "limits.streams_max"];

    #[test]
    fn finds_typing_mistakes_and_wrong_sections_only() {
        let nearest = |typed| nearest(typed, KEYS.into_iter());
        assert_eq!(nearest("redis.pol_size"), Some("redis.pool_size"));
        assert_eq!(nearest("redis.heartbeat_ms"), Some("streams.heartbeat_ms"));
        assert_eq!(nearest("redis.uri"), Some("redis.url"));
        assert_eq!(nearest("kafka.brokers"), None);
    }
}
