//! Admission: how many streams a node takes, whose, and how fast.
//!
//! A stream has a [`Place`] from its admission to its end, and the place knows the number of the stream's
//! principal. In a slot the number alone stands for both: [`Place::keep`] leaves it there, [`Admission::leave`]
//! and [`Admission::resume`] take it up. Each place is given back once, whatever way its stream takes.

mod book;
mod cluster;
mod coming;
mod counted;
mod label;
mod refusal;
mod sentence;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use sluice_access::{Bucket, Pressure, Rate};
use sluice_broker::Reserved;

pub(crate) use self::book::Applicant;
use self::book::Book;
pub(crate) use self::coming::Coming;
pub use self::label::Principal;
pub(crate) use self::refusal::{Refusal, Refused};
pub use self::sentence::Sentence;
use crate::settings::Limits;
use crate::tallies::Tallies;

/// A stream ended by its client's doing.
const CLIENT: &str = "client";

/// The gate that every stream comes through. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    open: AtomicUsize,
    draining: AtomicBool,
    /// The drain is over: who is still here is cut off.
    over: AtomicBool,
    streams_max: usize,
    pressure: Pressure,
    bucket: Mutex<Bucket>,
    book: Mutex<Book>,
    /// Principals under a sentence, so that nobody need look when there are none.
    sentenced: AtomicUsize,
    tallies: Tallies,
}

/// A stream's place on the node, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    /// Whose the stream is: a number in the book.
    principal: u32,
    /// Why the stream ended, for the count.
    reason: &'static str,
    /// Its topics, until its feed has them.
    reserved: Option<Reserved>,
    /// The stream is in a slot, which gives the place back.
    kept: bool,
}

/// Whose a stream is, for those who do not keep its place. It says nothing of use once the stream has left.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    gate: Arc<Gate>,
    principal: u32,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, pressure: Pressure, tallies: Tallies, now: Instant) -> Self {
        let accepts = Rate { per_second: limits.accept_per_second, burst: limits.accept_burst };
        let bucket = Bucket::new(accepts, now);
        Self {
            gate: Arc::new(Gate {
                open: AtomicUsize::new(0),
                draining: AtomicBool::new(false),
                over: AtomicBool::new(false),
                streams_max: limits.streams_max,
                pressure,
                bucket: Mutex::new(bucket),
                book: Mutex::new(Book::new(limits)),
                sentenced: AtomicUsize::new(0),
                tallies,
            }),
        }
    }

    /// A place for one more stream, with what `reserve` keeps for it. Whoever also refuses streams by a list of its
    /// own looks at that list after this: then a stream that was not on the list is found by whoever ends those that
    /// are.
    pub(crate) fn admit(
        &self,
        now: Instant,
        applicant: &Applicant<'_>,
        reserve: impl FnOnce() -> Result<Option<Reserved>, Refusal>,
    ) -> Result<Place, Refused> {
        let gate = &self.gate;
        let admitted = gate.admit(now, applicant).and_then(|principal| {
            let reserved = reserve().inspect_err(|_| gate.give_back(principal))?;
            let mut place = self.resume(principal);
            place.reserved = reserved;
            Ok(place)
        });
        match &admitted {
            Ok(_) => gate.tallies.opened(),
            Err(refused) => gate.tallies.refused(refused.why.as_str()),
        }
        admitted
    }

    /// The place of a stream that comes out of a slot.
    pub(crate) fn resume(&self, principal: u32) -> Place {
        Place { gate: self.gate.clone(), principal, reason: CLIENT, reserved: None, kept: false }
    }

    /// Gives back the place of a stream that was in a slot.
    pub(crate) fn leave(&self, principal: u32, reason: &'static str) {
        self.gate.release(principal, reason);
    }

    /// Sentences every stream of the principals that `who` names; how many there are. A stream is ended where
    /// somebody comes by who asks for its [`Admission::sentence_on`].
    pub(crate) fn sentence(&self, who: impl Fn(&Principal<'_>) -> bool, sentence: &Sentence) -> u64 {
        let mut book = self.gate.book();
        let streams = book.sentence(who, sentence);
        self.gate.sentenced.store(book.sentenced(), Ordering::Release);
        streams
    }

    /// The sentence on a principal, if there is one.
    pub(crate) fn sentence_on(&self, principal: u32) -> Option<Sentence> {
        self.gate.sentence_on(principal)
    }

    /// What is known of a principal.
    pub(crate) fn principal<T>(&self, number: u32, read: impl FnOnce(Principal<'_>) -> T) -> Option<T> {
        self.gate.book().principal(number).map(read)
    }

    /// Takes no stream from now on.
    pub(crate) fn drain(&self) {
        self.gate.draining.store(true, Ordering::SeqCst);
    }

    /// Whether no stream is taken any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.gate.draining.load(Ordering::Acquire)
    }

    /// The drain is over: how many streams were ended in good order and how many were cut off, those that are
    /// still open included.
    pub(crate) fn end_drain(&self) -> (u64, u64) {
        self.gate.over.store(true, Ordering::Release);
        let (drained, cut) = self.gate.tallies.ended_by_node();
        (drained, cut + self.open() as u64)
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.gate.open.load(Ordering::SeqCst)
    }
}

