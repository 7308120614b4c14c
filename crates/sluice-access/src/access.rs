//! The whole judgement about a request: from its credentials to an identity, or to a denial.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::{BoxFuture, join_all};
use sluice_wire::{TopicPattern, TopicTemplate};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::api_key::ApiKeyHash;
use crate::cache::{Verified, digest_of};
use crate::credential::{Places, Request};
use crate::denial::Denial;
use crate::identity::{Grants, Identity};
use crate::issuer::{Issuer, Source};
use crate::jwks::{Fetch, Jwks, Renewal};
use crate::keys::KeyError;
use crate::measure;
use crate::revocation::{Revocation, Revocations};
use crate::settings::{AccessSettings, ApiKeySettings};
use crate::token::{self, ClaimRules, Claims, Unverified, Verdict};

/// Judges who sends a request and what they may do. Clones share it.
#[derive(Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

struct Shared {
    places: Places,
    anonymous: Arc<Grants>,
    subject_subscribe: Vec<TopicTemplate>,
    subject_publish: Vec<TopicTemplate>,
    api_keys: Vec<(ApiKeySettings, Arc<Grants>)>,
    issuers: Vec<Issuer>,
    rules: ClaimRules,
    verified: Verified,
    /// Counts changes of any keys.
    keys: AtomicU64,
    revocations: RwLock<Revocations>,
    revocations_known: AtomicBool,
    revoked: watch::Sender<u64>,
    files_every: std::time::Duration,
}

