//! How many streams each subject has on all nodes together, as far as this node knows, and what the other nodes must
//! be told of it. Pure; `crate::cluster` carries the words.
//!
//! A stream counts for the others from the moment it asks to come in. So of two nodes that have the last place of a
//! subject to give at the same moment, one at least knows of the other, and the limit errs on the side of too few.

use std::collections::HashMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(super) struct ClusterQuota {
    /// How many a subject may have; 0 for any number, which is not counted.
    max: u32,
    subjects: HashMap<Arc<str>, Tally>,
    /// Subjects whose count has changed, each once.
    news: Vec<Arc<str>>,
    /// Subjects of whom the others are to be asked, each once.
    asked: Vec<Arc<str>>,
    /// The number of the next word.
    next: u64,
}

#[derive(Debug, Default)]
struct Tally {
    open: u32,
    coming: u32,
    /// What the others have, when they were last asked.
    elsewhere: u64,
    is_news: bool,
    is_asked: bool,
}

/// What the others are told and asked in one go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) number: u64,
    /// Streams of each subject here, open and coming.
    pub(crate) held: Vec<(Arc<str>, u32)>,
    /// These are all.
    pub(crate) whole: bool,
    pub(crate) asked: Vec<Arc<str>>,
}

impl ClusterQuota {
    pub(super) fn new(max: u32) -> Self {
        Self { max, subjects: HashMap::new(), news: Vec::new(), asked: Vec::new(), next: 1 }
    }

    pub(super) fn is_on(&self) -> bool {
        self.max > 0
    }

    /// A stream of `subject` asks to come in; the number of the word whose answer tells what the others have.
    pub(super) fn come(&mut self, subject: &str) -> u64 {
        let name = self.change(subject, |tally| tally.coming += 1);
        let tally = self.subjects.entry(name.clone()).or_default();
        if !std::mem::replace(&mut tally.is_asked, true) {
            self.asked.push(name);
        }
        self.next
    }

    /// It was let in, or not.
    pub(super) fn came(&mut self, subject: &str) {
        self.change(subject, |tally| tally.coming = tally.coming.saturating_sub(1));
    }

    /// Whether `subject` has as many as it may.
    pub(super) fn is_full(&self, subject: &str) -> bool {
        let has = |tally: &Tally| u64::from(tally.open) + tally.elsewhere;
        self.is_on() && self.subjects.get(subject).is_some_and(|tally| has(tally) >= u64::from(self.max))
    }

    pub(super) fn hold(&mut self, subject: &str) {
        if self.is_on() {
            self.change(subject, |tally| tally.open += 1);
        }
    }

    pub(super) fn release(&mut self, subject: &str) {
        if self.is_on() {
            self.change(subject, |tally| tally.open = tally.open.saturating_sub(1));
        }
    }

    /// Whether there is anything to tell or to ask.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What is to be told and asked now: all there is if `whole`, else what has changed.
    pub(super) fn word(&mut self, whole: bool) -> Word {
        let (news, asked) = (std::mem::take(&mut self.news), std::mem::take(&mut self.asked));
        for name in &news {
            if let Some(tally) = self.subjects.get_mut(name) {
                (tally.is_news, tally.is_asked) = (false, false);
            }
        }
        let count = |tally: &Tally| tally.open.saturating_add(tally.coming);
        let held = if whole {
            self.subjects.iter().map(|(name, tally)| (name.clone(), count(tally))).collect()
        } else {
            let told = |name: Arc<str>| {
                let count = self.subjects.get(&name).map_or(0, count);
                (name, count)
            };
            news.iter().cloned().map(told).collect::<Vec<_>>()
        };
        for name in news {
            if self.subjects.get(&name).is_some_and(|tally| count(tally) == 0) {
                self.subjects.remove(&name);
            }
        }
        self.next += 1;
        Word { number: self.next - 1, held, whole, asked }
    }

    /// What the others have of those asked.
    pub(super) fn answered(&mut self, asked: &[Arc<str>], elsewhere: &[u64]) {
        for (name, elsewhere) in asked.iter().zip(elsewhere) {
            if let Some(tally) = self.subjects.get_mut(name) {
                tally.elsewhere = *elsewhere;
            }
        }
    }

    /// The others cannot be asked: what they had is no reason to refuse anybody.
    pub(super) fn unanswered(&mut self) {
        self.subjects.values_mut().for_each(|tally| tally.elsewhere = 0);
    }

    /// Subjects that are counted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.subjects.len()
    }

    fn change(&mut self, subject: &str, change: impl FnOnce(&mut Tally)) -> Arc<str> {
        let name = match self.subjects.get_key_value(subject) {
            Some((name, _)) => name.clone(),
            None => subject.into(),
        };
        let tally = self.subjects.entry(name.clone()).or_default();
        change(tally);
        if !std::mem::replace(&mut tally.is_news, true) {
            self.news.push(name.clone());
        }
        name
    }
}

#[cfg(test)]
mod tests;
