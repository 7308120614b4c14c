//! Names and how often each is held: a name is there as long as somebody holds it, and is a number meanwhile.
//!
//! A name costs its bytes, 24 bytes beside them and about ten in the index. What is hashed comes from clients, so
//! the hash is keyed.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Counted {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// The first free entry.
    free: Option<u32>,
    used: usize,
}

#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    holders: u32,
    /// In a free entry: the next free one, or itself if there is none.
    next_free: u32,
}

impl Counted {
    /// How often `name` is held.
    pub(super) fn holders(&self, name: &[u8]) -> u32 {
        self.find(name).map_or(0, |id| self.entries[id as usize].holders)
    }

    /// Holds `name` once more; its number.
    pub(super) fn hold(&mut self, name: &[u8]) -> u32 {
        if let Some(id) = self.find(name) {
            self.entries[id as usize].holders += 1;
            return id;
        }
        let id = self.place(Entry { name: name.into(), holders: 1, next_free: 0 });
        let Self { entries, index, hasher, .. } = self;
        let hash_of = |id: &u32| hasher.hash_one(&entries[*id as usize].name[..]);
        index.insert_unique(hasher.hash_one(name), id, hash_of);
        id
    }

    /// Lets go of the name `id` once. Whether nobody holds it any more.
    pub(super) fn release(&mut self, id: u32) -> bool {
        let Some(entry) = self.entries.get_mut(id as usize).filter(|entry| entry.holders > 0) else {
            debug_assert!(false, "a name is let go of as often as it was held");
            return false;
        };
        entry.holders -= 1;
        if entry.holders > 0 {
            return false;
        }
        self.hide(id);
        self.entries[id as usize] =
            Entry { name: Box::default(), holders: 0, next_free: self.free.unwrap_or(id) };
        self.free = Some(id);
        self.used -= 1;
        if self.used == 0 {
            // What a crowd has needed is given back behind its last.
            *self = Self::default();
        }
        true
    }

    /// Lets go of `name` once.
    pub(super) fn release_name(&mut self, name: &[u8]) {
        match self.find(name) {
            Some(id) => {
                self.release(id);
            }
            None => debug_assert!(false, "a name is let go of as often as it was held"),
        }
    }

    /// From now on whoever holds the name gets another number; this one lives until it is let go of.
    pub(super) fn hide(&mut self, id: u32) {
        let Some(entry) = self.entries.get(id as usize) else { return };
        let hash = self.hasher.hash_one(&entry.name[..]);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == id) {
            found.remove();
        }
    }

    /// The name that has this number.
    pub(super) fn name(&self, id: u32) -> Option<&[u8]> {
        self.entries.get(id as usize).filter(|entry| entry.holders > 0).map(|entry| &entry.name[..])
    }

    /// All names that are held, hidden ones included: number, name, holders.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8], u32)> {
        let held = (0_u32..).zip(&self.entries).filter(|(_, entry)| entry.holders > 0);
        held.map(|(id, entry)| (id, &entry.name[..], entry.holders))
    }

    /// Names that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.used
    }

    fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.index.find(hash, |id| &self.entries[*id as usize].name[..] == name).copied()
    }

    fn place(&mut self, entry: Entry) -> u32 {
        self.used += 1;
        if let Some(id) = self.free {
            let slot = &mut self.entries[id as usize];
            self.free = (slot.next_free != id).then_some(slot.next_free);
            *slot = entry;
            return id;
        }
        self.entries.push(entry);
        // As many streams as there are descriptors: far fewer than numbers.
        u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
    }
}
