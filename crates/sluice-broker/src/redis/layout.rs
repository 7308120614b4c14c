//! Which server is in charge of which slots. Pure: what the scout finds out, what requests and subscriptions
//! are routed by. A standalone Redis and the primary that sentinels name are layouts of one shard with every
//! slot.

use crate::Partition;
use crate::url::Address;

/// Slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Names the partition of slots without a server; no address, which has a port.
const UNASSIGNED: &str = "unassigned";

/// The slot of a key or channel.
pub(super) type Slot = u16;

/// A primary and the slots it is in charge of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) primary: Address,
    /// First and last slot of each range, rising and apart.
    pub(super) slots: Vec<(Slot, Slot)>,
}

/// All shards at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Layout {
    /// By address.
    shards: Vec<Shard>,
    /// Of each shard.
    partitions: Vec<Partition>,
    /// First slot, last slot and index of the shard, by slot.
    ranges: Vec<(Slot, Slot, usize)>,
}

impl Layout {
    /// One server that has everything.
    pub(super) fn of_one(primary: Address) -> Self {
        Self::new(vec![Shard { primary, slots: vec![(0, SLOTS - 1)] }])
    }

    /// Shards without slots are left out; of two that claim a slot, the one that stands later loses it.
    pub(super) fn new(mut shards: Vec<Shard>) -> Self {
        shards.retain(|shard| !shard.slots.is_empty());
        shards.sort_by(|a, b| a.primary.cmp(&b.primary));
        shards.dedup_by(|later, kept| {
            later.primary == kept.primary && {
                kept.slots.append(&mut later.slots);
                true
            }
        });
        let numbered = shards.iter().enumerate();
        let claims = numbered.flat_map(|(at, shard)| shard.slots.iter().map(move |(a, b)| (*a, *b, at)));
        let mut claims: Vec<_> = claims.filter(|(first, last, _)| first <= last && *last < SLOTS).collect();
        claims.sort_unstable();
        let mut ranges: Vec<(Slot, Slot, usize)> = Vec::with_capacity(claims.len());
        for (first, last, at) in claims {
            let free = ranges.last().map_or(0, |(_, last, _)| last + 1);
            if last >= free {
                ranges.push((first.max(free), last, at));
            }
        }
        for shard in &mut shards {
            shard.slots.clear();
        }
        for (first, last, at) in &ranges {
            shards[*at].slots.push((*first, *last));
        }
        let partitions = shards.iter().map(|shard| Partition::named(shard.primary.to_string())).collect();
        Self { shards, partitions, ranges }
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Whether nothing is known yet.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The shard in charge of `slot`; none where the cluster has nobody for it.
    pub(super) fn of_slot(&self, slot: Slot) -> Option<&Shard> {
        self.shards.get(self.index(slot)?)
    }

    /// The partition of `slot`: those that nobody is in charge of are one as well.
    pub(super) fn partition(&self, slot: Slot) -> Partition {
        let of_shard = self.index(slot).and_then(|at| self.partitions.get(at));
        of_shard.cloned().unwrap_or_else(|| Partition::named(UNASSIGNED))
    }

    /// The shard that is `partition`; none where the layout has no such shard (any more).
    pub(super) fn of_partition(&self, partition: &Partition) -> Option<&Shard> {
        self.shards.get(self.partitions.iter().position(|known| known == partition)?)
    }

    /// All that slots are in.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        let nobodys = Partition::named(UNASSIGNED);
        let nobodys = Some(nobodys).filter(|partition| self.has_unassigned(partition));
        self.partitions.iter().cloned().chain(nobodys).collect()
    }

    /// Whether `partition` is that of the slots that nobody is in charge of, and there are some.
    pub(super) fn has_unassigned(&self, partition: &Partition) -> bool {
        let assigned: usize = self.ranges.iter().map(|(first, last, _)| usize::from(last - first) + 1).sum();
        assigned < usize::from(SLOTS) && *partition == Partition::named(UNASSIGNED)
    }

    fn index(&self, slot: Slot) -> Option<usize> {
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let (first, _, shard) = self.ranges.get(at)?;
        (*first <= slot).then_some(*shard)
    }

    /// The shard of the primary at `address`.
    pub(super) fn of_primary(&self, address: &Address) -> Option<&Shard> {
        let at = self.shards.binary_search_by(|shard| shard.primary.cmp(address)).ok()?;
        self.shards.get(at)
    }
}

