//! Reading the log of revocations, writing again what it has lost, and removing what it needs no more.
//!
//! Reading goes on from the last entry, which is read again each time: when it is no longer there, the log is not the
//! one that was read, and all of it is read anew. An entry is needed until its own end, and only the last one about the
//! same; what is older than all that is needed goes. So no setting decides what is removed.

use std::collections::HashMap;
use std::time::Duration;

use sluice_access::{About, Revocation};
use sluice_broker::{BrokerError, now_ms};
use sluice_runtime::telemetry::metric;
use sluice_wire::{Event, EventId, NewEvent};
use tokio::time::Instant;

use super::Revocations;

/// Looks from one reading of the whole log to the next.
const LOOKS_PER_ROUND: u32 = 240;
const PAGE_EVENTS: usize = 500;
/// Within this time one of the processes that know of a lost entry writes it again; the others then find it.
const RESTORED_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a process that may not write does not try again.
const REFUSED_FOR: Duration = Duration::from_secs(120);
/// Entries that are needed no more and may stay between those that are.
const STALE_MAX: usize = 1_024;

/// Where the reading of the log is.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The last entry that was read.
    pub(super) position: EventId,
    looks_left: u32,
    /// When entries that the log lacks are to be written again.
    restore_at: Option<Instant>,
    /// Writing was refused and is not tried before.
    refused_until: Option<Instant>,
}

/// The latest entry about each thing, and the id by which it stands in the log.
type Latest = HashMap<About, (Revocation, EventId)>;

impl Revocations {
    /// Takes in what is new, or all of the log where that is due.
    pub(super) async fn look(&self, reader: &mut Reader) -> Result<(), BrokerError> {
        let goes_on =
            reader.looks_left > 0 && reader.position != EventId::ZERO && reader.restore_at.is_none();
        if goes_on && let Some(position) = self.read_on(reader.position).await? {
            reader.position = position;
            reader.looks_left -= 1;
            return Ok(());
        }
        let (latest, entries, end) = self.read_all().await?;
        reader.position = end;
        reader.looks_left = LOOKS_PER_ROUND;
        self.restore(reader, &latest).await?;
        if self.settings.trims && reader.restore_at.is_none() {
            // Whatever stays does no harm, and the next round tries again.
            if let Err(error) = self.tidy(&latest, entries, end).await {
                tracing::debug!(%error, "cannot remove old entries of the log of revocations");
            }
        }
        Ok(())
    }

    /// Takes in everything that was written, by whichever process, before this was called.
    pub(super) async fn catch_up(&self) -> Result<(), BrokerError> {
        let position = *self.read_to.lock().unwrap_or_else(sluice_failure::poisoned);
        if position == EventId::ZERO || self.read_on(position).await?.is_none() {
            self.read_all().await?;
        }
        Ok(())
    }

    /// Takes in what stands behind the entry `position`; the new position, or `None` if there is no such entry.
    async fn read_on(&self, position: EventId) -> Result<Option<EventId>, BrokerError> {
        let (mut latest, mut last, mut from) = (Latest::new(), position, position);
        loop {
            let page = self.broker.read(&self.topic, from, EventId::MAX, PAGE_EVENTS).await?;
            if from == position && page.first != Some(position) {
                return Ok(None);
            }
            page.events
                .iter()
                .filter(|event| event.id > position)
                .for_each(|event| collect(&mut latest, event));
            last = page.last.unwrap_or(last);
            if !page.more {
                break;
            }
            from = last.after();
        }
        self.take_in(&latest);
        Ok(Some(last))
    }

    /// Takes in the whole log: the latest entry about each thing, how many entries there are, and the last of them.
    async fn read_all(&self) -> Result<(Latest, usize, EventId), BrokerError> {
        let (mut latest, mut entries, mut last) = (Latest::new(), 0, EventId::ZERO);
        loop {
            let page = self.broker.read(&self.topic, last.after(), EventId::MAX, PAGE_EVENTS).await?;
            page.events.iter().for_each(|event| collect(&mut latest, event));
            entries += page.events.len() + page.skipped.len();
            last = page.last.unwrap_or(last);
            if !page.more {
                break;
            }
        }
        self.take_in(&latest);
        Ok((latest, entries, last))
    }

