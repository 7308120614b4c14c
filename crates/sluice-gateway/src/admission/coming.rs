//! Streams whose subject is counted on all nodes together, on their way in, and what the task that speaks to the other
//! nodes needs of the book.

use std::sync::Arc;

use super::cluster::Word;
use super::{Admission, Gate};

/// A stream that asks to come in, until it was let in or refused.
#[derive(Debug)]
pub(crate) struct Coming {
    gate: Arc<Gate>,
    subject: Arc<str>,
    /// The word whose answer it waits for.
    pub(crate) word: u64,
}

impl Admission {
    /// A stream of `subject` asks to come in; to be dropped when that is settled. Only where subjects are counted on
    /// all nodes.
    pub(crate) fn coming(&self, subject: &Arc<str>) -> Coming {
        let word = self.gate.book().cluster.come(subject);
        Coming { gate: self.gate.clone(), subject: subject.clone(), word }
    }

    /// Whether the other nodes have anything to hear.
    pub(crate) fn has_news_for_others(&self) -> bool {
        self.gate.book().cluster.has_news()
    }

    /// What the other nodes are told and asked now.
    pub(crate) fn word_for_others(&self, whole: bool) -> Word {
        self.gate.book().cluster.word(whole)
    }

    /// What they answered; nothing if they could not be asked.
    pub(crate) fn others_answered(&self, asked: &[Arc<str>], elsewhere: Option<&[u64]>) {
        let mut book = self.gate.book();
        match elsewhere {
            Some(elsewhere) => book.cluster.answered(asked, elsewhere),
            None => book.cluster.unanswered(),
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.gate.book().cluster.came(&self.subject);
    }
}
