//! The command queue's pushers and a reader that falls asleep, in every interleaving with up to three
//! preemptions (each further one multiplies the running time): no wake-up is lost.
//! Run with `make loom`.
#![cfg(loom)]

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use sluice_fanout::Inbox;

fn model(threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(threads);
}

/// The poller as far as the queue goes: an event descriptor, which remembers that somebody was to be woken.
struct Poller {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Poller {
    fn new() -> Self {
        Self { raised: Mutex::new(false), changed: Condvar::new() }
    }

    fn wake(&self) {
        *self.raised.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// A wake-up that never comes is a deadlock, which the model reports.
    fn wait(&self) {
        let mut raised = self.raised.lock().unwrap();
        while !*raised {
            raised = self.changed.wait(raised).unwrap();
        }
        *raised = false;
    }
}

/// What a shard is to the queue: it drains, sleeps when it may, and says that it is awake.
fn read_until(inbox: &Inbox<u32>, poller: &Poller, wanted: usize) -> Vec<u32> {
    let (mut batch, mut seen) = (Vec::new(), Vec::new());
    loop {
        inbox.drain(&mut batch);
        seen.append(&mut batch);
        if seen.len() == wanted {
            return seen;
        }
        if inbox.may_sleep() {
            poller.wait();
        }
        inbox.awake();
    }
}

fn push(inbox: &Inbox<u32>, poller: &Poller, command: u32) {
    if inbox.push(command) {
        poller.wake();
    }
}

#[test]
fn a_sleeping_reader_is_woken_for_every_command() {
    model(|| {
        let (inbox, poller) = (Arc::new(Inbox::new()), Arc::new(Poller::new()));
        let pushers: Vec<_> = [1, 2]
            .map(|command| {
                let (inbox, poller) = (inbox.clone(), poller.clone());
                thread::spawn(move || push(&inbox, &poller, command))
            })
            .into();
        let mut seen = read_until(&inbox, &poller, 2);
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
    });
}

#[test]
fn the_commands_of_one_pusher_stay_in_order() {
    model(|| {
        let (inbox, poller) = (Arc::new(Inbox::new()), Arc::new(Poller::new()));
        let pusher = {
            let (inbox, poller) = (inbox.clone(), poller.clone());
            thread::spawn(move || (1..=2).for_each(|command| push(&inbox, &poller, command)))
        };
        assert_eq!(read_until(&inbox, &poller, 2), [1, 2]);
        pusher.join().unwrap();
    });
}

#[test]
fn a_reader_that_is_awake_is_not_woken_in_vain() {
    model(|| {
        let inbox = Inbox::new();
        assert!(!inbox.push(1), "it begins awake");
        assert!(!inbox.may_sleep(), "there is a command");
        inbox.drain(&mut Vec::new());
        assert!(inbox.may_sleep());
        assert!(inbox.push(2), "asleep");
        assert!(!inbox.push(3), "woken once is enough");
    });
}
