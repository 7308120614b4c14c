//! Which topic is subscribed where, and who waits for it. Every topic stands with the line of the server that
//! is in charge of its slot, by one layout; when the layout changes, topics move, and what was announced
//! meanwhile counts as lost. A server that is away costs its own topics their announcements, and no others. The
//! listener is told under this lock, so that it hears of losses and repairs in their order; it must not come
//! back here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sluice_wire::Topic;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Health;
use super::channels::Channels;
use crate::Listener;
use crate::redis::keys::Keys;
use crate::redis::layout::Layout;
use crate::url::Address;

/// Whoever waits is told when the last of these is let go.
pub(super) type Ticket = Arc<oneshot::Sender<()>>;

/// A line's end of the bargain: told to look, told to end.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    pub(super) look: Arc<Notify>,
    pub(super) end: CancellationToken,
}

pub(super) struct Board {
    keys: Keys,
    listener: Arc<dyn Listener>,
    health: Arc<Health>,
    layout: Arc<Layout>,
    lines: BTreeMap<Address, Berth>,
    /// For slots that nobody is in charge of.
    nowhere: Berth,
    /// On the way to a line, or given up by the one they stand with: told lost, and not yet restored.
    adrift: HashSet<Topic>,
    /// Every subscription stands, as the listener was told.
    whole: bool,
}

/// What a line has to bring level.
struct Berth {
    channels: Channels,
    waiting: Vec<Ticket>,
    standing: bool,
    /// It stood once, or nothing did when it was made: it counts though nothing is wanted of it.
    needed: bool,
    look: Arc<Notify>,
    _end: DropGuard,
}

impl Berth {
    fn new(needed: bool) -> (Self, Signals) {
        let signals = Signals { look: Arc::default(), end: CancellationToken::new() };
        let berth = Self {
            channels: Channels::default(),
            waiting: Vec::new(),
            standing: false,
            needed,
            look: Arc::clone(&signals.look),
            _end: signals.end.clone().drop_guard(),
        };
        (berth, signals)
    }
}

impl Board {
    pub(super) fn new(keys: Keys, listener: Arc<dyn Listener>, health: Arc<Health>) -> Self {
        Self {
            keys,
            listener,
            health,
            layout: Arc::default(),
            lines: BTreeMap::new(),
            nowhere: Berth::new(false).0,
            adrift: HashSet::new(),
            whole: false,
        }
    }

    pub(super) fn add(&mut self, topics: Vec<Topic>, ticket: &Ticket) {
        for (place, topics) in self.placed(topics) {
            let berth = self.berth(place.as_ref());
            berth.channels.add(topics);
            berth.waiting.push(Arc::clone(ticket));
            berth.look.notify_one();
        }
        self.tell("the Redis server of a topic is not connected");
    }

    pub(super) fn remove(&mut self, topics: Vec<Topic>) {
        for topic in &topics {
            self.adrift.remove(topic);
        }
        for (place, topics) in self.placed(topics) {
            let berth = self.berth(place.as_ref());
            berth.channels.remove(topics);
            berth.look.notify_one();
        }
        self.tell("");
    }

    /// Moves every topic to where it belongs now; the servers to which a line is to be opened.
    pub(super) fn lay_out(&mut self, layout: Arc<Layout>) -> Vec<(Address, Signals)> {
        self.layout = layout;
        let mut opened = Vec::new();
        for shard in self.layout.shards() {
            if !self.lines.contains_key(&shard.primary) {
                let (berth, signals) = Berth::new(!self.whole);
                self.lines.insert(shard.primary.clone(), berth);
                opened.push((shard.primary.clone(), signals));
            }
        }
        let (moving, tickets) = self.uproot();
        if !moving.is_empty() {
            self.listener.lost(&moving);
        }
        for (place, topics) in self.placed(moving) {
            self.adrift.extend(topics.iter().cloned());
            let berth = self.berth(place.as_ref());
            berth.channels.add_anew(topics);
            berth.waiting.extend(tickets.iter().cloned());
            berth.look.notify_one();
        }
        self.tell("other Redis servers serve the topics now");
        opened
    }

    /// Takes out every topic that stands in a wrong place, with whoever waits there, and ends the lines to
    /// servers that are not in charge any more.
    fn uproot(&mut self) -> (Vec<Topic>, Vec<Ticket>) {
        let mut moving: Vec<Topic> = self.nowhere.channels.wanted().cloned().collect();
        let mut tickets = std::mem::take(&mut self.nowhere.waiting);
        self.nowhere.channels = Channels::default();
        let (layout, keys) = (Arc::clone(&self.layout), &self.keys);
        self.lines.retain(|address, berth| {
            let shard = layout.of_primary(address);
            let stays = |topic: &&Topic| shard.is_some_and(|shard| shard.has(keys.slot(topic)));
            let leaving: Vec<Topic> =
                berth.channels.wanted().filter(|topic| !stays(topic)).cloned().collect();
            if !leaving.is_empty() {
                tickets.extend(berth.waiting.iter().cloned());
                berth.channels.remove(leaving.clone());
                moving.extend(leaving);
                if berth.channels.is_empty() {
                    // Nobody is to wait for a server of which nothing is wanted.
                    berth.waiting.clear();
                }
                berth.look.notify_one();
            }
            if shard.is_none() && berth.standing {
                self.health.lost();
            }
            shard.is_some()
        });
        (moving, tickets)
    }

