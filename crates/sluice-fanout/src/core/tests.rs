//! Every stream sees every event of its topics from its join on, once, in order, under any interleaving of
//! publishes, fences, joins, partial writes, blocks, evictions, leaves and ends.

mod clients;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use sluice_wire::sse::Frame;
use sluice_wire::{EventId, Topic};

use self::clients::{Client, Clients};
use super::*;
use crate::deadline::{Deadline, End};
use crate::ring::Framing;
use crate::set::{TopicKey, TopicSet};

const FEEDS: [&[u32]; 3] = [&[0], &[0, 1], &[1]];
const LIMITS: RingLimits = RingLimits { events_max: 6, bytes_max: 400 };
const RULES: Housekeeping = Housekeeping { heartbeat_s: 15, stall_s: 1_000, closing_s: 2 };

struct World {
    core: Core<u32>,
    clients: Clients,
    tokens: HashMap<u32, Token>,
    /// Events published by topic: their ids are 1-0, 2-0 and so on.
    published: [u64; 2],
    /// Events that no log has.
    lost: HashSet<(u32, u64)>,
    confirmed_ms: u64,
    fences: Vec<(u32, Fence)>,
    next_socket: u32,
    now_s: u32,
}

#[derive(Debug, Clone)]
enum Op {
    Publish { topic: u32, size: usize },
    Serve { budget: usize },
    Fence { feed: usize },
    Join,
    Unpin,
    Room { client: usize, bytes: usize },
    Leave { client: usize },
    Plain { topic: u32 },
    Lose { topic: u32 },
    Confirm,
    Seconds { count: u32 },
    End { client: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..2_u32, 0..120_usize).prop_map(|(topic, size)| Op::Publish { topic, size }),
        6 => (1..4_usize).prop_map(|budget| Op::Serve { budget }),
        3 => (0..3_usize).prop_map(|feed| Op::Fence { feed }),
        3 => Just(Op::Join),
        1 => Just(Op::Unpin),
        6 => (any::<usize>(), 0..400_usize).prop_map(|(client, bytes)| Op::Room { client, bytes }),
        1 => any::<usize>().prop_map(|client| Op::Leave { client }),
        1 => (0..2_u32).prop_map(|topic| Op::Plain { topic }),
        1 => (0..2_u32).prop_map(|topic| Op::Lose { topic }),
        1 => Just(Op::Confirm),
        1 => prop_oneof![Just(1), Just(20)].prop_map(|count| Op::Seconds { count }),
        1 => any::<usize>().prop_map(|client| Op::End { client }),
    ]
}

fn event(topic: u32, number: u64, size: usize) -> Frame {
    let data = format!("{topic}:{number}:{}", "x".repeat(size));
    Frame::event(Some(EventId::at(number)), None, &data)
}

impl World {
    fn new() -> Self {
        let mut core = Core::new(LIMITS);
        for (feed, topics) in (0_u32..).zip(FEEDS) {
            let members =
                topics.iter().map(|t| (TopicKey(*t), Topic::parse(&format!("t{t}")).unwrap())).collect();
            let set = Arc::new(TopicSet::new(members));
            let positions = vec![EventId::ZERO; set.len()].into_boxed_slice();
            core.apply(Notice::Open { feed: FeedId(feed), set, positions, floor_ms: 0 });
        }
        Self {
            core,
            clients: Clients::default(),
            tokens: HashMap::new(),
            published: [0, 0],
            lost: HashSet::new(),
            confirmed_ms: 0,
            fences: Vec::new(),
            next_socket: 0,
            now_s: 0,
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Publish { topic, size } => {
                self.published[*topic as usize] += 1;
                let number = self.published[*topic as usize];
                let frame = event(*topic, number, *size);
                self.core.apply(Notice::Event {
                    topic: TopicKey(*topic),
                    id: EventId::at(number),
                    frame,
                    witness: None,
                });
            }
            Op::Serve { budget } => self.core.serve(*budget, &mut self.clients, |_| {}),
            Op::Fence { feed } => {
                let feed = u32::try_from(*feed).unwrap();
                self.fences.push((feed, self.core.fence(FeedId(feed)).unwrap()));
            }
            Op::Join => self.join(),
            Op::Unpin => {
                if let Some((feed, _)) = self.fences.pop() {
                    self.core.unpin(FeedId(feed));
                }
            }
            Op::Room { client, bytes } => {
                if let Some(socket) = self.pick(*client) {
                    self.clients.0.get_mut(&socket).unwrap().room += bytes;
                    let key = self.tokens[&socket].key;
                    self.core.writable(key, &mut self.clients);
                }
            }
            Op::Leave { client } => {
                if let Some(socket) = self.pick(*client) {
                    self.clients.0.get_mut(&socket).unwrap().gone = true;
                    self.core.hang_up(self.tokens[&socket].key, "client");
                }
            }
            Op::Plain { topic } => {
                let frame = Frame::event(None, None, "plain");
                self.core.apply(Notice::Plain { topic: TopicKey(*topic), frame });
            }
            Op::Lose { topic } => {
                // The log lost one event, which no stream is ever given: it is told missing.
                self.published[*topic as usize] += 1;
                let number = self.published[*topic as usize];
                self.lost.insert((*topic, number));
                let (topic, position) = (TopicKey(*topic), EventId::at(number));
                let frame = Frame::control("sluice.gap", "{}", None);
                self.core.apply(Notice::Jump { topic, position, frame });
            }
            Op::Confirm => {
                self.confirmed_ms += 1;
                let floors = [0, 1].map(|topic| (TopicKey(topic), self.confirmed_ms)).into();
                self.core.apply(Notice::Confirmed { floors });
            }
            Op::Seconds { count } => {
                self.now_s += count;
                self.core.set_time(self.now_s);
                self.look_at_all();
            }
            Op::End { client } => {
                if let Some(socket) = self.pick(*client) {
                    let key = self.tokens[&socket].key;
                    self.core.slots.get_mut(key).unwrap().ends = Deadline::at(self.now_s, End::Age);
                }
            }
        }
        self.settle();
    }

