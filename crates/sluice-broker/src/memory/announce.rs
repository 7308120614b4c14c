//! Announcements of the embedded broker: a bounded queue and a task for each listener, so that a listener is
//! called outside the broker's lock, in order, and a slow one loses messages instead of holding publishers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_wire::Topic;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::state::State;
use crate::broker::Announcement;
use crate::{Listener, Subscriber, SubscriberHealth};

#[derive(Debug, Default)]
pub(super) struct Listeners {
    entries: Vec<Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    topics: HashSet<Topic>,
    queue: mpsc::Sender<(Topic, Announcement)>,
}

impl Listeners {
    /// Hands `message` to whoever listens to `topic` and has room for it.
    pub(super) fn announce(&self, topic: &Topic, message: &Announcement) {
        for entry in &self.entries {
            if entry.topics.contains(topic) {
                // A full queue loses the message, as a socket would: its `prev` or a tail check will tell.
                drop(entry.queue.try_send((topic.clone(), message.clone())));
            }
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.number == number)
    }
}

/// Adds a listener to the broker behind `state`.
pub(super) fn listen(
    state: &Arc<Mutex<State>>,
    listener: Arc<dyn Listener>,
    queue_max: usize,
    tracker: &TaskTracker,
) -> MemorySubscriber {
    let (queue, mut messages) = mpsc::channel::<(Topic, Announcement)>(queue_max);
    let number = {
        let mut locked = state.lock().unwrap_or_else(sluice_failure::poisoned);
        let listeners = &mut locked.listeners;
        listeners.next += 1;
        listeners.entries.push(Entry { number: listeners.next, topics: HashSet::new(), queue });
        listeners.next
    };
    tracker.spawn(async move {
        listener.whole();
        while let Some((topic, message)) = messages.recv().await {
            listener.announced(topic.as_str(), message);
        }
    });
    MemorySubscriber { state: Arc::clone(state), number }
}

/// A listener's set of topics. Dropping it ends the listener's task.
pub(super) struct MemorySubscriber {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl MemorySubscriber {
    fn with_topics(&self, change: impl FnOnce(&mut HashSet<Topic>)) {
        let mut state = self.state.lock().unwrap_or_else(sluice_failure::poisoned);
        if let Some(entry) = state.listeners.entry(self.number) {
            change(&mut entry.topics);
        }
    }
}

#[async_trait]
impl Subscriber for MemorySubscriber {
    async fn add(&self, topics: &[Topic]) {
        self.with_topics(|set| set.extend(topics.iter().cloned()));
    }

    fn remove(&self, topics: &[Topic]) {
        self.with_topics(|set| {
            for topic in topics {
                set.remove(topic);
            }
        });
    }

    fn health(&self) -> SubscriberHealth {
        SubscriberHealth {
            connected: true,
            shards_wanted: 1,
            shards_connected: 1,
            ..SubscriberHealth::default()
        }
    }
}

impl std::fmt::Debug for MemorySubscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemorySubscriber").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for MemorySubscriber {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(sluice_failure::poisoned);
        state.listeners.entries.retain(|entry| entry.number != self.number);
    }
}
