//! Guessing what a mistyped key was meant to be.

/// The known key nearest to `typed`, if one is near enough to be worth saying.
///
/// A name of which words are missing or to which some were added (`tls.cert` for `tls.cert_file`) is nearer than one
/// with other letters; names are compared whole and by their last parts, so that a right key in the wrong section is
/// found too.
pub(super) fn nearest<'k>(typed: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known.filter_map(|key| Some((cost(typed, key)?, key))).min_by_key(|(cost, _)| *cost).map(|(_, key)| key)
}

/// How far `key` is from what was typed; `None` if it is too far to be what was meant.
fn cost(typed: &str, key: &str) -> Option<usize> {
    let (section, last) = split(typed);
    let (key_section, key_last) = split(key);
    let elsewhere = usize::from(section != key_section);
    let letters = distance(typed, key).min(distance(last, key_last) + elsewhere);
    if letters <= 1 + last.len() / 4 {
        return Some(2 * letters);
    }
    // `cert` and `cert_file`, `heartbeat` and `heartbeat_ms`, `max_streams` and `streams_max`.
    let (words, key_words) = (words(last), words(key_last));
    let (few, many) =
        if words.len() <= key_words.len() { (&words, &key_words) } else { (&key_words, &words) };
    let within = !few.is_empty() && few.iter().all(|word| many.contains(word));
    // In another section a single word says little.
    let telling = elsewhere == 0 || few.len() > 1;
    (within && telling).then(|| 2 * (many.len() - few.len()) + 1 + 4 * elsewhere)
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

fn words(name: &str) -> Vec<&str> {
    name.split('_').filter(|word| !word.is_empty()).collect()
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

    #[test]
    fn finds_keys_of_which_words_are_missing_or_turned_around() {
        let keys = [
            "tls.cert_file",
            "tls.key_file",
            "tls.client_ca_file",
            "redis.tls.ca_file",
            "limits.streams_max",
        ];
        let nearest = |typed| nearest(typed, keys.into_iter());
        assert_eq!(nearest("tls.cert"), Some("tls.cert_file"));
        assert_eq!(nearest("tls.key"), Some("tls.key_file"));
        assert_eq!(nearest("tls.certificate_file"), None);
        assert_eq!(nearest("redis.tls.ca"), Some("redis.tls.ca_file"));
        assert_eq!(nearest("limits.max_streams"), Some("limits.streams_max"));
        assert_eq!(nearest("streams.max_streams"), Some("limits.streams_max"));
        assert_eq!(nearest("server.file"), None);
    }
}