    /// The last about each thing alone: an earlier one might refuse for a moment whom a later one lets in.
    fn take_in(&self, latest: &Latest) {
        for (revocation, _) in latest.values() {
            self.access.revoke(revocation.clone(), now_ms());
        }
    }

    /// Writes what the log lacks again: at the second look that finds it missing, at a random moment, so that mostly
    /// one process does it for all. Several that do it at once do no harm.
    async fn restore(&self, reader: &mut Reader, latest: &Latest) -> Result<(), BrokerError> {
        let mut lost = self.access.all_revocations();
        let now_ms = now_ms();
        lost.retain(|known| {
            let written = latest.get(&known.about());
            known.end_ms() > now_ms && written.is_none_or(|(written, _)| written.made_ms < known.made_ms)
        });
        let now = Instant::now();
        if lost.is_empty() || reader.refused_until.is_some_and(|until| now < until) {
            reader.restore_at = None;
            return Ok(());
        }
        let due = *reader.restore_at.get_or_insert_with(|| now + RESTORED_WITHIN.mul_f64(fastrand::f64()));
        if now < due {
            return Ok(());
        }
        reader.restore_at = None;
        match self.write_again(&lost).await {
            Ok(()) => {
                tracing::warn!(revocations = lost.len(), "the log had lost revocations; wrote them again");
                metric::AUTH_REVOCATIONS_RESTORED.counter(&[]).increment(lost.len() as u64);
                Ok(())
            }
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                reader.refused_until = Some(now + REFUSED_FOR);
                tracing::warn!(
                    revocations = lost.len(), %error,
                    "the log has lost revocations and this process may not write them; a publisher has to"
                );
                Ok(())
            }
        }
    }

    async fn write_again(&self, revocations: &[Revocation]) -> Result<(), BrokerError> {
        for some in revocations.chunks(PAGE_EVENTS) {
            let events: Vec<NewEvent> =
                some.iter().map(|known| NewEvent::new(self.topic.clone(), known.to_json())).collect();
            for appended in self.broker.append(&events).await {
                appended?;
            }
        }
        Ok(())
    }

    /// Removes the entries before the first that is needed. Where many that are not needed stand behind it, those that
    /// are needed are written again at the end, so that the next reading can remove the rest.
    async fn tidy(&self, latest: &Latest, entries: usize, end: EventId) -> Result<(), BrokerError> {
        let now_ms = now_ms();
        let needed = latest.values().filter(|(revocation, _)| revocation.end_ms() > now_ms);
        let first = needed.clone().map(|(_, id)| *id).min();
        if entries > 0 {
            self.broker.trim(&self.topic, first.unwrap_or_else(|| end.after())).await?;
        }
        let needed: Vec<Revocation> = needed.map(|(revocation, _)| revocation.clone()).collect();
        let stale = entries.saturating_sub(needed.len());
        // Mostly one process does it at a time.
        if stale > STALE_MAX && stale > needed.len() && fastrand::u8(..4) == 0 {
            self.write_again(&needed).await?;
        }
        Ok(())
    }
}

/// Takes an entry of the log into account.
fn collect(latest: &mut Latest, event: &Event) {
    let Some(revocation) = Revocation::from_json(&event.data, event.id.ms, now_ms()) else {
        tracing::warn!(id = %event.id, "skipping an entry of the log of revocations that is not valid");
        return;
    };
    let about = revocation.about();
    let is_later = latest.get(&about).is_none_or(|(known, _)| known.made_ms <= revocation.made_ms);
    if is_later {
        latest.insert(about, (revocation, event.id));
    }
}
