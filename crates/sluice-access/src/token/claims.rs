//! What a verified token says. A claim that is there twice, or that is not of its form, is an error and never
//! passed over: what one reader takes and another leaves out is what attacks are made of.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use sluice_wire::TopicPattern;

use crate::denial::Denial;
use crate::identity::{Grants, KEY_SUBJECT_PREFIX};

/// Patterns that one token may bring along.
const PATTERNS_MAX: usize = 256;
/// Length of a subject or a token's id. Bytes.
const NAME_BYTES_MAX: usize = 256;

/// By which rules claims are read.
#[derive(Debug, Clone)]
pub(crate) struct ClaimRules {
    pub(crate) leeway: Duration,
    pub(crate) grants_claim: String,
    pub(crate) scope_prefix: Option<String>,
}

/// What is used of a token that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) subject: Option<String>,
    pub(crate) token_id: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) issued_at_s: Option<u64>,
    pub(crate) expires_at_ms: u64,
    pub(crate) grants: Grants,
}

/// All claims by name, each once.
struct Named(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut named = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if named.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name twice"));
                    }
                }
                Ok(Named(named))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

impl ClaimRules {
    /// Judges the claims of a token whose signature is good, for a reader who is one of `audience`.
    pub(crate) fn judge(&self, json: &str, audience: &[String], now_ms: u64) -> Result<Claims, Denial> {
        let Named(claims) = serde_json::from_str(json)
            .map_err(|_| wrong("the claims are not an object, or one of them is there twice"))?;
        self.check_times(&claims, now_ms)?;
        check_audience(claims.get("aud"), audience)?;
        Ok(Claims {
            subject: subject(&claims)?,
            token_id: name(&claims, "jti")?,
            issuer: claims.get("iss").and_then(Value::as_str).map(str::to_owned),
            issued_at_s: millis(&claims, "iat")?.map(|issued_ms| issued_ms / 1_000),
            expires_at_ms: millis(&claims, "exp")?.unwrap_or(u64::MAX),
            grants: self.grants(&claims)?,
        })
    }

    fn leeway_ms(&self) -> u64 {
        u64::try_from(self.leeway.as_millis()).unwrap_or(u64::MAX)
    }

    fn check_times(&self, claims: &BTreeMap<String, Value>, now_ms: u64) -> Result<(), Denial> {
        let leeway_ms = self.leeway_ms();
        let expires_ms =
            millis(claims, "exp")?.ok_or_else(|| wrong("the token has no `exp`: it would never end"))?;
        self.check_expired(expires_ms, now_ms)?;
        if let Some(begins_ms) = millis(claims, "nbf")?
            && now_ms.saturating_add(leeway_ms) < begins_ms
        {
            let in_s = (begins_ms - now_ms) / 1_000;
            let detail = format!("the token is not valid before {in_s} s from now (nbf)");
            return Err(Denial::invalid("not-yet-valid", detail));
        }
        Ok(())
    }

    /// Refuses a token that ended at `expires_ms`, by a clock that may be off by the leeway.
    pub(crate) fn check_expired(&self, expires_ms: u64, now_ms: u64) -> Result<(), Denial> {
        if now_ms < expires_ms.saturating_add(self.leeway_ms()) {
            return Ok(());
        }
        let ago_s = now_ms.saturating_sub(expires_ms) / 1_000;
        Err(Denial::invalid("expired", format!("the token expired {ago_s} s ago; get a new one")))
    }

    fn grants(&self, claims: &BTreeMap<String, Value>) -> Result<Grants, Denial> {
        let mut grants = Grants::default();
        if let Some(own) = claims.get(&self.grants_claim) {
            let own = own.as_object().ok_or_else(|| {
                wrong(&format!(
                    "claim `{}` must be {{\"subscribe\": [..], \"publish\": [..]}}",
                    self.grants_claim
                ))
            })?;
            for (key, value) in own {
                let into = match key.as_str() {
                    "subscribe" => &mut grants.subscribe,
                    "publish" => &mut grants.publish,
                    _ => continue,
                };
                let items = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
                let items: Vec<&str> = items.ok_or_else(|| {
                    wrong(&format!("claim `{}.{key}` must be an array of topic patterns", self.grants_claim))
                })?;
                for item in items {
                    into.push(pattern(item)?);
                }
            }
        }
        for scope in self.scopes(claims)? {
            match scope.split_once(':') {
                Some(("subscribe", text)) => grants.subscribe.push(pattern(text)?),
                Some(("publish", text)) => grants.publish.push(pattern(text)?),
                _ => {}
            }
        }
        if grants.subscribe.len() + grants.publish.len() > PATTERNS_MAX {
            return Err(wrong(&format!("the token has more than {PATTERNS_MAX} topic patterns")));
        }
        Ok(grants)
    }