impl Place {
    /// Notes why the stream is going to end, should that not be its client's doing.
    pub(crate) fn ends_by(&mut self, reason: &'static str) {
        self.reason = reason;
    }

    /// The stream stands in its feed, which follows its topics.
    pub(crate) fn arrived(&mut self) {
        self.reserved = None;
    }

    /// Leaves the place to a slot, which keeps the number of the stream's principal: [`Admission::leave`] gives it
    /// back, [`Admission::resume`] takes it up.
    pub(crate) fn keep(mut self) -> u32 {
        self.kept = true;
        self.principal
    }

    /// Whose the stream is.
    pub(crate) fn standing(&self) -> Standing {
        Standing { gate: self.gate.clone(), principal: self.principal }
    }
}

impl Standing {
    /// The number of the principal.
    pub(crate) fn principal(&self) -> u32 {
        self.principal
    }

    /// Whether somebody may be sentenced whose the stream is.
    pub(crate) fn is_somebodys(&self) -> bool {
        self.principal != 0
    }

    /// Whether the stream is to be ended.
    pub(crate) fn is_sentenced(&self) -> bool {
        self.sentence().is_some()
    }

    /// The sentence on the stream, if there is one.
    pub(crate) fn sentence(&self) -> Option<Sentence> {
        self.gate.sentence_on(self.principal)
    }
}

impl Gate {
    /// Takes one more stream; the number of its principal.
    fn admit(&self, now: Instant, applicant: &Applicant<'_>) -> Result<u32, Refused> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Refusal::Draining.into());
        }
        if self.pressure.is_on() {
            return Err(Refusal::Memory.into());
        }
        if self.open.load(Ordering::SeqCst) >= self.streams_max {
            return Err(Refusal::Full.into());
        }
        if applicant.too_many_topics {
            return Err(Refusal::Topics.into());
        }
        // Whoever has enough streams uses up neither the rate of those who have not nor, for a moment, a place.
        let principal = self.book().enter(now, applicant)?;
        if !self.bucket.lock().unwrap_or_else(sluice_failure::poisoned).take(now) {
            self.cross_out(principal);
            return Err(Refusal::Rate.into());
        }
        let claim = |open| (open < self.streams_max).then_some(open + 1);
        if self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, claim).is_err() {
            self.cross_out(principal);
            return Err(Refusal::Full.into());
        }
        // A drain that began since the first look may have counted without this one.
        if self.draining.load(Ordering::SeqCst) {
            self.give_back(principal);
            return Err(Refusal::Draining.into());
        }
        Ok(principal)
    }

    fn release(&self, principal: u32, reason: &'static str) {
        // What is dropped on its way has no other reason to give.
        let reason = if reason == CLIENT && self.over.load(Ordering::Acquire) { "cut" } else { reason };
        self.give_back(principal);
        self.tallies.closed(reason);
    }

    fn give_back(&self, principal: u32) {
        self.cross_out(principal);
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn cross_out(&self, principal: u32) {
        if principal != 0 {
            let mut book = self.book();
            book.leave(principal);
            self.sentenced.store(book.sentenced(), Ordering::Release);
        }
    }

    fn sentence_on(&self, principal: u32) -> Option<Sentence> {
        let nobody = principal == 0 || self.sentenced.load(Ordering::Acquire) == 0;
        if nobody { None } else { self.book().sentence_on(principal) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            self.gate.release(self.principal, self.reason);
        }
    }
}
