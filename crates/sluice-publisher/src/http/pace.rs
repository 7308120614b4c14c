//! How fast events come: of one sender, by its subject or else its network, and for one topic. An event that is
//! too early takes nothing of either.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::http::Extensions;
use sluice_access::{AddressPrefixes, ClientAddress, Identity, Rate, Rates};
use sluice_wire::Topic;

/// Senders, and topics, whose rates are told apart.
const NAMES_MAX: usize = 65_536;

/// What is allowed; `None` is anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaceSettings {
    /// Events of one sender.
    pub per_sender: Option<Rate>,
    /// Events of one topic.
    pub per_topic: Option<Rate>,
    /// Which addresses are one sender, where there is no subject.
    pub address_prefixes: AddressPrefixes,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    Subject(std::sync::Arc<str>),
    Network(IpAddr),
    /// Somebody inside this process.
    Unknown,
}

impl Sender {
    /// Whether it has shown no credentials.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self, Self::Network(_))
    }
}

/// Whose rate an event exceeds, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    Sender(Duration),
    Topic(Duration),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    prefixes: AddressPrefixes,
    rates: Option<Mutex<Both>>,
}

#[derive(Debug)]
struct Both {
    senders: Option<Rates>,
    topics: Option<Rates>,
}

impl Pace {
    pub(super) fn new(settings: PaceSettings, now: Instant) -> Self {
        let PaceSettings { per_sender, per_topic, address_prefixes } = settings;
        let rates = |rate: Option<Rate>| rate.map(|rate| Rates::new(rate, NAMES_MAX, now));
        let limited = per_sender.is_some() || per_topic.is_some();
        let both = || Mutex::new(Both { senders: rates(per_sender), topics: rates(per_topic) });
        Self { prefixes: address_prefixes, rates: limited.then(both) }
    }

    /// Whom a request is from.
    pub(super) fn sender(&self, extensions: &Extensions) -> Sender {
        let subject = extensions.get::<Identity>().and_then(|identity| identity.subject.clone());
        match (subject, extensions.get::<ClientAddress>()) {
            (Some(subject), _) => Sender::Subject(subject),
            (None, Some(address)) => Sender::Network(self.prefixes.network_of(address.0)),
            (None, None) => Sender::Unknown,
        }
    }

    /// Takes one event of a sender for a topic, or says when it may come.
    pub(super) fn take(&self, sender: &Sender, topic: &Topic, now: Instant) -> Result<(), Early> {
        let Some(rates) = &self.rates else { return Ok(()) };
        let mut both: MutexGuard<'_, Both> = rates.lock().unwrap_or_else(sluice_failure::poisoned);
        let Both { senders, topics } = &mut *both;
        if let Some(senders) = senders {
            senders.look(sender, now).map_err(Early::Sender)?;
        }
        if let Some(topics) = topics {
            topics.look(topic, now).map_err(Early::Topic)?;
            topics.take(topic, now);
        }
        if let Some(senders) = senders {
            senders.take(sender, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_too_early_for_one_takes_nothing_of_the_other() {
        let now = Instant::now();
        let [wide, narrow] = [5, 2].map(|burst| Some(Rate { per_second: 1, burst }));
        let settings = PaceSettings { per_sender: wide, per_topic: narrow, ..PaceSettings::default() };
        let pace = Pace::new(settings, now);
        let topic = |name| Topic::parse(name).unwrap();
        let sender = Sender::Subject("s".into());
        let takes = |name| pace.take(&sender, &topic(name), now);
        assert_eq!([takes("a"), takes("a")], [Ok(()), Ok(())]);
        assert_eq!(takes("a"), Err(Early::Topic(Duration::from_secs(1))));
        assert_eq!(
            [takes("b"), takes("b"), takes("c")],
            [Ok(()); 3],
            "five of the sender, two of each topic"
        );
        assert_eq!(takes("c"), Err(Early::Sender(Duration::from_secs(1))));
        assert_eq!(pace.take(&Sender::Unknown, &topic("c"), now), Ok(()), "nothing was taken of the topic");
    }
}
