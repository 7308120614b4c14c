//! Key sets that are fetched: now and then, and when no key that is known fits a token that may be of a new one.
//!
//! The address comes from the configuration and from nowhere else. At most one fetch is under way for an issuer, and
//! such tokens ask for one at a bounded rate, whoever sends them: they wait for the next that may begin, so that their
//! refusal is always about a set that is newer than the request. What was fetched last stays in use while the other
//! side is away.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Quick, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sluice_diagnostics::{Outage, Repeated, millis};
use sluice_failure::{Panicked, Place, contain};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use crate::issuer::Issuer;
use crate::keys;
use crate::measure;
use crate::settings::JwksSettings;

/// Gets what is at an address; whoever provides it bounds time, size and where it may lead.
pub type Fetch = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

/// Requests that may wait for one fetch.
const WAITING_MAX: usize = 256;
/// The first wait after a failure; it doubles up to the usual interval.
const RETRY: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Jwks {
    url: String,
    fetch: Fetch,
    settings: JwksSettings,
    /// Held while a fetch is under way.
    last: Mutex<Last>,
    /// When the keys in use were fetched; before the first time, when this process began to want them.
    fresh: Quick<Instant>,
    /// Fetches that have begun.
    begun: AtomicU64,
    waiting: Semaphore,
}

#[derive(Default)]
struct Last {
    /// When the last fetch began.
    began: Option<Instant>,
    /// Keys were fetched once.
    succeeded: bool,
    /// Fetches that failed since.
    failures: u32,
    outage: Outage,
}

/// What came of asking for keys that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The set was fetched after the question.
    Fetched,
    /// It could not be fetched.
    Failed,
    /// Too many are waiting for it.
    Crowded,
}

impl Jwks {
    pub(crate) fn new(url: String, fetch: Fetch, settings: JwksSettings) -> Self {
        let waiting = Semaphore::new(WAITING_MAX);
        Self {
            url,
            fetch,
            settings,
            last: Mutex::default(),
            fresh: Quick::new(Instant::now()),
            begun: AtomicU64::new(0),
            waiting,
        }
    }

    /// Fetches the set for a token whose key is not known.
    pub(crate) async fn renew(&self, issuer: &Issuer, state: &AtomicU64) -> Renewal {
        let Ok(_waiting) = self.waiting.try_acquire() else { return Renewal::Crowded };
        // A fetch that has begun already may have begun before the key was made: the next one counts.
        let begun = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        // Whoever holds the lock has no fetch under way.
        if self.begun.load(Ordering::Acquire) == begun {
            if let Some(began) = last.began {
                sleep_until(began + self.settings.unknown_key_interval).await;
            }
            self.fetch_into(issuer, &mut last, state).await;
        }
        if last.failures == 0 { Renewal::Fetched } else { Renewal::Failed }
    }

    /// Fetches the set now and then, for as long as it is polled.
    pub(crate) async fn keep(&self, issuer: &Issuer, state: &AtomicU64) {
        loop {
            let next = {
                let mut last = self.last.lock().await;
                let due = last.due(self.settings.refresh);
                if due.is_none_or(|due| due <= Instant::now()) {
                    self.fetch_into(issuer, &mut last, state).await;
                }
                last.due(self.settings.refresh)
            };
            let soon = Instant::now() + Duration::from_secs(5);
            sleep_until(next.map_or(soon, |next| next.min(soon))).await;
        }
    }

    /// How long ago the keys in use were fetched, or asked for in vain from the beginning.
    pub(crate) fn age(&self) -> Duration {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    async fn fetch_into(&self, issuer: &Issuer, last: &mut Last, state: &AtomicU64) {
        self.begun.fetch_add(1, Ordering::AcqRel);
        last.began = Some(Instant::now());
        // What an issuer answers must not end the process, whatever it does to the code that reads it.
        let keys = contain(Place::Upkeep, async {
            let json = timeout(self.settings.timeout, (self.fetch)(self.url.clone()))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} ms", millis(self.settings.timeout))))?;
            if json.len() > self.settings.bytes_max {
                return Err(format!("larger than {} bytes", self.settings.bytes_max));
            }
            keys::set(&json, &issuer.settings.algorithms).map_err(|error| error.to_string())
        });
        let keys = keys.await.unwrap_or_else(|Panicked| Err("reading it panicked".to_owned()));
        match keys {
            Ok(keys) => {
                match last.outage.ended(now()) {
                    Some(took) => {
                        tracing::info!(url = %self.url, keys = keys.len(), took_ms = millis(took), "fetched the key set again");
                    }
                    None if !last.succeeded => {
                        tracing::info!(url = %self.url, keys = keys.len(), "fetched the key set");
                    }
                    None => {}
                }
                issuer.replace(keys, state);
                measure::keys_loaded("jwks", "loaded");
                (last.succeeded, last.failures) = (true, 0);
                *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            Err(error) => {
                measure::keys_loaded("jwks", "failed");
                last.failures = last.failures.saturating_add(1);
                self.report(last, &error);
            }
        }
    }
}

impl Jwks {
    fn report(&self, last: &mut Last, error: &str) {
        let Some(repeated) = last.outage.failed(now()) else { return };
        let failures = if let Repeated::Still { failures, .. } = repeated { failures } else { 1 };
        let url = &self.url;
        if last.succeeded {
            tracing::warn!(%url, error, failures, "cannot fetch the key set; using the keys fetched last, retrying");
        } else {
            let what = "cannot fetch the key set; no token of this issuer can be verified until it is fetched, retrying";
            tracing::warn!(%url, error, failures, "{what}");
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Last {
    /// When the next fetch is due that nobody has asked for; `None` for at once.
    fn due(&self, interval: Duration) -> Option<Instant> {
        let wait = match self.failures {
            0 => interval,
            failures => RETRY.saturating_mul(1 << (failures - 1).min(10)).min(interval),
        };
        self.began.map(|began| began + wait)
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").field("url", &self.url).finish_non_exhaustive()
    }
}