    /// A live token of some client.
    fn pick(&self, choice: usize) -> Option<u32> {
        let mut sockets: Vec<_> =
            self.tokens.iter().filter(|(_, t)| self.core.resolve(**t).is_some()).map(|(s, _)| *s).collect();
        sockets.sort_unstable();
        (!sockets.is_empty()).then(|| sockets[choice % sockets.len()])
    }

    fn look_at_all(&mut self) {
        for index in 0..self.core.extent() {
            let words = |_, _| LastWords { reason: "aged", frame: Frame::comment("bye") };
            if let Some(key) = self.core.look_at(index, RULES, words, &mut self.clients) {
                let socket = *self.core.socket(key).unwrap();
                self.clients.0.get_mut(&socket).unwrap().ended = true;
            }
        }
    }

    fn join(&mut self) {
        let Some((feed, fence)) = self.fences.pop() else { return };
        let socket = self.next_socket;
        self.next_socket += 1;
        let joined_at = fence.positions.iter().map(|id| id.ms).collect();
        let framing = if socket.is_multiple_of(2) { Framing::Raw } else { Framing::Chunked };
        self.clients.0.insert(socket, Client { feed, framing, joined_at, ..Client::default() });
        self.enter(socket, &fence);
    }

    fn enter(&mut self, socket: u32, fence: &Fence) {
        let joining = Joining {
            socket,
            feed: FeedId(self.clients.0[&socket].feed),
            framing: self.clients.0[&socket].framing,
            ends: Deadline::NEVER,
            opened_s: 0,
            principal: 0,
            positions: fence.positions.clone(),
            rest: None,
        };
        if let Some(token) = self.core.join(joining, fence.sequence) {
            self.tokens.insert(socket, token);
        }
    }

    /// Plays the catch-up of streams that fell behind, and forgets those that left.
    fn settle(&mut self) {
        for left in self.core.take_left() {
            if let Some(socket) = left.socket {
                self.clients.0.get_mut(&socket).unwrap().ended = true;
            }
        }
        for Laggard { stream: lagging, .. } in self.core.take_lagging() {
            let client = self.clients.0.get_mut(&lagging.socket).unwrap();
            if let Some((frame, offset)) = &lagging.rest {
                frame.copy_from(client.framing, *offset as usize, &mut client.received);
            }
            let topics = FEEDS[client.feed as usize];
            let fence = self.core.fence(lagging.feed).unwrap();
            for ((topic, from), to) in topics.iter().zip(&lagging.positions).zip(&fence.positions) {
                let retained = |number: &u64| !self.lost.contains(&(*topic, *number));
                for number in (from.ms + 1..=to.ms).filter(retained) {
                    let frame = RingFrame::whole(event(*topic, number, 0), None);
                    frame.copy_from(client.framing, 0, &mut client.received);
                }
            }
            self.enter(lagging.socket, &fence);
        }
    }

    /// Lets everybody read everything, then compares.
    fn finish(mut self) -> Result<(), TestCaseError> {
        for client in self.clients.0.values_mut() {
            client.room = usize::MAX;
        }
        for _ in 0..100 {
            let mut sockets: Vec<_> = self.tokens.keys().copied().collect();
            sockets.sort_unstable();
            for socket in sockets {
                if let Some((key, _)) = self.core.resolve(self.tokens[&socket]) {
                    self.core.writable(key, &mut self.clients);
                }
                self.settle();
            }
            while self.core.has_work() {
                self.core.serve(4, &mut self.clients, |_| {});
                self.settle();
            }
        }
        for client in self.clients.0.values() {
            for (topic, joined_at) in FEEDS[client.feed as usize].iter().zip(&client.joined_at) {
                let published = self.published[*topic as usize];
                let received = client.numbers_received(*topic);
                let retained = |number: &u64| !self.lost.contains(&(*topic, *number));
                let expected: Vec<_> = (joined_at + 1..=published).filter(retained).collect();
                if client.gone || client.ended {
                    prop_assert_eq!(&received[..], &expected[..received.len()], "a prefix");
                } else {
                    prop_assert_eq!(received, expected);
                }
            }
        }
        self.fences.iter().for_each(|(feed, _)| self.core.unpin(FeedId(*feed)));
        for feed in 0..3 {
            let entry = self.core.view.get(FeedId(feed)).unwrap();
            prop_assert!(entry.feed.ring().is_empty(), "nothing is kept that nobody needs");
        }
        prop_assert!(self.core.waiting.is_empty());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_stream_sees_everything_once_and_in_order(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        ops.iter().for_each(|op| world.run(op));
        world.finish()?;
    }
}
