//! Opening streams: at the set rate, again after the server ended one (as an `EventSource` would: after its
//! `retry`, with its cursor), and over and over for groups that churn. Only the loopback is ever connected to.

use std::cmp::Reverse;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use anyhow::{Result, bail};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

use super::Generator;
use super::group::RunningGroup;
use super::protocol::Plan;
use super::stream::{State, Stream, request};
use crate::checker::{Checker, Lane};
use crate::clock::monotonic_ns;
use crate::pacing::Pace;
use crate::reader::Reader;
use crate::scenario::{Opens, Part, Topics};

/// Streams from one source address: below the 28,000 ephemeral ports that Linux gives an address by default.
const STREAMS_PER_SOURCE: u32 = 20_000;
/// Attempts before a stream is given up.
const ATTEMPTS_MAX: u8 = 20;
/// Streams that may be connecting at one time, well below the servers' listen queues.
const CONNECTING_MAX: usize = 1024;
/// The wait before a reconnection where the server names none.
const RETRY_MS: u32 = 1000;
/// The receive buffer of a slow reader, so that the server and not the kernel has to wait for it.
const SLOW_BUFFER_BYTES: usize = 4096;

/// Streams that wait for their turn.
#[derive(Default)]
pub(super) struct Opening {
    pace: Option<Pace>,
    queue: std::collections::VecDeque<u32>,
}

impl Opening {
    /// How many have not been connected yet.
    pub(super) fn left(&self) -> u64 {
        self.queue.len() as u64
    }
}

/// A stream that connects again at a moment; the earliest first in a heap.
pub(super) type Retry = Reverse<(u64, u32)>;

impl Generator {
    /// Builds the table of streams and lanes.
    pub(super) fn prepare(&mut self, plan: Plan) -> Result<()> {
        if let Some(server) = plan.servers.iter().find(|server| !server.ip().is_loopback()) {
            bail!("{server} is not on this machine; a load is only ever sent to the loopback");
        }
        *self = Self::new()?;
        let topics = Topics::of(&plan.part);
        let mut global = 0;
        for (index, group) in plan.part.streams.iter().enumerate() {
            let first = u32::try_from(self.streams.len())?;
            for number in 0..group.count {
                let holder = group.held_by.unwrap_or(global % plan.workers);
                if holder == plan.worker && global < plan.streams_max {
                    let cursor = plan.cursors.get(&group.name).cloned().unwrap_or_default().into_bytes();
                    let lanes = lanes(&mut self.checker, &plan, &topics, index, number);
                    self.streams.push(Stream {
                        socket: None,
                        reader: Reader::new(),
                        state: State::Idle,
                        group: u16::try_from(index)?,
                        opened: false,
                        attempts: 0,
                        lane_count: u8::try_from(lanes.len())?,
                        first_lane: u32::try_from(lanes.start)?,
                        number,
                        global,
                        retry_ms: RETRY_MS,
                        last_id: cursor,
                    });
                }
                global += 1;
            }
            let range = first..u32::try_from(self.streams.len())?;
            self.groups.push(RunningGroup::new(group, range, plan.workers));
        }
        self.plan = Some((plan, topics));
        Ok(())
    }

    /// Queues the groups that open at this point.
    pub(super) fn begin_opening(&mut self, opens: Opens) {
        let Some((plan, _)) = &self.plan else { return };
        for (group, running) in plan.part.streams.iter().zip(&self.groups) {
            if group.opens == opens {
                self.opening.queue.extend(running.streams.clone());
            }
        }
        self.opening.pace = Some(Pace::new(plan.open_per_second, monotonic_ns()));
    }

    /// Connects the streams that are due; says when the next is.
    pub(super) fn open_due(&mut self, now: u64) -> Option<u64> {
        let due = self.opening.pace.as_ref()?.due(now);
        for _ in 0..due {
            if self.connecting >= CONNECTING_MAX {
                return Some(now + 1_000_000);
            }
            let Some(stream) = self.opening.queue.pop_front() else {
                self.opening.pace = None;
                return None;
            };
            self.connect(stream);
            self.opening.pace.as_mut()?.take(1);
        }
        self.opening.pace.as_ref()?.next_ns()
    }

    /// Connects again the streams whose wait is over.
    pub(super) fn retry_due(&mut self, now: u64) -> Option<u64> {
        while let Some(Reverse((at, stream))) = self.retries.peek().copied() {
            if at > now {
                return Some(at);
            }
            self.retries.pop();
            self.counts.reopened += 1;
            self.connect(stream);
        }
        None
    }

    /// A step begins, and with it the churn.
    pub(super) fn restart_churn(&mut self, now: u64) {
        for group in &mut self.groups {
            group.churn = group.churn_per_second.map(|rate| Pace::new(rate, now));
        }
    }

    /// Closes and reopens the streams whose turn it is.
    pub(super) fn churn_due(&mut self, now: u64) -> Option<u64> {
        if !self.churning {
            return None;
        }
        let mut next = None;
        for index in 0..self.groups.len() {
            let group = &mut self.groups[index];
            let Some(pace) = &mut group.churn else { continue };
            let due = pace.due(now);
            pace.take(due);
            next = next.into_iter().chain(pace.next_ns()).min();
            for _ in 0..due {
                self.churn_one(index);
            }
        }
        next
    }

