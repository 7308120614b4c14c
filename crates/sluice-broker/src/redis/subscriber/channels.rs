//! The set of channels that are wanted of one server, and how far the connection to it is level with it. Pure.

use std::collections::HashSet;

use sluice_wire::Topic;

#[derive(Debug, Default)]
pub(super) struct Channels {
    wanted: HashSet<Topic>,
    /// Wanted, but not confirmed on this connection.
    to_subscribe: HashSet<Topic>,
    /// Confirmed on this connection, but not wanted.
    to_unsubscribe: HashSet<Topic>,
}

impl Channels {
    pub(super) fn add(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            // Where a removal was not sent yet, the old subscription serves on.
            if self.wanted.insert(topic.clone()) && !self.to_unsubscribe.remove(&topic) {
                self.to_subscribe.insert(topic);
            }
        }
    }

    pub(super) fn remove(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            if self.wanted.remove(&topic) && !self.to_subscribe.remove(&topic) {
                self.to_unsubscribe.insert(topic);
            }
        }
    }

    /// A new connection knows no channel.
    pub(super) fn forget_confirmations(&mut self) {
        self.to_unsubscribe = HashSet::new();
        self.to_subscribe.clone_from(&self.wanted);
    }

    /// Nobody wants anything.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    pub(super) fn wanted(&self) -> impl Iterator<Item = &Topic> {
        self.wanted.iter()
    }

    /// The server gave up the subscription by itself; whether it is still wanted.
    pub(super) fn dropped(&mut self, topic: &Topic) -> bool {
        self.to_unsubscribe.remove(topic);
        let wanted = self.wanted.contains(topic);
        if wanted {
            self.to_subscribe.insert(topic.clone());
        }
        wanted
    }

    pub(super) fn is_settled(&self) -> bool {
        self.to_subscribe.is_empty()
    }

    pub(super) fn to_subscribe(&self) -> Vec<Topic> {
        self.to_subscribe.iter().cloned().collect()
    }

    pub(super) fn subscribed(&mut self, topics: &[Topic]) {
        for topic in topics {
            self.to_subscribe.remove(topic);
        }
        release(&mut self.to_subscribe);
    }

    pub(super) fn to_unsubscribe(&self) -> Vec<Topic> {
        self.to_unsubscribe.iter().cloned().collect()
    }

    pub(super) fn unsubscribed(&mut self, topics: &[Topic]) {
        for topic in topics {
            self.to_unsubscribe.remove(topic);
        }
        release(&mut self.to_unsubscribe);
    }
}

/// Gives back what a burst had needed.
fn release(set: &mut HashSet<Topic>) {
    if set.is_empty() {
        *set = HashSet::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<Topic> {
        names.iter().map(|name| Topic::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_removal_and_an_addition_of_one_batch_cancel_out() {
        let mut channels = Channels::default();
        channels.add(topics(&["a"]));
        channels.subscribed(&topics(&["a"]));
        channels.remove(topics(&["a"]));
        channels.add(topics(&["a"]));
        assert!(channels.to_subscribe().is_empty() && channels.to_unsubscribe().is_empty());
    }

    #[test]
    fn an_addition_that_was_never_sent_can_be_taken_back_and_made_again() {
        let mut channels = Channels::default();
        channels.add(topics(&["a"]));
        channels.remove(topics(&["a"]));
        assert!(channels.to_subscribe().is_empty() && channels.to_unsubscribe().is_empty());
        channels.add(topics(&["a"]));
        assert_eq!(channels.to_subscribe(), topics(&["a"]));
    }

    #[test]
    fn what_was_added_is_asked_for_once_and_again_on_a_new_connection() {
        let mut channels = Channels::default();
        channels.add(topics(&["a", "b"]));
        channels.subscribed(&topics(&["a", "b"]));
        channels.add(topics(&["a"]));
        assert!(channels.to_subscribe().is_empty());
        channels.remove(topics(&["b"]));
        channels.forget_confirmations();
        assert_eq!(channels.to_subscribe(), topics(&["a"]));
        assert!(channels.to_unsubscribe().is_empty());
    }

    #[test]
    fn what_the_server_gives_up_is_asked_for_again_if_it_is_wanted() {
        let mut channels = Channels::default();
        channels.add(topics(&["a", "b"]));
        channels.subscribed(&topics(&["a", "b"]));
        channels.remove(topics(&["b"]));
        assert!(channels.dropped(&topics(&["a"])[0]) && !channels.dropped(&topics(&["b"])[0]));
        assert_eq!(channels.to_subscribe(), topics(&["a"]));
        assert!(channels.to_unsubscribe().is_empty());
    }
}
