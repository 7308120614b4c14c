//! Every interleaving of the command queue's pushers with a reader that falls asleep: no wake-up is lost.
//! Run with `make loom`.
#![cfg(loom)]

use loom::sync::{Arc, Notify};
use loom::thread;
use sluice_fanout::Inbox;

/// What a shard is to the queue: it drains, sleeps when it may, and says that it is awake.
fn read_until(inbox: &Inbox<u32>, poller: &Notify, wanted: usize) -> Vec<u32> {
    let (mut batch, mut seen) = (Vec::new(), Vec::new());
    loop {
        inbox.drain(&mut batch);
        seen.append(&mut batch);
        if seen.len() == wanted {
            return seen;
        }
        if inbox.may_sleep() {
            // Like the event descriptor, it remembers one wake-up. One that never comes is a deadlock, which
            // the model reports.
            poller.wait();
        }
        inbox.awake();
    }
}

fn push(inbox: &Inbox<u32>, poller: &Notify, command: u32) {
    if inbox.push(command) {
        poller.notify();
    }
}

#[test]
fn a_sleeping_reader_is_woken_for_every_command() {
    loom::model(|| {
        let (inbox, poller) = (Arc::new(Inbox::new()), Arc::new(Notify::new()));
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
    loom::model(|| {
        let (inbox, poller) = (Arc::new(Inbox::new()), Arc::new(Notify::new()));
        let pusher = {
            let (inbox, poller) = (inbox.clone(), poller.clone());
            thread::spawn(move || (1..=3).for_each(|command| push(&inbox, &poller, command)))
        };
        assert_eq!(read_until(&inbox, &poller, 3), [1, 2, 3]);
        pusher.join().unwrap();
    });
}

#[test]
fn a_reader_that_is_awake_is_not_woken_in_vain() {
    loom::model(|| {
        let inbox = Inbox::new();
        assert!(!inbox.push(1), "it begins awake");
        assert!(!inbox.may_sleep(), "there is a command");
        inbox.drain(&mut Vec::new());
        assert!(inbox.may_sleep());
        assert!(inbox.push(2), "asleep");
        assert!(!inbox.push(3), "woken once is enough");
    });
}
