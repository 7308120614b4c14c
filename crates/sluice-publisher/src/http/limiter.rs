//! Bounds how many requests are open at once, so that no caller keeps the others out: each sender has a share of the
//! places while its body is being read, and callers without credentials have a share together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::pace::Sender;

/// A limiter for one kind of request. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct RequestLimiter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Of those whose body is being read: by sender, and of all senders without credentials.
    reading: HashMap<Sender, usize>,
    reading_anonymous: usize,
}

/// Why there is no place for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// As many requests are open as may be.
    All,
    /// The sender has its share, or all callers without credentials have theirs.
    Share,
}

/// The place of an open request; given back when it is dropped.
#[derive(Debug)]
pub(super) struct RequestPermit {
    shared: Arc<Shared>,
    /// Whose share it counts against, while the body is being read.
    reading: Option<Sender>,
}

impl RequestLimiter {
    pub(super) fn new(requests_max: usize) -> Self {
        let shared = Shared { requests_max: requests_max.max(1), open: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Takes a place for a request of `sender`.
    pub(super) fn acquire(&self, sender: &Sender) -> Result<RequestPermit, NoPlace> {
        let shared = &self.shared;
        let mut open = shared.open();
        if open.total >= shared.requests_max {
            return Err(NoPlace::All);
        }
        let own = open.reading.get(sender).copied().unwrap_or_default();
        let anonymous = sender.is_anonymous();
        if own >= shared.share_of(sender) || (anonymous && open.reading_anonymous >= shared.part(3)) {
            return Err(NoPlace::Share);
        }
        open.total += 1;
        open.reading_anonymous += usize::from(anonymous);
        open.reading.insert(sender.clone(), own + 1);
        Ok(RequestPermit { shared: Arc::clone(shared), reading: Some(sender.clone()) })
    }
}

impl RequestPermit {
    /// The body has been read: the request counts against no share any more.
    pub(super) fn body_read(&mut self) {
        if let Some(sender) = self.reading.take() {
            self.shared.open().stop_reading(&sender);
        }
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut open = self.shared.open();
        open.total = open.total.saturating_sub(1);
        if let Some(sender) = self.reading.take() {
            open.stop_reading(&sender);
        }
    }
}

impl Shared {
    /// How many bodies of one sender may be read at once: a quarter of the places for a network without credentials,
    /// three quarters for a subject, all for callers within this process.
    fn share_of(&self, sender: &Sender) -> usize {
        match sender {
            Sender::Network(_) => self.part(1),
            Sender::Subject(_) => self.part(3),
            Sender::Unknown => self.requests_max,
        }
    }

    fn part(&self, quarters: usize) -> usize {
        (self.requests_max.saturating_mul(quarters) / 4).max(1)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

impl Open {
    fn stop_reading(&mut self, sender: &Sender) {
        self.reading_anonymous -= usize::from(sender.is_anonymous() && self.reading_anonymous > 0);
        if let Some(own) = self.reading.get_mut(sender) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.reading.remove(sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> Sender {
        Sender::Network([192, 0, 2, last].into())
    }

    #[test]
    fn no_caller_takes_all_places() {
        let limiter = RequestLimiter::new(8);
        let acquire = |sender: &Sender| limiter.acquire(sender);
        let mut held: Vec<_> = (0..2).map(|_| acquire(&network(1)).unwrap()).collect();
        assert_eq!(acquire(&network(1)).unwrap_err(), NoPlace::Share);
        held.extend((0..2).map(|_| acquire(&network(2)).unwrap()));
        held.extend((0..2).map(|_| acquire(&network(3)).unwrap()));
        assert_eq!(
            acquire(&network(4)).unwrap_err(),
            NoPlace::Share,
            "all callers without credentials together"
        );
        let subject = Sender::Subject("s".into());
        held.extend((0..2).map(|_| acquire(&subject).unwrap()));
        assert_eq!(acquire(&subject).unwrap_err(), NoPlace::All);
        held.pop();
        assert!(acquire(&subject).is_ok());
        drop(held);
        let held: Vec<_> = (0..6).map(|_| acquire(&subject).unwrap()).collect();
        assert_eq!(acquire(&subject).unwrap_err(), NoPlace::Share);
        assert!(acquire(&network(1)).is_ok());
        drop(held);
        let open = limiter.shared.open();
        assert_eq!((open.total, open.reading.len(), open.reading_anonymous), (0, 0, 0));
    }

    #[test]
    fn a_body_that_was_read_counts_against_no_share() {
        let limiter = RequestLimiter::new(4);
        let mut first = limiter.acquire(&network(1)).unwrap();
        assert_eq!(limiter.acquire(&network(1)).unwrap_err(), NoPlace::Share);
        first.body_read();
        let second = limiter.acquire(&network(1)).unwrap();
        drop((first, second));
        assert_eq!(limiter.shared.open().total, 0);
    }
}
