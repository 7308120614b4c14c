//! Who is taken, who is not, and that nothing is left of those who have gone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use sluice_access::Identity;
use sluice_wire::Topic;
use sluice_wire::sse::Frame;

use super::*;

mod refused;

fn admission(streams_max: usize, accept_per_second: u32, accept_burst: u32, now: Instant) -> Admission {
    let limits = Limits { streams_max, accept_per_second, accept_burst, ..Limits::default() };
    Admission::new(&limits, Pressure::default(), Tallies::register(), now)
}

fn admit(admission: &Admission, now: Instant, applicant: &Applicant<'_>) -> Result<Place, Refused> {
    admission.admit(now, applicant, || Ok(None))
}

#[test]
fn a_full_node_takes_a_stream_again_when_one_has_left() {
    let now = Instant::now();
    let admission = admission(2, 1_000, 1_000, now);
    let first = admit(&admission, now, &Applicant::default()).unwrap();
    let _second = admit(&admission, now, &Applicant::default()).unwrap();
    assert_eq!(admit(&admission, now, &Applicant::default()).unwrap_err().why, Refusal::Full);
    drop(first);
    assert!(admit(&admission, now, &Applicant::default()).is_ok());
    assert_eq!(admission.open(), 1, "the place that was not kept was given back");
}

#[test]
fn the_rate_holds_over_any_time_and_the_burst_at_once() {
    let start = Instant::now();
    let admission = admission(usize::MAX, 100, 10, start);
    let taken = |millis: u64| {
        let now = start + Duration::from_millis(millis);
        (0..1_000).take_while(|_| admit(&admission, now, &Applicant::default()).is_ok()).count()
    };
    assert_eq!(taken(0), 10);
    assert_eq!(taken(0), 0);
    assert_eq!(taken(50), 5);
    assert_eq!(taken(60_000), 10, "a quiet minute saves up no more than the burst");
    assert_eq!(admission.open(), 0, "refusals leave nothing behind");
}

#[test]
fn a_draining_node_takes_nothing() {
    let now = Instant::now();
    let admission = admission(9, 9, 9, now);
    admission.drain();
    assert_eq!(admit(&admission, now, &Applicant::default()).unwrap_err().why, Refusal::Draining);
}

/// A client of few, so that many are the same.
#[derive(Debug, Clone)]
struct Client {
    host: u8,
    subject: Option<u8>,
    token: u8,
    topics: Vec<u8>,
}

impl Client {
    fn any() -> impl Strategy<Value = Self> {
        let subject = prop::option::of(0..3_u8);
        let topics = prop::collection::btree_set(0..3_u8, 1..3).prop_map(|set| set.into_iter().collect());
        (0..6_u8, subject, 0..2_u8, topics).prop_map(|(host, subject, token, topics)| Self {
            host,
            subject,
            token,
            topics,
        })
    }

    /// Two hosts are one network.
    fn network(&self) -> u8 {
        self.host / 2
    }

    fn issuer(&self) -> String {
        format!("i{}", self.token)
    }

    fn apply(&self, admission: &Admission, now: Instant) -> Result<Place, Refused> {
        let identity = self.subject.map(|subject| Identity {
            subject: Some(format!("s{subject}").into()),
            token_id: Some(format!("t{}", self.token).into()),
            issuer: Some(self.issuer().into()),
            ..nobody()
        });
        let topics: Vec<Topic> =
            self.topics.iter().map(|t| Topic::parse(&format!("t{t}")).unwrap()).collect();
        let address = IpAddr::from([10, 0, 0, self.host]);
        let applicant = Applicant {
            address: Some(address),
            identity: identity.as_ref(),
            topics: &topics,
            ..Applicant::default()
        };
        admit(admission, now, &applicant)
    }
}

fn nobody() -> Identity {
    Identity::anonymous(Arc::default())
}

#[derive(Debug, Clone)]
enum Op {
    Come(Client),
    Leave(usize),
    /// Into a slot, and out of it again for its log.
    Lag(usize),
    /// Into a slot, and away from there.
    LeaveSlot(usize),
    /// A subject, of one issuer alone.
    Sentence(u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => Client::any().prop_map(Op::Come),
        1 => any::<usize>().prop_map(Op::Leave),
        2 => any::<usize>().prop_map(Op::Lag),
        1 => any::<usize>().prop_map(Op::LeaveSlot),
        1 => (0..3_u8, 0..2_u8).prop_map(|(subject, token)| Op::Sentence(subject, token)),
    ]
}

/// What is open, with what a count from nothing says of it.
#[derive(Default)]
struct Model {
    /// Each with whether it was sentenced.
    open: Vec<(Client, Place, bool)>,
}

const LIMITS: [u32; 3] = [6, 5, 7];

impl Model {
    fn counts(&self, of: impl Fn(&Client) -> Vec<u8>) -> HashMap<u8, u32> {
        let mut counts = HashMap::new();
        self.open
            .iter()
            .flat_map(|(client, ..)| of(client))
            .for_each(|name| *counts.entry(name).or_default() += 1);
        counts
    }

