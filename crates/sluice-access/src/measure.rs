//! What is counted about access, in the recorder of the process. None of it happens often enough to keep
//! handles for.

use std::time::Duration;

use metrics::{counter, gauge};

use crate::denial::Denial;

/// Every reason that [`refused`] counts by.
const REASONS: [&str; 19] = [
    "algorithm",
    "anonymous",
    "api-key",
    "audience",
    "claims",
    "expired",
    "issuer",
    "keys-unavailable",
    "malformed",
    "missing",
    "not-granted",
    "not-yet-valid",
    "origin",
    "query-token",
    "reserved",
    "revocations-unknown",
    "revoked",
    "signature",
    "unknown-key",
];

/// Makes everything known that is counted, so that a first refusal is a rise and not a beginning.
pub(crate) fn register() {
    for reason in REASONS {
        counter!("sluice_auth_refused_total", "reason" => reason).increment(0);
    }
    for source in ["jwks", "file"] {
        for outcome in ["loaded", "failed"] {
            counter!("sluice_auth_key_loads_total", "source" => source, "outcome" => outcome).increment(0);
        }
    }
    for reason in ["expired", "revoked", "missing"] {
        counter!("sluice_auth_renewals_asked_total", "reason" => reason).increment(0);
    }
    counter!("sluice_auth_revocations_restored_total").increment(0);
    jwks_age(Duration::ZERO);
    revocations(0);
}

/// Somebody was refused.
pub(crate) fn refused(denial: &Denial) {
    let reason = denial.reason();
    debug_assert!(REASONS.contains(&reason), "{reason} is not listed");
    counter!("sluice_auth_refused_total", "reason" => reason).increment(1);
}

/// Keys were read again; `source` is `jwks` or `file`.
pub(crate) fn keys_loaded(source: &'static str, outcome: &'static str) {
    counter!("sluice_auth_key_loads_total", "source" => source, "outcome" => outcome).increment(1);
}

/// How long ago the key set that is the oldest of all was fetched.
pub(crate) fn jwks_age(age: Duration) {
    gauge!("sluice_auth_jwks_age_seconds").set(age.as_secs_f64());
}

/// Revocations in force.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; nobody has 2^53 revocations")]
pub(crate) fn revocations(in_force: usize) {
    gauge!("sluice_auth_revocations").set(in_force as f64);
}