    fn churn_one(&mut self, index: usize) {
        let group = &mut self.groups[index];
        let stream = group.churn_next;
        group.churn_next = if stream + 1 < group.streams.end { stream + 1 } else { group.streams.start };
        if self.streams.get(stream as usize).is_some_and(|stream| stream.state == State::Open) {
            self.counts.reopened += 1;
            self.connect(stream);
        }
    }

    /// The server ended the stream, or it could not be read: it connects again like an `EventSource`.
    pub(super) fn ended(&mut self, index: u32, why: &str) {
        let was = self.leave(index, State::Idle);
        let stream = &mut self.streams[index as usize];
        if was == State::Open {
            self.counts.ended += 1;
            stream.attempts = 0;
        }
        stream.attempts += 1;
        if stream.attempts > ATTEMPTS_MAX {
            return self.failed(index, why);
        }
        let wait_ns = u64::from(stream.retry_ms) * 1_000_000;
        self.retries.push(Reverse((monotonic_ns() + wait_ns, index)));
    }

    /// The stream is given up.
    pub(super) fn failed(&mut self, index: u32, why: &str) {
        self.leave(index, State::Failed);
        self.counts.failed += 1;
        *self.failures.entry(why.to_owned()).or_default() += 1;
    }

    /// Closes the stream's socket, if any; returns its former state.
    fn leave(&mut self, index: u32, state: State) -> State {
        let stream = &mut self.streams[index as usize];
        let was = std::mem::replace(&mut stream.state, state);
        if matches!(was, State::Connecting | State::Asked) {
            self.connecting -= 1;
        }
        if stream.socket.take().is_some()
            && self.groups[usize::from(stream.group)].slow_bytes_per_second.is_some()
        {
            self.slow.retain(|slow| *slow != index);
        }
        was
    }

    fn connect(&mut self, index: u32) {
        self.leave(index, State::Connecting);
        self.connecting += 1;
        let stream = &mut self.streams[index as usize];
        stream.reader = Reader::new();
        if stream.opened && stream.last_id.is_empty() {
            self.counts.without_cursor += 1;
            self.checker.forget(stream.lanes());
        }
        let Some((plan, _)) = &self.plan else { return };
        let slow = self.groups[usize::from(stream.group)].slow_bytes_per_second.is_some();
        match dial(plan, stream.global, slow) {
            Ok(socket) => {
                let flags = EventFlags::OUT;
                let added = epoll::add(&self.poller, &socket, EventData::new_u64(u64::from(index)), flags);
                stream.socket = Some(socket);
                if let Err(fault) = added {
                    self.failed(index, &format!("poller: {fault}"));
                }
            }
            Err(fault) => self.failed(index, &format!("connect: {fault}")),
        }
    }

    /// The connection stands (or does not): sends the request.
    pub(super) fn connected(&mut self, index: u32) {
        let stream = &mut self.streams[index as usize];
        let (Some(socket), Some((plan, topics))) = (&stream.socket, &self.plan) else { return };
        if let Ok(Err(fault)) | Err(fault) = sockopt::socket_error(socket) {
            return self.ended(index, &format!("connect: {fault}"));
        }
        let group = &plan.part.streams[usize::from(stream.group)];
        let names: Vec<String> =
            topics.of_stream(group, stream.number).filter_map(|(index, _)| topics.name(index)).collect();
        let text = request(plan.dialect, &names, &stream.last_id);
        let sent = net::send(socket, &text, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        if sent != Ok(text.len()) {
            return self.ended(index, "the request could not be sent");
        }
        stream.state = State::Asked;
        let token = EventData::new_u64(u64::from(index));
        if let Err(fault) = epoll::modify(&self.poller, socket, token, EventFlags::IN) {
            self.failed(index, &format!("poller: {fault}"));
        }
    }
}

/// Adds the lanes of the group's stream `number`, each at the event that must come first.
fn lanes(
    checker: &mut Checker,
    plan: &Plan,
    topics: &Topics,
    group: usize,
    number: u32,
) -> std::ops::Range<usize> {
    let group = &plan.part.streams[group];
    let mut range = 0..0;
    for (position, (topic, text)) in topics.of_stream(group, number).enumerate() {
        let next = first_number(&plan.part, group.opens, text, group.resume_back, plan.prefilled);
        let lane = checker.add(Lane { topic, next });
        range = if position == 0 { lane..lane + 1 } else { range.start..lane + 1 };
    }
    range
}

/// A stream that opens while events flow and does not resume begins anywhere; all others begin at a known event.
fn first_number(part: &Part, opens: Opens, topic: &str, resume_back: Option<u64>, prefilled: bool) -> u64 {
    let there = if prefilled { part.prefilled(topic) } else { 0 };
    match (opens, resume_back) {
        (_, Some(back)) => (there + 1).saturating_sub(back),
        (Opens::Before, None) => there + 1,
        (Opens::During, None) => Lane::ANY,
    }
}

/// Begins to connect.
fn dial(plan: &Plan, global: u32, slow: bool) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let server = plan.servers[global as usize % plan.servers.len()];
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    let source = u8::try_from(global / STREAMS_PER_SOURCE).unwrap_or(u8::MAX);
    if let (SocketAddr::V4(_), 1..) = (server, source) {
        net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, source), 0))?;
    }
    if slow {
        sockopt::set_socket_recv_buffer_size(&socket, SLOW_BUFFER_BYTES)?;
    }
    match net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(fault) => Err(fault),
    }
}
