//! Whose the open streams are, and how many each address, subject and topic has.
//!
//! Streams of one principal share an entry, and a stream keeps its number. A stream without an identity, on a
//! node without limits by address or topic, is nobody's: number 0, which costs nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sluice_access::{AddressPrefixes, Identity, Names};
use sluice_wire::Topic;

use super::cluster::ClusterQuota;
use super::counted::Counted;
use super::label::{Label, Principal, decode, encode};
use super::{Refusal, Refused, Sentence};
use crate::settings::{Limits, RefusedWait};

/// Who asks for a stream, and for what.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Applicant<'a> {
    /// Where the request comes from.
    pub(crate) address: Option<IpAddr>,
    /// Who it is from, once that was judged.
    pub(crate) identity: Option<&'a Identity>,
    /// The topics of the stream.
    pub(crate) topics: &'a [Topic],
    /// The node would have to follow more topics than it may.
    pub(crate) too_many_topics: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    prefixes: AddressPrefixes,
    wait: RefusedWait,
    principals: Counted,
    /// The names of issuers, which principals have by number.
    issuers: Counted,
    addresses: Quota,
    subjects: Quota,
    topics: Quota,
    /// Streams of subjects on all nodes.
    pub(super) cluster: ClusterQuota,
    /// Principals whose streams are being ended.
    sentences: HashMap<u32, Sentence>,
}

/// How many streams each name has, if anybody wants to know.
#[derive(Debug)]
struct Quota {
    /// How many it may have; 0 for any number, which is not counted.
    max: u32,
    counted: Counted,
    /// Of names of which somebody was turned away: when the next one of them is due. It outlives the moment at which
    /// a place is free: the crowd that was told to wait is still there.
    due: HashMap<Box<[u8]>, Instant>,
    /// With so many of them, those that are past are forgotten.
    due_max: usize,
}

/// Names whose turns are kept without looking whether they are past.
const DUE_LEAST: usize = 64;

/// Between two tries of all clients of one name together, as far as they can be told to wait so long.
const TRY_INTERVAL: Duration = Duration::from_secs(1);

impl Quota {
    fn new(max: u32) -> Self {
        Self { max, counted: Counted::default(), due: HashMap::new(), due_max: DUE_LEAST }
    }

    fn is_on(&self) -> bool {
        self.max > 0
    }

    fn is_full(&self, name: &[u8]) -> bool {
        self.is_on() && self.counted.holders(name) >= self.max
    }

    /// How long the next client of a full name should wait. The more of them try, the longer: a crowd behind one
    /// name knocks no more often than a few.
    fn turn_away(&mut self, name: &[u8], now: Instant, wait: &RefusedWait) -> Duration {
        if self.due.len() >= self.due_max {
            self.due.retain(|_, due| *due > now);
            self.due_max = DUE_LEAST.max(2 * self.due.len());
            self.due.shrink_to(self.due_max);
        }
        let due = self.due.entry(name.into()).or_insert(now);
        let turn = (*due).max(now);
        *due = (turn + TRY_INTERVAL).min(now + wait.most);
        turn.duration_since(now).clamp(wait.least.min(wait.most), wait.most)
    }

    fn hold(&mut self, name: &[u8]) -> Option<u32> {
        self.is_on().then(|| self.counted.hold(name))
    }

    fn release(&mut self, name: &[u8]) {
        if self.is_on() {
            self.counted.release_name(name);
        }
    }
}