impl Shard {
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

/// The slot of `key`: of what stands between its first `{` and the `}` behind it, if that is anything.
pub(super) fn slot(key: &[u8]) -> Slot {
    let tag = key.iter().position(|b| *b == b'{').and_then(|open| {
        let inner = &key[open + 1..];
        let close = inner.iter().position(|b| *b == b'}')?;
        (close > 0).then(|| &inner[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the cluster specification of Redis has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> Address {
        Address { host: "h".to_owned(), port }
    }

    fn shard(port: u16, slots: &[(Slot, Slot)]) -> Shard {
        Shard { primary: address(port), slots: slots.to_vec() }
    }

    #[test]
    fn slots_are_those_of_redis() {
        // As CLUSTER KEYSLOT answers.
        for (key, expected) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
            ("bar", 5_061),
            ("{user1000}.following", 3_443),
            ("", 0),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(slot(b"sluice:{orders}:log"), slot(b"orders"));
        assert_eq!(slot(b"sluice:{orders}:live"), slot(b"orders"));
    }

    #[test]
    fn one_server_has_everything() {
        let layout = Layout::of_one(address(1));
        for slot in [0, 1, SLOTS - 1] {
            assert_eq!(layout.of_slot(slot).unwrap().primary, address(1));
        }
        assert!(Layout::default().of_slot(0).is_none() && Layout::default().is_empty());
    }

    #[test]
    fn a_partition_is_what_a_primary_is_in_charge_of() {
        let before = Layout::new(vec![shard(1, &[(0, 10)]), shard(2, &[(11, 20)])]);
        let [first, second, nobodys] = [0, 11, 21].map(|slot| before.partition(slot));
        assert_eq!((before.partition(10), before.partition(SLOTS - 1)), (first.clone(), nobodys.clone()));
        assert!(first != second && second != nobodys && nobodys != first);
        assert_eq!(before.of_partition(&second).unwrap().primary, address(2));
        assert!(before.of_partition(&nobodys).is_none() && before.has_unassigned(&nobodys));
        assert!(!before.has_unassigned(&first));
        // A failover, and a slot that moves: the first partition has vanished.
        let after = Layout::new(vec![shard(3, &[(0, 9)]), shard(2, &[(10, SLOTS - 1)])]);
        assert_eq!(after.partition(10), second);
        assert!(after.partition(0) != first && after.of_partition(&first).is_none());
        assert!(!after.has_unassigned(&nobodys) && !after.has_unassigned(&first));
    }

    #[test]
    fn what_nobody_or_two_claim_is_decided() {
        let layout = Layout::new(vec![shard(2, &[(10, 20), (30, 30)]), shard(3, &[]), shard(1, &[(0, 12)])]);
        let of = |slot| layout.of_slot(slot).map(|shard| shard.primary.port);
        assert_eq!([of(0), of(12), of(13), of(20)], [Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!([of(21), of(29), of(30), of(31)], [None, None, Some(2), None]);
        assert_eq!(layout.shards().len(), 2);
        let second = layout.of_primary(&address(2)).unwrap();
        assert!(second.has(13) && second.has(30) && !second.has(12));
        assert!(layout.of_primary(&address(3)).is_none());
    }

    proptest! {
        #[test]
        fn a_slot_is_of_a_shard_that_claims_it(
            claims in prop::collection::vec((0..4_u16, 0..SLOTS, 0..400_u16), 0..20),
            asked in prop::collection::vec(0..SLOTS, 20),
        ) {
            let shards = claims.iter().map(|(port, first, len)| shard(*port, &[(*first, (first + len).min(SLOTS - 1))]));
            let layout = Layout::new(shards.collect());
            let edges = claims.iter().flat_map(|(_, first, len)| [*first, (first + len).min(SLOTS - 1)]);
            for slot in asked.iter().copied().chain(edges) {
                let claimed: Vec<u16> = claims.iter()
                    .filter(|(_, first, len)| (*first..=first + len).contains(&slot))
                    .map(|(port, ..)| *port)
                    .collect();
                match layout.of_slot(slot) {
                    Some(shard) => {
                        prop_assert!(claimed.contains(&shard.primary.port));
                        prop_assert!(shard.has(slot));
                        prop_assert_eq!(layout.shards().iter().filter(|shard| shard.has(slot)).count(), 1);
                    }
                    None => prop_assert!(claimed.is_empty()),
                }
            }
        }
    }
}
