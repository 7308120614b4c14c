//! What the head of a publishing request says.

use axum::http::{HeaderMap, HeaderName, header};
use sluice_wire::IdempotencyKey;

use super::refusal::Refusal;

/// The forms of body that the service reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Text,
    Lines,
}

/// The content type of a request; refused with `wanted`, which says what to send instead.
pub(super) fn media(headers: &HeaderMap, wanted: &str) -> Result<Media, Refusal> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if let Some(coding) = codings.find(|coding| coding.as_bytes() != b"identity") {
        return Err(Refusal::media_type(format!(
            "content-encoding {coding:?} is not read; send the body plain"
        )));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(Refusal::media_type(format!("there is no content-type; {wanted}")));
    };
    let mut parts =
        value.to_str().unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = match parts.next().as_deref() {
        Some("application/json") => Media::Json,
        Some("text/plain") => Media::Text,
        Some("application/x-ndjson" | "application/ndjson") => Media::Lines,
        _ => return Err(Refusal::media_type(format!("content-type {value:?} is not read here; {wanted}"))),
    };
    let charset = parts
        .find_map(|parameter| parameter.strip_prefix("charset=").map(|c| c.trim_matches('"').to_owned()));
    match charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(media),
        Some(other) => Err(Refusal::media_type(format!("charset {other} is not read; send UTF-8"))),
    }
}

/// The `Idempotency-Key` header. Source: draft-ietf-httpapi-idempotency-key-header, whose quoted form means
/// the same key as the bare one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::key("there is more than one idempotency-key header; send one"));
    }
    let text = value.to_str().unwrap_or_default();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let key = IdempotencyKey::parse(bare).map_err(|error| Refusal::key(error.to_string()))?;
    Ok(Some(key))
}

/// The `Sluice-Wait-Replicas` header: how many replicas must have the events of the request, at most `replicas_max`.
pub(super) fn wait_replicas(headers: &HeaderMap, replicas_max: u8) -> Result<Option<u8>, Refusal> {
    let mut values = headers.get_all(WAIT_REPLICAS).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let replicas = value.to_str().ok().and_then(|text| text.parse().ok());
    match replicas.filter(|replicas| *replicas <= replicas_max) {
        Some(replicas) if values.next().is_none() => Ok(Some(replicas)),
        _ => {
            let detail = format!(
                "send one sluice-wait-replicas with a number from 0 to {replicas_max} (publisher.wait_replicas_max), not \
                 {value:?}"
            );
            Err(Refusal::wait_replicas(detail))
        }
    }
}

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const WAIT_REPLICAS: HeaderName = HeaderName::from_static("sluice-wait-replicas");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn media_types_are_compared_without_case_and_parameters() {
        for (value, expected) in [
            ("application/json", Media::Json),
            ("Application/JSON; charset=UTF-8", Media::Json),
            ("text/plain;charset=\"utf-8\"", Media::Text),
            ("application/x-ndjson", Media::Lines),
        ] {
            assert_eq!(media(&headers("content-type", value), "").unwrap(), expected);
        }
        for value in
            ["", "application/x-www-form-urlencoded", "text/plain; charset=iso-8859-1", "application/jsonx"]
        {
            assert_eq!(media(&headers("content-type", value), "").unwrap_err().status(), 415, "{value}");
        }
        assert_eq!(media(&headers("content-encoding", "gzip"), "").unwrap_err().status(), 415);
        let mut twice = headers("content-encoding", "identity");
        twice.append("content-encoding", "gzip".parse().unwrap());
        twice.insert("content-type", "text/plain".parse().unwrap());
        assert_eq!(media(&twice, "").unwrap_err().status(), 415, "no coding is overlooked");
    }

    #[test]
    fn a_quoted_key_is_the_bare_one() {
        for value in ["k1", "\"k1\""] {
            let key = idempotency_key(&headers("idempotency-key", value)).unwrap().unwrap();
            assert_eq!(key.as_str(), "k1");
        }
        for value in ["", "a b", "\"", "\"\"", "a{b"] {
            let result = idempotency_key(&headers("idempotency-key", value));
            assert_eq!(result.is_err(), value != "\"", "{value}");
        }
    }
}