impl Book {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            prefixes: limits.address_prefixes,
            wait: limits.refused_wait,
            principals: Counted::default(),
            issuers: Counted::default(),
            addresses: Quota::new(limits.streams_per_address_max),
            subjects: Quota::new(limits.streams_per_subject_max),
            topics: Quota::new(limits.streams_per_topic_max),
            cluster: ClusterQuota::new(limits.cluster_streams_per_subject_max),
            sentences: HashMap::new(),
        }
    }

    /// Enters one more stream of an applicant; the number of its principal.
    pub(super) fn enter(&mut self, now: Instant, applicant: &Applicant<'_>) -> Result<u32, Refused> {
        let identity = applicant.identity;
        let network = applicant.address.filter(|_| self.addresses.is_on());
        let principal = Principal {
            network: network.map(|address| self.prefixes.network_of(address)),
            // An issuer alone is nobody's name.
            names: identity.filter(|identity| identity.is_named()).map(Identity::names).unwrap_or_default(),
        };
        if principal == Principal::default() && !self.topics.is_on() {
            return Ok(0);
        }
        self.refuse_if_full(now, &principal, applicant.topics)?;
        principal.network.map(|network| self.addresses.hold(&octets(network)));
        if let Some(subject) = principal.names.subject {
            self.subjects.hold(subject.as_bytes());
            self.cluster.hold(subject);
        }
        let held = applicant.topics.iter().filter_map(|topic| self.topics.hold(topic.as_str().as_bytes()));
        let mut topics: Vec<u32> = held.collect();
        topics.sort_unstable();
        let issuer = principal.names.issuer.map(|issuer| self.issuers.hold(issuer.as_bytes()));
        Ok(self.principals.hold(&encode(principal, issuer, &topics)) + 1)
    }

    fn refuse_if_full(
        &mut self,
        now: Instant,
        principal: &Principal<'_>,
        topics: &[Topic],
    ) -> Result<(), Refused> {
        let wait = self.wait;
        let refuse = |quota: &mut Quota, name: &[u8], why| {
            let wait = Some(quota.turn_away(name, now, &wait));
            Err(Refused { why, wait })
        };
        let network = principal.network.map(octets).filter(|name| self.addresses.is_full(name));
        if let Some(name) = network {
            return refuse(&mut self.addresses, &name, Refusal::Address);
        }
        let subject = principal.names.subject.map(str::as_bytes).filter(|name| self.subjects.is_full(name));
        if let Some(name) = subject {
            return refuse(&mut self.subjects, name, Refusal::Subject);
        }
        if let Some(subject) = principal.names.subject.filter(|subject| self.cluster.is_full(subject)) {
            return refuse(&mut self.subjects, subject.as_bytes(), Refusal::ClusterSubject);
        }
        let mut names = topics.iter().map(|topic| topic.as_str().as_bytes());
        match names.find(|name| self.topics.is_full(name)) {
            Some(name) => refuse(&mut self.topics, name, Refusal::Topic),
            None => Ok(()),
        }
    }

    /// Crosses out one stream of a principal.
    pub(super) fn leave(&mut self, number: u32) {
        let Some(id) = number.checked_sub(1) else { return };
        let Self { principals, issuers, addresses, subjects, topics, cluster, sentences, .. } = self;
        let Some(label) = principals.name(id).and_then(decode) else {
            debug_assert!(false, "a stream leaves once");
            return;
        };
        let principal = label.principal;
        if let Some(network) = principal.network {
            addresses.release(&octets(network));
        }
        if let Some(subject) = principal.names.subject {
            subjects.release(subject.as_bytes());
            cluster.release(subject);
        }
        if let Some(issuer) = label.issuer {
            issuers.release(issuer);
        }
        label.topics().for_each(|topic| {
            topics.counted.release(topic);
        });
        if principals.release(id) {
            sentences.remove(&id);
        }
    }

    /// Sentences the principals that `who` names; how many streams they have. Whoever comes under the same name
    /// from now on is another principal.
    pub(super) fn sentence(&mut self, who: impl Fn(&Principal<'_>) -> bool, sentence: &Sentence) -> u64 {
        let named = |(id, label, streams): (u32, &[u8], u32)| {
            let principal = self.read(label)?;
            who(&principal).then_some((id, u64::from(streams)))
        };
        let found: Vec<(u32, u64)> = self
            .principals
            .iter()
            .filter(|(id, ..)| !self.sentences.contains_key(id))
            .filter_map(named)
            .collect();
        for (id, _) in &found {
            self.principals.hide(*id);
            self.sentences.insert(*id, sentence.clone());
        }
        found.into_iter().map(|(_, streams)| streams).sum()
    }

    /// The sentence on the principal of this number.
    pub(super) fn sentence_on(&self, number: u32) -> Option<Sentence> {
        self.sentences.get(&number.checked_sub(1)?).cloned()
    }

    /// Principals under a sentence.
    pub(super) fn sentenced(&self) -> usize {
        self.sentences.len()
    }

    /// The principal of this number.
    pub(super) fn principal(&self, number: u32) -> Option<Principal<'_>> {
        self.read(self.principals.name(number.checked_sub(1)?)?)
    }

    fn read<'b>(&'b self, label: &'b [u8]) -> Option<Principal<'b>> {
        let Label { principal, issuer, .. } = decode(label)?;
        let issuer = issuer.and_then(|issuer| std::str::from_utf8(self.issuers.name(issuer)?).ok());
        Some(Principal { names: Names { issuer, ..principal.names }, ..principal })
    }

    /// Subjects of whom somebody was turned away.
    #[cfg(test)]
    pub(super) fn turned_away(&self) -> usize {
        self.subjects.due.len()
    }

    /// Principals, and names that are counted: nothing is left of those without streams.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 5] {
        let Self { principals, issuers, addresses, subjects, topics, .. } = self;
        let counted = [addresses, subjects, topics].map(|quota| quota.counted.len());
        [principals.len(), issuers.len(), counted[0], counted[1], counted[2]]
    }
}

/// A network as counted: the two families have names of different lengths.
fn octets(network: IpAddr) -> Vec<u8> {
    match network {
        IpAddr::V4(network) => network.octets().to_vec(),
        IpAddr::V6(network) => network.octets().to_vec(),
    }
}