impl Access {
    /// What `settings` say; `fetch` gets key sets.
    ///
    /// # Errors
    ///
    /// The number of the first issuer, from 0, whose keys cannot be used, and why.
    pub fn new(settings: AccessSettings, fetch: &Fetch) -> Result<Self, (usize, KeyError)> {
        token::install();
        measure::register();
        let mut issuers = Vec::with_capacity(settings.issuers.len());
        for (at, issuer) in settings.issuers.into_iter().enumerate() {
            let jwks = |url: &str| Jwks::new(url.to_owned(), fetch.clone(), settings.jwks);
            issuers.push(Issuer::begin(issuer, jwks).map_err(|error| (at, error))?);
        }
        let with_open = |grants: &Grants| {
            let mut grants = grants.clone();
            grants.add(&settings.anonymous);
            Arc::new(grants)
        };
        let api_keys = settings.api_keys.into_iter().map(|key| {
            let grants = with_open(&key.grants);
            (key, grants)
        });
        let shared = Shared {
            places: Places {
                cookie: settings.cookie,
                cookie_origins: settings.cookie_origins,
                query: settings.query_token,
            },
            api_keys: api_keys.collect(),
            anonymous: Arc::new(settings.anonymous),
            subject_subscribe: settings.subject_subscribe,
            subject_publish: settings.subject_publish,
            issuers,
            rules: ClaimRules {
                leeway: settings.leeway,
                grants_claim: settings.grants_claim,
                scope_prefix: settings.scope_prefix,
            },
            verified: Verified::default(),
            keys: AtomicU64::new(1),
            revocations: RwLock::default(),
            revocations_known: AtomicBool::new(!settings.await_revocations),
            revoked: watch::Sender::new(0),
            files_every: settings.files_every,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// No credentials, and these topics open to everybody.
    #[must_use]
    pub fn open(subscribe: Vec<TopicPattern>, publish: Vec<TopicPattern>) -> Self {
        let anonymous = Grants { subscribe, publish };
        let nothing: Fetch =
            Arc::new(|_| -> BoxFuture<'static, _> { Box::pin(async { Err(String::new()) }) });
        let settings = AccessSettings { anonymous, ..AccessSettings::default() };
        match Self::new(settings, &nothing) {
            Ok(access) => access,
            Err(_) => unreachable!("there is no issuer whose keys could be wrong"),
        }
    }

    /// Who sends `request`, as of `now_ms`. Waits where keys must be fetched first.
    ///
    /// # Errors
    ///
    /// Why its credentials do not count. Whoever has none is nobody in particular, and no error.
    pub async fn identify(&self, request: &Request<'_>, now_ms: u64) -> Result<Identity, Denial> {
        let judged = self.judge(request, now_ms).await;
        judged.inspect_err(measure::refused)
    }

    /// Counts a denial that came of an identity, as the others are counted.
    pub fn count(&self, denial: &Denial) {
        measure::refused(denial);
    }

    /// Whether there are any credentials that could count.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        !self.shared.issuers.is_empty() || !self.shared.api_keys.is_empty()
    }

    /// Takes in what the log of revocations holds next.
    pub fn revoke(&self, revocation: Revocation, now_ms: u64) {
        let shared = &self.shared;
        let mut revocations = shared.revocations.write().unwrap_or_else(PoisonError::into_inner);
        let refuses = revocations.apply(revocation, now_ms);
        drop(revocations);
        if refuses {
            shared.revoked.send_modify(|count| *count += 1);
        }
    }

    /// All revocations that are in force were taken in.
    pub fn revocations_known(&self) {
        self.shared.revocations_known.store(true, Ordering::Release);
    }

    /// Whether that is so.
    #[must_use]
    pub fn are_revocations_known(&self) -> bool {
        self.shared.revocations_known.load(Ordering::Acquire)
    }

    /// Changes whenever somebody was revoked.
    #[must_use]
    pub fn watch_revoked(&self) -> watch::Receiver<u64> {
        self.shared.revoked.subscribe()
    }

    /// Whether somebody who was let in is refused by now.
    #[must_use]
    pub fn is_revoked(&self, subject: Option<&str>, token_id: Option<&str>, now_ms: u64) -> bool {
        let revocations = self.shared.revocations.read().unwrap_or_else(PoisonError::into_inner);
        revocations.refuses(subject, token_id, now_ms)
    }

    /// At most `limit` revocations in force, those that end first first.
    #[must_use]
    pub fn revocations(&self, now_ms: u64, limit: usize) -> Vec<Revocation> {
        self.shared.revocations.read().unwrap_or_else(PoisonError::into_inner).list(now_ms, limit)
    }

    /// Forgets revocations whose time has passed; how many are in force.
    pub fn prune_revocations(&self, now_ms: u64) -> usize {
        let mut revocations = self.shared.revocations.write().unwrap_or_else(PoisonError::into_inner);
        let in_force = revocations.prune(now_ms);
        measure::revocations(in_force);
        in_force
    }

    /// Keeps keys as they are elsewhere: reads files that change, fetches key sets. Never ends by itself.
    pub async fn keep(self) {
        let Shared { issuers, keys, files_every, .. } = self.shared.as_ref();
        let files = async {
            let mut looks = interval(*files_every);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                issuers.iter().for_each(|issuer| issuer.look_at_file(keys));
            }
        };
        let sets = join_all(issuers.iter().filter_map(|issuer| match &issuer.source {
            Source::Jwks(jwks) => Some(jwks.keep(issuer, keys)),
            Source::Fixed | Source::File { .. } => None,
        }));
        tokio::join!(files, sets);
    }

    async fn judge(&self, request: &Request<'_>, now_ms: u64) -> Result<Identity, Denial> {
        let shared = &self.shared;
        // Where nothing could be judged, what is sent is meant for somebody else.
        let credentials = if self.has_credentials() { shared.places.find(request)? } else { None };
        let Some(credentials) = credentials else { return Ok(Identity::anonymous(shared.anonymous.clone())) };
        if !self.are_revocations_known() {
            let detail = "this node does not know yet who is revoked; try again";
            return Err(Denial::Unavailable { reason: "revocations-unknown", detail });
        }
        let identity = if credentials.contains('.') || shared.api_keys.is_empty() {
            self.bearer_of(&credentials, now_ms).await?
        } else {
            shared.key_holder(&credentials)?
        };
        let revocations = shared.revocations.read().unwrap_or_else(PoisonError::into_inner);
        if revocations.refuses_identity(&identity, now_ms) {
            return Err(Denial::invalid("revoked", "these credentials are revoked"));
        }
        Ok(identity)
    }

    async fn bearer_of(&self, token: &str, now_ms: u64) -> Result<Identity, Denial> {
        let shared = &self.shared;
        let (digest, keys) = (digest_of(token), shared.keys.load(Ordering::Acquire));
        if let Some(known) = shared.verified.get(&digest, keys) {
            let expires_at_ms = known.expires_at_ms.unwrap_or(u64::MAX);
            let leeway_ms = u64::try_from(shared.rules.leeway.as_millis()).unwrap_or(u64::MAX);
            if now_ms < expires_at_ms.saturating_add(leeway_ms) {
                return Ok(known);
            }
        }
        let unverified = Unverified::parse(token)?;
        let (claims, issuer) = match shared.try_issuers(&unverified) {
            Ok(signed) => signed,
            Err(denial) => shared.try_again(&unverified, denial).await?,
        };
        let claims = shared.rules.judge(&claims, &issuer.settings.audience, now_ms)?;
        let identity = shared.identity(claims);
        shared.verified.put(digest, identity.clone(), keys);
        Ok(identity)
    }
}

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
    fn try_issuers(&self, unverified: &Unverified<'_>) -> Result<(String, &Issuer), Denial> {
        let issuers = self.issuers_of(unverified);
        if issuers.is_empty() {
            return Err(Denial::invalid("issuer", "no issuer of this name (iss) is configured"));
        }
        let mut worst = Verdict::UnknownKey;
        for issuer in issuers {
            match unverified.verify(issuer.keys().iter()) {
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
                "claims",
                "a part of the token is not of its form, or one of its names is there twice",
            ),
            Verdict::Forged | Verdict::Signed(_) => {
                Denial::invalid("signature", "the token's signature does not fit any key of its issuer")
            }
        })
    }

    /// Once more with newer keys, where a key that is not known may be one of those.
    async fn try_again(
        &self,
        unverified: &Unverified<'_>,
        denial: Denial,
    ) -> Result<(String, &Issuer), Denial> {
        let no_key = denial.reason() == "unknown-key";
        for issuer in self.issuers_of(unverified) {
            let Source::Jwks(jwks) = &issuer.source else { continue };
            // A set without names says nothing of a key that is new but that its signatures fit none.
            if !no_key && !issuer.keys().is_empty() {
                continue;
            }
            match jwks.renew(issuer, &self.keys).await {
                Renewal::Fetched => {
                    if let Ok(signed) = self.try_issuers(unverified) {
                        return Ok(signed);
                    }
                }
                Renewal::Failed | Renewal::Crowded => {
                    let detail = "the keys of the token's issuer cannot be fetched now; try again";
                    return Err(Denial::Unavailable { reason: "keys-unavailable", detail });
                }
            }
        }
        Err(self.try_issuers(unverified).err().unwrap_or(denial))
    }

    fn key_holder(&self, key: &str) -> Result<Identity, Denial> {
        let hash = ApiKeyHash::of(key);
        let found = self.api_keys.iter().find(|(known, _)| known.hash.is(&hash));
        let (known, grants) =
            found.ok_or_else(|| Denial::invalid("api-key", "there is no such API key (and it is no JWT)"))?;
        Ok(Identity {
            subject: Some(format!("key:{}", known.name).into()),
            token_id: None,
            expires_at_ms: None,
            grants: grants.clone(),
        })
    }

    fn identity(&self, claims: Claims) -> Identity {
        let Claims { subject, token_id, expires_at_ms, mut grants } = claims;
        let who = subject.as_deref();
        grants.subscribe.extend(self.subject_subscribe.iter().filter_map(|of| of.for_subject(who)));
        grants.publish.extend(self.subject_publish.iter().filter_map(|of| of.for_subject(who)));
        grants.add(&self.anonymous);
        Identity {
            subject: subject.map(Into::into),
            token_id: token_id.map(Into::into),
            expires_at_ms: Some(expires_at_ms),
            grants: Arc::new(grants),
        }
    }
}

impl Grants {
    fn add(&mut self, more: &Self) {
        self.subscribe.extend_from_slice(&more.subscribe);
        self.publish.extend_from_slice(&more.publish);
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { issuers, api_keys, .. } = self.shared.as_ref();
        f.debug_struct("Access")
            .field("issuers", issuers)
            .field("api_keys", &api_keys.len())
            .finish_non_exhaustive()
    }
}
