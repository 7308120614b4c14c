//! A listener that writes down what it hears.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sluice_broker::{Announcement, Listener, Subscriber};
use sluice_testkit::eventually;
use sluice_wire::envelope::LiveMessage;
use sluice_wire::{Event, Topic};

use crate::stage::{SOON, Stage};

#[derive(Default)]
pub(crate) struct Notes {
    messages: Mutex<Vec<(String, Announcement)>>,
    broken: AtomicUsize,
    whole: AtomicUsize,
    restored: Mutex<Vec<String>>,
}

impl Listener for Notes {
    fn announced(&self, topic: &str, message: Announcement) {
        self.messages.lock().unwrap().push((topic.to_owned(), message));
    }
    fn lost(&self, _: &[Topic]) {}
    fn restored(&self, topics: &[Topic]) {
        self.restored.lock().unwrap().extend(topics.iter().map(ToString::to_string));
    }
    fn broken(&self, _: &str) {
        self.broken.fetch_add(1, Ordering::SeqCst);
    }
    fn whole(&self) {
        self.whole.fetch_add(1, Ordering::SeqCst);
    }
}

impl Notes {
    pub(crate) fn listen(stage: &Stage) -> (Arc<Self>, Box<dyn Subscriber>) {
        let notes = Arc::new(Self::default());
        let subscriber = stage.broker.listen(Arc::clone(&notes) as Arc<dyn Listener>);
        (notes, subscriber)
    }

    pub(crate) fn all(&self) -> Vec<(String, Announcement)> {
        self.messages.lock().unwrap().clone()
    }

    pub(crate) fn events_of(&self, topic: &Topic) -> Vec<Event> {
        let of_topic = self.all().into_iter().filter(|(name, _)| name == topic.as_str());
        of_topic
            .filter_map(|(_, message)| match message {
                Announcement::Message(LiveMessage::Event(event)) => Some(event),
                _ => None,
            })
            .collect()
    }

    pub(crate) async fn wait_for(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        eventually(what, SOON, async || holds(self)).await.unwrap();
    }

    /// Takes out the topics that were said to be restored since the last time.
    pub(crate) fn take_restored(&self) -> Vec<String> {
        std::mem::take(&mut *self.restored.lock().unwrap())
    }

    pub(crate) fn times_broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }

    pub(crate) fn times_whole(&self) -> usize {
        self.whole.load(Ordering::SeqCst)
    }
}
