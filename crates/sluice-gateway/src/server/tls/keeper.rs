//! Looks at the files again and again, and serves with what they hold now.
//!
//! Looking at their contents costs two small reads and misses nothing: a mounted Secret is replaced by a
//! link that moves, which watching the files themselves would not see.

use std::sync::PoisonError;

use metrics::{counter, gauge};
use sluice_failure::{Place, contain_call};
use tokio_util::sync::CancellationToken;

use super::files::Contents;
use super::{Current, Tls, TlsError, TlsStatus};

impl Tls {
    /// Follows the files until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        let mut looks = tokio::time::interval(self.shared.settings.reload_interval);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let tls = self.clone();
            let look = move || contain_call(Place::Upkeep, || tls.look());
            // Files may be on a disk that hangs.
            if tokio::task::spawn_blocking(look).await.is_err() {
                return;
            }
        }
    }

    /// Serves with what the files hold from now on, if that is something else and can be served with.
    fn look(&self) {
        let settings = &self.shared.settings;
        match Contents::read(settings) {
            Ok(contents) if self.has(&contents) => self.tell(None),
            Ok(contents) => match contents.config(settings) {
                Ok((config, expires_at_s)) => {
                    let status = TlsStatus { expires_at_s, problem: None };
                    let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
                    *current = Current { config, contents, status };
                    drop(current);
                    counter!("sluice_tls_reloads_total", "outcome" => "ok").increment(1);
                    tracing::info!(expires_at_s, "serving with the new certificate");
                    self.publish();
                }
                Err(error) => self.tell(Some(&error)),
            },
            Err(error) => self.tell(Some(&error)),
        }
    }

    fn has(&self, contents: &Contents) -> bool {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).contents == *contents
    }

    /// Notes what is wrong with the files; said once, not at each look.
    fn tell(&self, error: Option<&TlsError>) {
        let problem = error.map(ToString::to_string);
        let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.status.problem == problem {
            return;
        }
        current.status.problem.clone_from(&problem);
        drop(current);
        if let Some(problem) = problem {
            counter!("sluice_tls_reloads_total", "outcome" => "failed").increment(1);
            tracing::error!(error = problem, "cannot use the new certificate; serving with the old one");
        }
    }

    pub(super) fn publish(&self) {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
        gauge!("sluice_tls_certificate_expiry_timestamp_seconds").set(self.status().expires_at_s as f64);
    }
}
