//! The control events that a stream may carry beside events of its topics. Clients that do not listen to
//! them are not disturbed: none carries an id, but for those that are a whole response.

use std::time::Duration;

use serde_json::json;
use sluice_broker::{Gap, GapReason};
use sluice_fanout::{End, LastWords};
use sluice_wire::sse::Frame;

/// Events between the client's position and the oldest retained one are gone.
pub(crate) fn gap(gap: &Gap) -> Frame {
    let mut body = json!({
        "topic": gap.topic.as_str(),
        "from": gap.from.to_string(),
        "to": gap.to.to_string(),
        "reason": gap.reason.as_str(),
    });
    if gap.possible {
        body["possible"] = json!(true);
    }
    Frame::control("sluice.gap", &body.to_string(), None)
}

/// The client's cursor says nothing to this node; the stream begins now.
pub(crate) fn unknown_cursor() -> Frame {
    let body =
        json!({ "topic": null, "from": null, "to": null, "reason": GapReason::UnknownCursor.as_str() });
    Frame::control("sluice.gap", &body.to_string(), None)
}

/// The node lost its broker: events may be late.
pub(crate) fn stale() -> Frame {
    Frame::control("sluice.stale", "{}", None)
}

/// The node has everything again.
pub(crate) fn live() -> Frame {
    Frame::control("sluice.live", "{}", None)
}

/// The node takes no stream now; the client comes back by itself after `retry`, with the cursor that it has.
pub(crate) fn shed(reason: &str, retry: Duration, cursor: Option<&str>) -> Frame {
    Frame::refusal("sluice.shed", &json!({ "reason": reason }).to_string(), retry, cursor)
}

/// The credentials of a stream are good no more: its client shall get new ones before it comes back.
pub(crate) fn expired(reason: &str, retry: Duration) -> Frame {
    Frame::control("sluice.expired", &json!({ "reason": reason }).to_string(), Some(retry))
}

/// The answer to a client whose credentials count no more: as [`expired`], with the cursor that the client came with.
pub(crate) fn asked_to_renew(reason: &str, retry: Duration, cursor: Option<&str>) -> Frame {
    Frame::refusal("sluice.expired", &json!({ "reason": reason }).to_string(), retry, cursor)
}

/// The end of a stream that the client shall open again after `retry`.
pub(crate) fn farewell(retry: Duration) -> Frame {
    Frame::opening(retry, None)
}

/// What a stream is told that its time has come for.
pub(crate) fn last_words(end: End, retry: Duration) -> LastWords {
    match end {
        End::Drain => LastWords { reason: "drained", frame: farewell(retry) },
        End::Age => LastWords { reason: "aged", frame: farewell(retry) },
        End::Expiry => LastWords { reason: "expired", frame: expired("expired", retry) },
    }
}

/// When a stream of this greatest age is ended: somewhere in its last fifth, so that streams that came
/// together do not leave together.
pub(crate) fn aged(max_age: Duration) -> Duration {
    max_age.mul_f64(0.8 + 0.2 * fastrand::f64())
}

/// `base` give or take `percent` of it, so that clients that were sent away together do not return together.
pub(crate) fn jittered(base: Duration, percent: u8) -> Duration {
    let spread = base.as_secs_f64() * f64::from(percent.min(100)) / 100.0;
    Duration::from_secs_f64((base.as_secs_f64() + spread * (fastrand::f64() * 2.0 - 1.0)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greatest_age_is_never_exceeded_and_spread_over_its_last_fifth() {
        let ages: Vec<u128> = (0..1_000).map(|_| aged(Duration::from_millis(1_000)).as_millis()).collect();
        assert!(ages.iter().all(|age| (800..=1_000).contains(age)));
        assert!(ages.iter().any(|age| *age < 850) && ages.iter().any(|age| *age > 950));
    }

    #[test]
    fn jitter_stays_within_its_percentage() {
        let base = Duration::from_millis(2_000);
        for _ in 0..1_000 {
            let retry = jittered(base, 50);
            assert!((1_000..=3_000).contains(&retry.as_millis()), "{retry:?}");
        }
        assert_eq!(jittered(base, 0), base);
    }
}
