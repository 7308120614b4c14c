//! A circuit for each partition of the broker that is, or just was, unavailable. Pure, as [`Circuit`] is.
//!
//! A partition without a circuit here passes. One that closed is forgotten as soon as no flush from before its
//! closing is under way, since only such a flush could open it wrongly; so what is held is bounded by the
//! partitions that are away, and their probers are as many.

use std::collections::HashMap;
use std::time::Instant;

use sluice_broker::Partition;

use crate::CircuitSettings;
use crate::circuit::{Circuit, Open};

#[derive(Debug)]
pub(crate) struct Circuits {
    settings: CircuitSettings,
    by_partition: HashMap<Partition, Circuit>,
    /// When each flush under way began, in no order; as many as there are lanes, at most.
    under_way: Vec<Instant>,
}

impl Circuits {
    pub(crate) fn new(settings: CircuitSettings) -> Self {
        Self { settings, by_partition: HashMap::new(), under_way: Vec::new() }
    }

    /// Whether every partition passes, so that nobody need know which is asked.
    pub(crate) fn all_pass(&self) -> bool {
        self.by_partition.is_empty()
    }

    /// Whether the broker may be asked about `partition`.
    pub(crate) fn check(&self, partition: &Partition, now: Instant) -> Result<(), Open> {
        self.by_partition.get(partition).map_or(Ok(()), |circuit| circuit.check(now))
    }

    /// Whether the broker may be asked about any of `partitions`; an error is of the one that is asked again first.
    pub(crate) fn check_any(&self, partitions: &[Partition], now: Instant) -> Result<(), Open> {
        let mut first: Option<Open> = None;
        for partition in partitions {
            let Err(open) = self.check(partition, now) else { return Ok(()) };
            first = Some(first.filter(|first| first.retry_after <= open.retry_after).unwrap_or(open));
        }
        first.map_or(Ok(()), Err)
    }

    /// A flush begins.
    pub(crate) fn flush_began(&mut self, now: Instant) {
        self.under_way.push(now);
    }

    /// The flush that began at `began` found `partition` unavailable. Answers whether this opened its circuit,
    /// which then needs a prober.
    pub(crate) fn flush_failed(
        &mut self,
        partition: &Partition,
        began: Instant,
        now: Instant,
        why: &str,
    ) -> bool {
        let new = || Circuit::new(self.settings.clone());
        self.by_partition.entry(partition.clone()).or_insert_with(new).flush_failed(began, now, why)
    }

    /// The flush that began at `began` is over, and what it found was told.
    pub(crate) fn flush_ended(&mut self, began: Instant) {
        if let Some(at) = self.under_way.iter().position(|other| *other == began) {
            self.under_way.swap_remove(at);
        }
        self.forget_closed();
    }

    /// See [`Circuit::probe_failed`].
    pub(crate) fn probe_failed(&mut self, partition: &Partition, now: Instant, chance: f64, why: &str) {
        if let Some(circuit) = self.by_partition.get_mut(partition) {
            circuit.probe_failed(now, chance, why);
        }
    }

    /// A probe of `partition` was answered: its circuit closes.
    pub(crate) fn probe_answered(&mut self, partition: &Partition, now: Instant) {
        if let Some(circuit) = self.by_partition.get_mut(partition) {
            circuit.probe_answered(now);
        }
        self.forget_closed();
    }

    /// Those that let nothing through, and why.
    pub(crate) fn open(&self, now: Instant) -> Vec<(Partition, Open)> {
        let refused = |(partition, circuit): (&Partition, &Circuit)| {
            Some((partition.clone(), circuit.check(now).err()?))
        };
        self.by_partition.iter().filter_map(refused).collect()
    }

    /// When the next probe of `partition` is due.
    pub(crate) fn probe_at(&self, partition: &Partition) -> Option<Instant> {
        self.by_partition.get(partition)?.probe_at()
    }

