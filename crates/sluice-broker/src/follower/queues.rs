//! Work that waits, apart by the partition that it is for, so that work which cannot be done now holds up none
//! that can.

use std::collections::VecDeque;

use indexmap::IndexMap;

use crate::Partition;

/// Queues, one a partition that has work.
#[derive(Debug)]
pub(super) struct Queues<T> {
    queues: IndexMap<Partition, VecDeque<T>>,
    /// Whose turn it is.
    turn: usize,
    len: usize,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self { queues: IndexMap::new(), turn: 0, len: 0 }
    }
}

impl<T> Queues<T> {
    pub(super) fn push(&mut self, partition: Partition, work: T) {
        self.queues.entry(partition).or_default().push_back(work);
        self.len += 1;
    }

    /// The first `max` pieces of the next partition in turn that is `free`.
    pub(super) fn take(
        &mut self,
        max: usize,
        mut free: impl FnMut(&Partition) -> bool,
    ) -> Option<(Partition, Vec<T>)> {
        for _ in 0..self.queues.len() {
            self.turn = (self.turn + 1) % self.queues.len();
            let (partition, queue) = self.queues.get_index_mut(self.turn)?;
            if !free(partition) {
                continue;
            }
            let taken: Vec<T> = queue.drain(..max.min(queue.len())).collect();
            let partition = partition.clone();
            if queue.is_empty() {
                self.queues.swap_remove_index(self.turn);
            }
            self.len -= taken.len();
            return Some((partition, taken));
        }
        None
    }

    /// Forgets what is not worth doing any more.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for queue in self.queues.values_mut() {
            queue.retain(&mut keep);
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.len = self.queues.values().map(VecDeque::len).sum();
    }

    /// The partitions that have work.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.queues.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_take_turns_and_those_that_are_not_free_hold_up_nobody() {
        let names = ["a", "b", "c"].map(Partition::named);
        let mut queues = Queues::default();
        for n in 0..3 {
            names.iter().for_each(|name| queues.push(name.clone(), n));
        }
        let mut taken = Vec::new();
        while let Some((partition, work)) = queues.take(2, |partition| *partition != names[1]) {
            taken.push((partition, work));
        }
        taken.sort_by_key(|(partition, work)| (partition.to_string(), work.clone()));
        let [a, _, c] = names.clone();
        assert_eq!(taken, [(a.clone(), vec![0, 1]), (a, vec![2]), (c.clone(), vec![0, 1]), (c, vec![2])]);
        queues.retain(|n| *n != 1);
        assert_eq!((queues.len(), queues.partitions().count()), (2, 1));
        assert_eq!(queues.take(9, |_| true), Some((names[1].clone(), vec![0, 2])));
        assert_eq!((queues.len(), queues.partitions().count()), (0, 0));
    }
}
