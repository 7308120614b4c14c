//! The steps of the judgement: whose token it may be, whether it is, and what it is worth.

use std::sync::Arc;

use super::Shared;
use crate::api_key::ApiKeyHash;
use crate::denial::Denial;
use crate::identity::{Identity, KEY_SUBJECT_PREFIX};
use crate::issuer::{Issuer, Source};
use crate::jwks::Renewal;
use crate::token::{Claims, Unverified, Verdict};

/// The reason of a denial that says that a key fits.
const SIGNED_AND_UNREADABLE: &str = "claims";

impl Shared {
    /// The issuers whose name a token says; those without a name stand in for names that nobody has.
    fn issuers_of(&self, unverified: &Unverified<'_>) -> Vec<&Issuer> {
        let says = unverified.issuer.as_deref();
        let named: Vec<&Issuer> = self
            .issuers
            .iter()
            .filter(|issuer| says.is_some() && issuer.settings.issuer.as_deref() == says)
            .collect();
        if !named.is_empty() {
            return named;
        }
        self.issuers.iter().filter(|issuer| issuer.settings.issuer.is_none()).collect()
    }

    /// The verified claims, and whose they are.
    pub(super) fn try_issuers(&self, unverified: &Unverified<'_>) -> Result<(String, &Issuer), Denial> {
        let issuers = self.issuers_of(unverified);
        if issuers.is_empty() {
            return Err(Denial::invalid("issuer", "no issuer of this name (iss) is configured"));
        }
        let mut worst = Verdict::UnknownKey;
        for issuer in issuers {
            match unverified.verify(&issuer.keys()) {
                Verdict::Signed(claims) => return Ok((claims.get().to_owned(), issuer)),
                Verdict::UnknownKey => {}
                verdict => worst = verdict,
            }
        }
        Err(match worst {
            Verdict::OtherAlgorithm => {
                Denial::invalid("algorithm", "the token's alg is not that of its issuer's keys")
            }
            Verdict::UnknownKey => Denial::invalid("unknown-key", "no key of the token's issuer has its kid"),
            Verdict::Unreadable => Denial::invalid(
                SIGNED_AND_UNREADABLE,
                "a part of the token is not of its form, or one of its names is there twice",
            ),
            Verdict::Forged | Verdict::Signed(_) => {
                Denial::invalid("signature", "the token's signature does not fit any key of its issuer")
            }
        })
    }

    /// Once more with newer keys, where a key that is not known may be one of those: its name is not known, or the token
    /// or the keys have no names.
    pub(super) async fn try_again(
        &self,
        unverified: &Unverified<'_>,
        denial: Denial,
    ) -> Result<(String, &Issuer), Denial> {
        if denial.reason() == SIGNED_AND_UNREADABLE {
            return Err(denial);
        }
        for issuer in self.issuers_of(unverified) {
            let Source::Jwks(jwks) = &issuer.source else { continue };
            let keys = issuer.keys();
            if unverified.names_one_of(&keys) {
                continue;
            }
            let tried = unverified.candidates(&keys).next().is_some();
            match jwks.renew(issuer, &self.keys).await {
                Renewal::Fetched => {
                    if let Ok(signed) = self.try_issuers(unverified) {
                        return Ok(signed);
                    }
                }
                // Most likely it is forged. Who answered otherwise would let anybody make a node say that it cannot
                // judge, by tokens that name no key.
                Renewal::Failed | Renewal::Crowded if tried => {}
                Renewal::Failed | Renewal::Crowded => {
                    let detail = "the keys of the token's issuer cannot be fetched now; try again";
                    return Err(Denial::Unavailable { reason: "keys-unavailable", detail });
                }
            }
        }
        Err(self.try_issuers(unverified).err().unwrap_or(denial))
    }

    pub(super) fn check_expired(&self, identity: &Identity, now_ms: u64) -> Result<(), Denial> {
        let Some(expires_ms) = identity.expires_at_ms else { return Ok(()) };
        self.rules.check_expired(expires_ms, now_ms)
    }

    pub(super) fn check_revoked(&self, identity: &Identity, now_ms: u64) -> Result<(), Denial> {
        let revocations = self.revocations.read().unwrap_or_else(sluice_failure::poisoned);
        if revocations.refuses(&identity.names(), now_ms) {
            return Err(Denial::invalid("revoked", "these credentials are revoked"));
        }
        Ok(())
    }

    pub(super) fn key_holder(&self, key: &str) -> Result<Identity, Denial> {
        let hash = ApiKeyHash::of(key);
        let found = self.api_keys.iter().find(|(known, _)| known.hash.is(&hash));
        let (known, grants) =
            found.ok_or_else(|| Denial::invalid("api-key", "there is no such API key (and it is no JWT)"))?;
        Ok(Identity {
            subject: Some(format!("{KEY_SUBJECT_PREFIX}{}", known.name).into()),
            token_id: None,
            issuer: None,
            issued_at_s: None,
            expires_at_ms: None,
            grants: grants.clone(),
        })
    }

    pub(super) fn identity(&self, claims: Claims) -> Identity {
        let Claims { subject, token_id, issuer, issued_at_s, expires_at_ms, mut grants } = claims;
        let who = subject.as_deref();
        grants.subscribe.extend(self.subject_subscribe.iter().filter_map(|of| of.for_subject(who)));
        grants.publish.extend(self.subject_publish.iter().filter_map(|of| of.for_subject(who)));
        grants.add(&self.anonymous);
        Identity {
            subject: subject.map(Into::into),
            token_id: token_id.map(Into::into),
            issuer: issuer.map(Into::into),
            issued_at_s,
            expires_at_ms: Some(expires_at_ms),
            grants: Arc::new(grants),
        }
    }
}