    fn forget_closed(&mut self) {
        let oldest = self.under_way.iter().min();
        self.by_partition.retain(|_, circuit| {
            circuit.probe_at().is_some() || oldest.is_some_and(|oldest| circuit.closed_after(*oldest))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn circuits() -> (Circuits, [Partition; 2], Instant) {
        let settings = CircuitSettings { pause_min: 100 * MS, pause_max: 500 * MS, probe_timeout: 50 * MS };
        (Circuits::new(settings), ["a", "b"].map(Partition::named), Instant::now())
    }

    #[test]
    fn one_partition_is_refused_and_the_others_pass() {
        let (mut circuits, [a, b], t) = circuits();
        assert!(circuits.all_pass());
        circuits.flush_began(t);
        assert!(circuits.flush_failed(&a, t, t + MS, "refused"));
        assert!(!circuits.flush_failed(&a, t, t + MS, "refused"), "it has its prober");
        circuits.flush_ended(t);
        let open = Open { why: "refused".into(), retry_after: 100 * MS };
        assert_eq!((circuits.check(&a, t + MS), circuits.check(&b, t + MS)), (Err(open), Ok(())));
        assert_eq!(circuits.check_any(&[a.clone(), b.clone()], t + MS), Ok(()));
        assert_eq!((circuits.probe_at(&a), circuits.probe_at(&b)), (Some(t + 101 * MS), None));
        circuits.probe_failed(&a, t + 101 * MS, 0.0, "still");
        assert_eq!(circuits.probe_at(&a), Some(t + 301 * MS), "each has its own pauses");
        assert!(circuits.flush_failed(&b, t + MS, t + MS, "refused"), "and its own prober");
        assert_eq!(circuits.probe_at(&b), Some(t + 101 * MS));
        let either = circuits.check_any(&[a.clone(), b.clone()], t + MS).unwrap_err();
        assert_eq!(Err(either), circuits.check(&b, t + MS), "it is asked again first");
        circuits.probe_answered(&a, t + 301 * MS);
        assert_eq!(circuits.check(&a, t + 301 * MS), Ok(()));
        assert!(circuits.check(&b, t + 301 * MS).is_err() && !circuits.all_pass());
        circuits.probe_answered(&b, t + 301 * MS);
        assert!(circuits.all_pass());
    }

    #[test]
    fn one_that_closed_is_remembered_while_a_flush_from_before_is_under_way() {
        let (mut circuits, [a, b], t) = circuits();
        for began in [t, t + 5 * MS, t + 5 * MS] {
            circuits.flush_began(began);
        }
        circuits.flush_failed(&a, t, t + 6 * MS, "refused");
        circuits.flush_ended(t);
        circuits.probe_answered(&a, t + 10 * MS);
        assert!(!circuits.flush_failed(&a, t + 5 * MS, t + 20 * MS, "late"));
        circuits.flush_ended(t + 5 * MS);
        assert!(!circuits.flush_failed(&a, t + 5 * MS, t + 20 * MS, "later"), "one is under way still");
        assert_eq!(circuits.check(&a, t + 20 * MS), Ok(()));
        circuits.flush_began(t + 15 * MS);
        circuits.flush_ended(t + 5 * MS);
        assert!(circuits.all_pass(), "what is under way began after it");
        assert!(circuits.flush_failed(&a, t + 15 * MS, t + 20 * MS, "new"));
        circuits.flush_ended(t + 15 * MS);
        assert_eq!(circuits.check(&b, t + 20 * MS), Ok(()));
    }

    #[test]
    fn however_many_partitions_come_and_go_none_is_kept() {
        let (mut circuits, [a, _], t) = circuits();
        circuits.flush_began(t);
        circuits.flush_failed(&a, t, t, "refused");
        circuits.flush_ended(t);
        for n in 0..100_u32 {
            let (began, vanished) = (t + n * MS, Partition::named(n.to_string()));
            circuits.flush_began(began);
            circuits.flush_failed(&vanished, began, began, "refused");
            circuits.flush_ended(began);
            circuits.probe_answered(&vanished, began);
        }
        assert_eq!(circuits.by_partition.len(), 1);
        assert!(circuits.under_way.is_empty() && circuits.check(&a, t).is_err());
    }
}
