//! What a request to revoke says, and how a revocation is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sluice_access::{Revocation, Revoked, Whom};
use sluice_wire::rfc3339;

const WANTED: &str = "send {\"subject\": \"..\"} or {\"token_id\": \"..\"}, \"issuer\" if one alone is meant, \"issued_before\" \
                      (\"now\" or RFC 3339) if later credentials are to be good, and \"for_s\" or \"until\" (RFC 3339)";
const KEYS: [&str; 6] = ["subject", "token_id", "issuer", "issued_before", "for_s", "until"];
/// How far the clock of the caller may be ahead. Milliseconds.
const AHEAD_MAX_MS: u64 = 60_000;

/// Reads a request that comes at `now_ms`; what would be right if it is wrong.
pub(super) fn read(body: &[u8], longest: Duration, now_ms: u64) -> Result<Revocation, String> {
    let body: Value = serde_json::from_slice(body).map_err(|_| WANTED.to_owned())?;
    let body = body.as_object().ok_or(WANTED)?;
    if let Some(key) = body.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("there is no {key:?} here; {WANTED}"));
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let whom = match (text("subject"), text("token_id")) {
        (Some(subject), None) => Whom::Subject(subject),
        (None, Some(token_id)) => Whom::TokenId(token_id),
        _ => return Err(WANTED.to_owned()),
    };
    let issuer = text("issuer");
    if issuer.is_none() && body.contains_key("issuer") {
        return Err("the issuer must be a text, the `iss` of its tokens".to_owned());
    }
    let issued_before_s = issued_before(body, now_ms)?;
    let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let latest_ms = now_ms.saturating_add(longest_ms);
    let until_ms = match (body.get("for_s").map(Value::as_u64), text("until")) {
        (Some(Some(seconds)), None) => now_ms.saturating_add(seconds.saturating_mul(1_000)),
        (None, Some(until)) => moment("until", &until)?,
        // Whoever logs a user out does not know how long the tokens are good that are around.
        (None, None) if issued_before_s.is_some() && !body.contains_key("until") => latest_ms,
        _ => return Err(WANTED.to_owned()),
    };
    if until_ms > latest_ms {
        let longest_s = longest.as_secs();
        return Err(format!("nothing can be revoked for longer than auth.revocation_max_s, {longest_s}"));
    }
    let revoked = Revoked { whom, issuer };
    let revocation = Revocation { revoked, issued_before_s, until_ms, made_ms: 0, kept_until_ms: 0 };
    let reads_back = Revocation::from_json(&revocation.to_json(), now_ms, now_ms).is_some();
    let too_long = || "a subject, an id and an issuer have 1 to 256 bytes".to_owned();
    reads_back.then_some(revocation).ok_or_else(too_long)
}

/// In whole seconds, as most issuers say `iat`: what was issued in the second itself counts as issued afterwards, so that a
/// user who logs in again at once is let in.
fn issued_before(body: &Map<String, Value>, now_ms: u64) -> Result<Option<u64>, String> {
    let Some(value) = body.get("issued_before") else { return Ok(None) };
    let issued_before_ms = match value.as_str() {
        Some("now") => now_ms,
        Some(text) => moment("issued_before", text)?,
        None => return Err("issued_before must be \"now\" or a time in RFC 3339".to_owned()),
    };
    if issued_before_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
        return Err("issued_before is in the future; leave it out to refuse whatever is issued".to_owned());
    }
    Ok(Some(issued_before_ms / 1_000))
}

fn moment(key: &str, text: &str) -> Result<u64, String> {
    let moment = humantime::parse_rfc3339_weak(text).map_err(|error| format!("{key}: {error}"))?;
    Ok(millis(moment))
}

/// The name of the API key that is to be revoked, if one is.
pub(super) fn api_key(revocation: &Revocation) -> Option<&str> {
    match &revocation.revoked.whom {
        Whom::Subject(subject) if subject.starts_with("key:") => Some(subject),
        _ => None,
    }
}

/// A revocation as answers tell it. An entry of the log holds any number; `null` is a moment after the year 9999.
pub(super) fn shown(revocation: &Revocation) -> Value {
    let Revocation { revoked: Revoked { whom, issuer }, issued_before_s, until_ms, .. } = revocation;
    let mut shown = match whom {
        Whom::Subject(subject) => json!({ "subject": subject }),
        Whom::TokenId(token_id) => json!({ "token_id": token_id }),
    };
    if let Some(issuer) = issuer {
        shown["issuer"] = json!(issuer);
    }
    if let Some(issued_before_s) = issued_before_s {
        shown["issued_before"] = json!(rfc3339(issued_before_s.saturating_mul(1_000)));
    }
    shown["until"] = json!(rfc3339(*until_ms));
    shown
}

fn millis(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_900;
    const LONGEST: Duration = Duration::from_secs(86_400);

    fn asked(body: &Value) -> Result<Revocation, String> {
        read(body.to_string().as_bytes(), LONGEST, NOW_MS)
    }

    #[test]
    fn what_is_issued_in_the_second_of_the_request_counts_as_issued_afterwards() {
        let now = asked(&json!({"subject": "u", "issued_before": "now"})).unwrap();
        assert_eq!((now.issued_before_s, now.until_ms), (Some(1_800_000_000), NOW_MS + 86_400_000));
        let at = asked(&json!({"subject": "u", "issued_before": "2027-01-15T07:59:58.999Z", "for_s": 60}));
        let at = at.unwrap();
        assert_eq!((at.issued_before_s, at.until_ms), (Some(1_799_999_998), NOW_MS + 60_000));
        for wrong in [json!("tomorrow"), json!(7), json!("2027-01-15T08:01:01Z"), json!(null)] {
            let error = asked(&json!({"subject": "u", "issued_before": wrong, "for_s": 60})).unwrap_err();
            assert!(error.contains("issued_before"), "{error}");
        }
        assert!(asked(&json!({"subject": "u"})).is_err(), "without it, how long must be said");
    }

    proptest! {
        /// An entry of the log may hold any number, since anybody who may XADD chooses it.
        #[test]
        fn a_revocation_of_any_moments_is_listed(until_ms: u64, issued_before_s: u64) {
            let entry = format!(r#"{{"subject":"u","issued_before_s":{issued_before_s},"until_ms":{until_ms}}}"#);
            let shown = shown(&Revocation::from_json(&entry, NOW_MS, NOW_MS).unwrap());
            prop_assert_eq!(&shown["subject"], "u");
            prop_assert_eq!(shown["until"].as_str().map(str::to_owned), rfc3339(until_ms));
        }
    }

    #[test]
    fn every_time_can_be_shown() {
        let mut revocation = asked(&json!({"token_id": "t", "issuer": "i", "for_s": 0})).unwrap();
        assert_eq!(
            shown(&revocation),
            json!({"token_id": "t", "issuer": "i", "until": "2027-01-15T08:00:00.900Z"})
        );
        (revocation.until_ms, revocation.issued_before_s) = (u64::MAX, Some(u64::MAX));
        assert_eq!(
            shown(&revocation),
            json!({"token_id": "t", "issuer": "i", "issued_before": null, "until": null})
        );
    }
}
