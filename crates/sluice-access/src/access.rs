//! The whole judgement about a request: from its credentials to an identity, or to a denial.

mod judging;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use sluice_failure::{Place, contain_call};
use sluice_wire::{TopicPattern, TopicTemplate};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::cache::{Verified, digest_of};
use crate::credential::{Places, Request};
use crate::denial::Denial;
use crate::identity::{Grants, Identity, Names};
use crate::issuer::{Issuer, Source};
use crate::jwks::{Fetch, Jwks};
use crate::keys::KeyError;
use crate::measure;
use crate::revocation::{About, Revocation, Revocations, Whom};
use crate::settings::{AccessSettings, ApiKeySettings};
use crate::token::{self, ClaimRules, Unverified};

/// Between two looks at how old the key sets are.
const AGES_EVERY: Duration = Duration::from_secs(5);

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
    files_every: Duration,
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
        let anonymous = Grants { subscribe, publish, revoke: false };
        let nothing: Fetch =
            Arc::new(|_| -> BoxFuture<'static, _> { Box::pin(async { Err(String::new()) }) });
        let settings = AccessSettings { anonymous, ..AccessSettings::default() };
        match Self::new(settings, &nothing) {
            Ok(access) => access,
            #[expect(
                clippy::unreachable,
                reason = "settings without an issuer have no keys that could be refused"
            )]
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

    /// Judges again a caller who was let in earlier, as of `now_ms`.
    ///
    /// # Errors
    ///
    /// When its token has expired or it was revoked meanwhile.
    pub fn recheck(&self, identity: &Identity, now_ms: u64) -> Result<(), Denial> {
        let judged = self.shared.check_expired(identity, now_ms);
        judged.and_then(|()| self.shared.check_revoked(identity, now_ms)).inspect_err(measure::refused)
    }

    /// By what the credentials of `request` are recognised when they come back: their digest. `None` if it has none that
    /// count.
    #[must_use]
    pub fn fingerprint(&self, request: &Request<'_>) -> Option<[u8; 32]> {
        let credentials = self.shared.places.find(request).ok().flatten();
        credentials.map(|credentials| digest_of(&credentials))
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
        let mut revocations = shared.revocations.write().unwrap_or_else(sluice_failure::poisoned);
        let news = revocations.apply(revocation, now_ms);
        drop(revocations);
        if news {
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
    pub fn is_revoked(&self, who: &Names<'_>, now_ms: u64) -> bool {
        let revocations = self.shared.revocations.read().unwrap_or_else(sluice_failure::poisoned);
        revocations.refuses(who, now_ms)
    }

    /// At most `limit` revocations in force, those that end first first.
    #[must_use]
    pub fn revocations(&self, now_ms: u64, limit: usize) -> Vec<Revocation> {
        self.shared.revocations.read().unwrap_or_else(sluice_failure::poisoned).list(now_ms, limit)
    }

    /// Those in force under one name, for whichever issuer.
    #[must_use]
    pub fn revocations_of(&self, whom: &Whom, now_ms: u64) -> Vec<Revocation> {
        self.shared.revocations.read().unwrap_or_else(sluice_failure::poisoned).of(whom, now_ms)
    }

    /// The latest revocation about something, in force or not.
    #[must_use]
    pub fn latest_revocation(&self, about: &About) -> Option<Revocation> {
        self.shared.revocations.read().unwrap_or_else(sluice_failure::poisoned).latest(about)
    }

    /// Every revocation that is known and on which something depends still.
    #[must_use]
    pub fn all_revocations(&self) -> Vec<Revocation> {
        self.shared.revocations.read().unwrap_or_else(sluice_failure::poisoned).all()
    }

    /// Forgets revocations on which nothing depends any more; how many are in force.
    pub fn prune_revocations(&self, now_ms: u64) -> usize {
        let mut revocations = self.shared.revocations.write().unwrap_or_else(sluice_failure::poisoned);
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
                for issuer in issuers {
                    let _ = contain_call(Place::Upkeep, || issuer.look_at_file(keys));
                }
            }
        };
        let sets = join_all(issuers.iter().filter_map(|issuer| match &issuer.source {
            Source::Jwks(jwks) => Some(jwks.keep(issuer, keys)),
            Source::Fixed | Source::File { .. } => None,
        }));
        let ages = async {
            let mut looks = interval(AGES_EVERY);
            loop {
                looks.tick().await;
                measure::jwks_age(self.oldest_key_set());
            }
        };
        tokio::join!(files, sets, ages);
    }

    /// The age of the key set that was fetched longest ago, from the beginning where one never was; zero where there
    /// is none.
    #[must_use]
    pub fn oldest_key_set(&self) -> Duration {
        let ages = self.shared.issuers.iter().filter_map(|issuer| match &issuer.source {
            Source::Jwks(jwks) => Some(jwks.age()),
            Source::Fixed | Source::File { .. } => None,
        });
        ages.max().unwrap_or_default()
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
        shared.check_revoked(&identity, now_ms)?;
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
        unverified.check_expired(&shared.rules, now_ms)?;
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

impl Grants {
    fn add(&mut self, more: &Self) {
        self.subscribe.extend_from_slice(&more.subscribe);
        self.publish.extend_from_slice(&more.publish);
        self.revoke |= more.revoke;
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
