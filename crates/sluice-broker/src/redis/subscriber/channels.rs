//! The set of channels that are wanted of one server, and how far the connection to it is level with it. Pure.

use std::collections::HashSet;

use sluice_wire::Topic;

/// What was taken to be sent counts as done: a connection does one thing after the other, so what comes later
/// builds upon it, and what fails is put back.
#[derive(Debug, Default)]
pub(super) struct Channels {
    wanted: HashSet<Topic>,
    /// Wanted, and not subscribed on this connection.
    to_subscribe: HashSet<Topic>,
    /// Subscribed on this connection, and not wanted.
    to_unsubscribe: HashSet<Topic>,
}

impl Channels {
    pub(super) fn add(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            // Where a removal was not taken yet, the old subscription serves on.
            if self.wanted.insert(topic.clone()) && !self.to_unsubscribe.remove(&topic) {
                self.to_subscribe.insert(topic);
            }
        }
    }

    /// As [`Channels::add`], for topics that may have left: whatever stands of them is subscribed again.
    pub(super) fn add_anew(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            self.to_unsubscribe.remove(&topic);
            self.wanted.insert(topic.clone());
            self.to_subscribe.insert(topic);
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

    /// Of the wanted ones, those that are subscribed, or about to be by what was taken.
    pub(super) fn confirmed(&self) -> impl Iterator<Item = &Topic> {
        self.wanted.iter().filter(|topic| !self.to_subscribe.contains(*topic))
    }

    /// The server did not take the subscription, or gave it up by itself; whether it is still wanted.
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

    /// What is to be subscribed, and then unsubscribed.
    pub(super) fn take(&mut self) -> (Vec<Topic>, Vec<Topic>) {
        let (join, leave) =
            (std::mem::take(&mut self.to_subscribe), std::mem::take(&mut self.to_unsubscribe));
        (join.into_iter().collect(), leave.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<Topic> {
        names.iter().map(|name| Topic::parse(name).unwrap()).collect()
    }

    fn take(channels: &mut Channels) -> (Vec<Topic>, Vec<Topic>) {
        let (mut join, mut leave) = channels.take();
        join.sort_unstable();
        leave.sort_unstable();
        (join, leave)
    }

    #[test]
    fn a_removal_and_an_addition_of_one_batch_cancel_out() {
        let mut channels = Channels::default();
        channels.add(topics(&["a"]));
        take(&mut channels);
        channels.remove(topics(&["a"]));
        channels.add(topics(&["a"]));
        assert_eq!(take(&mut channels), (vec![], vec![]));
    }

    #[test]
    fn an_addition_that_was_never_sent_can_be_taken_back_and_made_again() {
        let mut channels = Channels::default();
        channels.add(topics(&["a"]));
        channels.remove(topics(&["a"]));
        assert_eq!(take(&mut channels), (vec![], vec![]));
        channels.add(topics(&["a"]));
        assert_eq!(take(&mut channels), (topics(&["a"]), vec![]));
    }

    #[test]
    fn what_changes_while_it_is_sent_is_sent_again() {
        let mut channels = Channels::default();
        channels.add(topics(&["a"]));
        take(&mut channels);
        channels.remove(topics(&["a"]));
        assert_eq!(take(&mut channels), (vec![], topics(&["a"])));
        // Its end is on the way: the old subscription does not serve on.
        channels.add(topics(&["a"]));
        assert_eq!(take(&mut channels), (topics(&["a"]), vec![]));
        channels.remove(topics(&["a"]));
        assert_eq!(take(&mut channels), (vec![], topics(&["a"])));
    }

    #[test]
    fn what_was_added_is_asked_for_once_and_again_on_a_new_connection() {
        let mut channels = Channels::default();
        channels.add(topics(&["a", "b"]));
        take(&mut channels);
        channels.add(topics(&["a"]));
        assert!(channels.is_settled());
        channels.remove(topics(&["b"]));
        channels.forget_confirmations();
        assert_eq!(take(&mut channels), (topics(&["a"]), vec![]));
    }

    #[test]
    fn what_the_server_gives_up_is_asked_for_again_if_it_is_wanted() {
        let mut channels = Channels::default();
        channels.add(topics(&["a", "b"]));
        take(&mut channels);
        channels.remove(topics(&["b"]));
        assert!(channels.dropped(&topics(&["a"])[0]) && !channels.dropped(&topics(&["b"])[0]));
        assert_eq!(take(&mut channels), (topics(&["a"]), vec![]));
    }
}