    fn verdict(&self, client: &Client) -> Result<(), Refusal> {
        let full = |of: &dyn Fn(&Client) -> Vec<u8>, max: u32| {
            let counts = self.counts(of);
            of(client).iter().any(|name| counts.get(name).is_some_and(|count| *count >= max))
        };
        if full(&|client| vec![client.network()], LIMITS[0]) {
            Err(Refusal::Address)
        } else if full(&|client| client.subject.into_iter().collect(), LIMITS[1]) {
            Err(Refusal::Subject)
        } else if full(&|client| client.topics.clone(), LIMITS[2]) {
            Err(Refusal::Topic)
        } else {
            Ok(())
        }
    }
}

proptest! {
    #[test]
    fn a_place_is_given_back_once_whatever_becomes_of_its_stream(ops in prop::collection::vec(op(), 1..150)) {
        let now = Instant::now();
        let [streams_per_address_max, streams_per_subject_max, streams_per_topic_max] = LIMITS;
        let address_prefixes = sluice_access::AddressPrefixes { v4_bits: 31, v6_bits: 64 };
        let admission = Admission::new(
            &Limits {
                streams_per_address_max,
                address_prefixes,
                streams_per_subject_max,
                streams_per_topic_max,
                ..Limits::default()
            },
            Pressure::default(),
            Tallies::register(),
            now,
        );
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Come(client) => {
                    let expected = model.verdict(&client);
                    let admitted = client.apply(&admission, now);
                    prop_assert_eq!(admitted.as_ref().map(drop).map_err(|refused| refused.why), expected);
                    if let Ok(place) = admitted {
                        model.open.push((client, place, false));
                    }
                }
                Op::Leave(choice) if !model.open.is_empty() => {
                    let choice = choice % model.open.len();
                    drop(model.open.swap_remove(choice));
                }
                Op::Lag(choice) if !model.open.is_empty() => {
                    let choice = choice % model.open.len();
                    let (client, place, sentenced) = model.open.swap_remove(choice);
                    let number = place.keep();
                    model.open.push((client, admission.resume(number), sentenced));
                }
                Op::LeaveSlot(choice) if !model.open.is_empty() => {
                    let choice = choice % model.open.len();
                    let number = model.open.swap_remove(choice).1.keep();
                    admission.leave(number, "drained");
                }
                Op::Sentence(subject, token) => {
                    let sentence = Sentence::new("revoked", |_| Frame::comment("go"));
                    let (name, issuer) = (format!("s{subject}"), format!("i{token}"));
                    let meant = admission.sentence(
                        |who| {
                            who.names.subject == Some(name.as_str())
                                && who.names.issuer == Some(issuer.as_str())
                        },
                        &sentence,
                    );
                    let of_it = |(client, _, sentenced): &&mut (Client, Place, bool)| {
                        client.subject == Some(subject) && client.token == token && !*sentenced
                    };
                    let marked = model.open.iter_mut().filter(of_it).map(|(.., sentenced)| *sentenced = true);
                    prop_assert_eq!(meant, marked.count() as u64);
                }
                Op::Leave(_) | Op::Lag(_) | Op::LeaveSlot(_) => {}
            }
            prop_assert_eq!(admission.open(), model.open.len());
            for (client, place, sentenced) in &model.open {
                let standing = place.standing();
                prop_assert_eq!(standing.is_sentenced(), *sentenced, "those who came before, and no other");
                let subject = admission.principal(standing.principal(), |who| who.names.subject.map(str::to_owned));
                prop_assert_eq!(subject.flatten(), client.subject.map(|subject| format!("s{subject}")));
            }
        }
        model.open.clear();
        prop_assert_eq!(admission.open(), 0);
        prop_assert_eq!(admission.gate.book().sizes(), [0; 5]);
        prop_assert_eq!(admission.gate.book().sentenced(), 0);
    }
}

#[test]
fn nobody_costs_nothing_and_equals_share() {
    let now = Instant::now();
    let admission = admission(usize::MAX, 1_000, 1_000, now);
    let anonymous = Applicant { identity: Some(&nobody()), ..Applicant::default() };
    let place = admit(&admission, now, &anonymous).unwrap();
    assert_eq!((place.standing().principal(), admission.gate.book().sizes()), (0, [0; 5]));
    let client = Client { host: 1, subject: Some(1), token: 0, topics: vec![1] };
    let places: Vec<Place> = (0..9).map(|_| client.apply(&admission, now).unwrap()).collect();
    let elsewhere = Client { host: 77, topics: vec![2], ..client.clone() };
    let other = elsewhere.apply(&admission, now).unwrap();
    assert_eq!(
        other.standing().principal(),
        places[0].standing().principal(),
        "no limit asks where it comes from"
    );
    assert_eq!(admission.gate.book().sizes(), [1, 1, 0, 0, 0]);
}

#[test]
fn a_node_that_is_short_of_memory_takes_nothing_until_it_is_not() {
    let (now, pressure) = (Instant::now(), Pressure::default());
    let admission = Admission::new(&Limits::default(), pressure.clone(), Tallies::register(), now);
    assert!(pressure.set(true) && !pressure.set(true));
    assert_eq!(admit(&admission, now, &Applicant::default()).unwrap_err().why, Refusal::Memory);
    pressure.set(false);
    assert!(admit(&admission, now, &Applicant::default()).is_ok());
}