    /// A new connection knows no channel.
    pub(super) fn begin(&mut self, address: &Address) {
        if let Some(berth) = self.lines.get_mut(address) {
            berth.channels.forget_confirmations();
        }
    }

    /// What the line to `address` is to subscribe, and to unsubscribe; it is taken for done from now on.
    pub(super) fn take_work(&mut self, address: &Address) -> (Vec<Topic>, Vec<Topic>) {
        self.lines.get_mut(address).map(|berth| berth.channels.take()).unwrap_or_default()
    }

    /// The line to `address` has subscribed `topics`, of which some may have moved on since.
    pub(super) fn subscribed(&mut self, address: &Address, topics: &[Topic]) {
        let Some(shard) = self.layout.of_primary(address) else { return };
        // Otherwise they are restored with all of the line, when it stands.
        if !self.lines.get(address).is_some_and(|berth| berth.standing) {
            return;
        }
        let here = topics.iter().filter(|topic| shard.has(self.keys.slot(topic)));
        let landed: Vec<Topic> = here.filter_map(|topic| self.adrift.take(topic)).collect();
        if !landed.is_empty() {
            self.listener.restored(&landed);
        }
    }

    /// The server did not take a subscription, or gave it up by itself.
    pub(super) fn dropped(&mut self, address: &Address, topic: &Topic) {
        if let Some(berth) = self.lines.get_mut(address)
            && berth.channels.dropped(topic)
        {
            self.adrift.insert(topic.clone());
            self.listener.lost(std::slice::from_ref(topic));
        }
    }

    /// The line to `address` has nothing left to subscribe; whether that is so.
    pub(super) fn settled(&mut self, address: &Address) -> bool {
        let Some(berth) = self.lines.get_mut(address) else { return true };
        let settled = berth.channels.is_settled();
        // Whoever waits for a line that does not stand yet is to find its topics told of.
        if settled && berth.standing {
            berth.waiting.clear();
        }
        settled
    }

    pub(super) fn stands(&mut self, address: &Address) {
        if let Some(berth) = self.lines.get_mut(address) {
            (berth.standing, berth.needed) = (true, true);
            let topics: Vec<Topic> = berth.channels.confirmed().cloned().collect();
            for topic in &topics {
                self.adrift.remove(topic);
            }
            self.listener.restored(&topics);
        }
        self.tell("");
        self.settled(address);
    }

    pub(super) fn lost(&mut self, address: &Address, why: &str) {
        if let Some(berth) = self.lines.get_mut(address) {
            berth.standing = false;
            self.health.lost();
            let topics: Vec<Topic> = berth.channels.wanted().cloned().collect();
            self.listener.lost(&topics);
        }
        self.tell(&format!("{address}: {why}"));
    }

    pub(super) fn probed(&self, address: &Address, round_trip: Duration) {
        if self.lines.contains_key(address) {
            self.health.probed(address, round_trip);
        }
    }

    /// Tells the listener when the whole link has come to stand, or no longer does.
    fn tell(&mut self, why: &str) {
        let stands = |berth: &Berth| berth.standing || (!berth.needed && berth.channels.is_empty());
        let whole =
            !self.layout.is_empty() && self.nowhere.channels.is_empty() && self.lines.values().all(stands);
        let connected = self.lines.values().filter(|berth| berth.standing).count();
        self.health.stands(whole, self.lines.len(), connected, |address| self.lines.contains_key(address));
        if whole == self.whole {
            return;
        }
        self.whole = whole;
        if whole {
            self.listener.whole();
        } else {
            self.listener.broken(why);
        }
    }

    fn placed(&self, topics: Vec<Topic>) -> HashMap<Option<Address>, Vec<Topic>> {
        let mut placed: HashMap<_, Vec<Topic>> = HashMap::new();
        for topic in topics {
            let shard = self.layout.of_slot(self.keys.slot(&topic));
            placed.entry(shard.map(|shard| shard.primary.clone())).or_default().push(topic);
        }
        placed
    }

    fn berth(&mut self, place: Option<&Address>) -> &mut Berth {
        match place.and_then(|address| self.lines.get_mut(address)) {
            Some(berth) => berth,
            None => &mut self.nowhere,
        }
    }
}

#[cfg(test)]
mod tests;
