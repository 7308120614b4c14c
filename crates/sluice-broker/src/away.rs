//! Partitions whose logs could not be read lately. Whoever reads asks here first, so that a server which is away
//! costs those who share this an attempt now and then, and topics of other servers wait for none of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use sluice_diagnostics::{Outage, Repeated, millis};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::{BrokerError, Partition};

/// How long one attempt keeps others from making theirs, if nothing is heard of it.
const ATTEMPT: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub struct Away {
    partitions: Mutex<HashMap<Partition, Pause>>,
}

/// Whether an error may be mended, and says nothing of the logs that were to be read.
pub(crate) fn is_away(why: &BrokerError) -> bool {
    !matches!(why, BrokerError::Unexpected(_))
}

fn unread(partition: &Partition) -> BrokerError {
    BrokerError::Unavailable(format!("Redis did not answer for {partition} lately"))
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    backoff: Backoff,
    outage: Outage,
}

impl Pause {
    fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        Self { until: Instant::now(), backoff, outage: Outage::default() }
    }
}

impl Away {
    /// What comes of `reading` logs of `partition`; at once an error while it is away and no attempt is due.
    ///
    /// # Errors
    ///
    /// Those of `reading`; [`BrokerError::Unavailable`] when it was not tried.
    pub async fn unless<T>(
        &self,
        partition: &Partition,
        reading: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        if !self.claim(partition) {
            return Err(unread(partition));
        }
        let outcome = reading.await;
        match &outcome {
            Err(why) if why.is_transient() => self.note(partition, &outcome),
            // Of one topic, or of one request.
            _ => self.note(partition, &Ok(())),
        }
        outcome
    }

    /// Whether `partition` may be read now. If it is away and the answer is yes, that is the attempt of this
    /// pause: others are told no for a while, or until its outcome is noted, or it is given back.
    pub(crate) fn claim(&self, partition: &Partition) -> bool {
        let mut partitions = self.partitions();
        let Some(pause) = partitions.get_mut(partition) else { return true };
        let now = Instant::now();
        let due = now >= pause.until;
        if due {
            pause.until = now + ATTEMPT;
        }
        due
    }

    /// Notes what came of a read of `partition`.
    pub(crate) fn note<T>(&self, partition: &Partition, outcome: &Result<T, BrokerError>) {
        let mut partitions = self.partitions();
        match outcome {
            Err(why) if is_away(why) => {
                let pause = partitions.entry(partition.clone()).or_insert_with(Pause::new);
                pause.until = Instant::now() + pause.backoff.next();
                match pause.outage.failed(Instant::now().into_std()) {
                    Some(Repeated::First) => warn!(%partition, error = %why, "cannot read logs; retrying"),
                    Some(Repeated::Still { failures, since }) => {
                        let since_ms = millis(since);
                        warn!(%partition, error = %why, failures, since_ms, "still cannot read logs; retrying");
                    }
                    None => debug!(%partition, error = %why, "still cannot read logs"),
                }
            }
            _ => {
                if let Some(mut pause) = partitions.remove(partition) {
                    let took_ms = pause.outage.ended(Instant::now().into_std()).map(millis);
                    info!(%partition, took_ms, "reading logs again");
                }
            }
        }
    }

    /// Nothing was read after all.
    pub(crate) fn give_back(&self, partition: &Partition) {
        if let Some(pause) = self.partitions().get_mut(partition) {
            pause.until = Instant::now();
        }
    }

    /// A connection stands again: an attempt is due at whatever is away.
    pub(crate) fn retry(&self) {
        self.partitions().values_mut().for_each(|pause| pause.until = Instant::now());
    }

    /// Forgets what is none of `partitions`: nothing is in it any more.
    pub fn keep(&self, partitions: &[Partition]) {
        self.partitions().retain(|partition, _| partitions.contains(partition));
    }

    /// Whether everything can be read, as far as is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions().is_empty()
    }

    /// When the next attempt at `partition` is due; `None` if it is not away.
    pub(crate) fn due(&self, partition: &Partition) -> Option<Instant> {
        self.partitions().get(partition).map(|pause| pause.until)
    }

    /// Whether `partition` may be read now, without claiming the attempt.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unavailable`] while it is away and no attempt is due.
    pub fn check(&self, partition: &Partition) -> Result<(), BrokerError> {
        match self.due(partition) {
            Some(due) if due > Instant::now() => Err(unread(partition)),
            _ => Ok(()),
        }
    }

    pub(crate) fn list(&self) -> Vec<Partition> {
        self.partitions().keys().cloned().collect()
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<Partition, Pause>> {
        self.partitions.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}