    /// The scopes that are ours, without their prefix. `scope` is RFC 8693's, `scp` is what others call it.
    fn scopes<'c>(&self, claims: &'c BTreeMap<String, Value>) -> Result<Vec<&'c str>, Denial> {
        let Some(prefix) = &self.scope_prefix else { return Ok(Vec::new()) };
        let mut scopes = Vec::new();
        for value in ["scope", "scp"].iter().filter_map(|name| claims.get(*name)) {
            match value {
                Value::String(text) => scopes.extend(text.split(' ')),
                Value::Array(items) => scopes.extend(items.iter().filter_map(Value::as_str)),
                _ => return Err(wrong("claim `scope` must be a text of scopes between spaces, or an array")),
            }
        }
        Ok(scopes
            .into_iter()
            .filter_map(|scope| scope.strip_prefix(prefix.as_str())?.strip_prefix(':'))
            .collect())
    }
}

/// Source: RFC 7519, section 4.1.3: a token that names an audience is refused by whoever is not in it.
fn check_audience(claim: Option<&Value>, audience: &[String]) -> Result<(), Denial> {
    let named: Vec<&str> = match claim {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("claim `aud` must be a text or an array of texts"))?,
        Some(_) => return Err(wrong("claim `aud` must be a text or an array of texts")),
    };
    let refuse = |detail: &str| Err(Denial::invalid("audience", detail));
    match (named.is_empty(), audience.is_empty()) {
        (true, true) => Ok(()),
        (false, true) => refuse("the token is for an audience (aud), and the configuration names none"),
        (true, false) => refuse("the token is for no audience (aud); the configuration demands one"),
        (false, false) if named.iter().any(|name| audience.iter().any(|ours| ours == name)) => Ok(()),
        (false, false) => refuse("the token is for another audience (aud)"),
    }
}

/// Whose the token is. Names that begin as those of API keys do are theirs alone: whoever revokes, limits or grants
/// by such a name must not mean somebody's token.
fn subject(claims: &BTreeMap<String, Value>) -> Result<Option<String>, Denial> {
    let subject = name(claims, "sub")?;
    if subject.as_deref().is_some_and(|subject| subject.starts_with(KEY_SUBJECT_PREFIX)) {
        return Err(wrong(&format!(
            "claim `sub` must not begin with `{KEY_SUBJECT_PREFIX}`: API keys are named so"
        )));
    }
    Ok(subject)
}

fn name(claims: &BTreeMap<String, Value>, claim: &str) -> Result<Option<String>, Denial> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text))
            if (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(wrong(&format!(
            "claim `{claim}` must be a text of 1 to {NAME_BYTES_MAX} bytes without control characters"
        ))),
    }
}

/// A `NumericDate` in milliseconds.
fn millis(claims: &BTreeMap<String, Value>, claim: &str) -> Result<Option<u64>, Denial> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let millis = value.as_f64().and_then(in_millis);
    millis.map(Some).ok_or_else(|| wrong(&format!("claim `{claim}` must be seconds since 1970")))
}

/// Seconds since 1970, which may have a fraction, in milliseconds; `None` for what is no such number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and a fraction of a millisecond is of no account"
)]
pub(super) fn in_millis(seconds: f64) -> Option<u64> {
    (0.0..=1e12).contains(&seconds).then_some((seconds * 1_000.0) as u64)
}

fn pattern(text: &str) -> Result<TopicPattern, Denial> {
    let wrong = |_| wrong("a grant of the token is no topic pattern: `*` is one segment, `**` any number");
    TopicPattern::parse(text).map_err(wrong)
}

fn wrong(detail: &str) -> Denial {
    Denial::invalid("claims", detail)
}
