//! A generator: one process, one thread, one poller, up to its descriptor limit of streams. It is told what to
//! do by JSON lines on standard input, answers each command with one line on standard output, and ends when its
//! input ends, so that it never outlives the tool.

mod connect;
mod group;
pub(crate) mod protocol;
mod receive;
mod slow;
mod stream;

use std::collections::{BTreeMap, BinaryHeap};
use std::io::Write as _;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use self::connect::{Opening, Retry};
use self::group::RunningGroup;
pub(crate) use self::group::histogram;
use self::protocol::{Answer, Command, Plan, Status};
use self::stream::{State, Stream};
use crate::checker::{Checker, Tally};
use crate::clock::monotonic_ns;
use crate::reader::Echo;
use crate::scenario::Topics;

/// The poller's token for commands.
const STDIN: u64 = u64::MAX;
/// Bytes taken from a socket at once.
const READ_BYTES: usize = 128 * 1024;
/// Sockets served between two looks at the clock and the schedules.
const BATCH: usize = 512;
/// The longest wait, so that a schedule never stalls for want of an event.
const IDLE_WAIT_NS: u64 = 50_000_000;

/// Runs until standard input ends.
pub(crate) fn run() -> Result<()> {
    Generator::new()?.serve()
}

/// The state of the process.
struct Generator {
    poller: OwnedFd,
    input: Vec<u8>,
    buffer: Vec<u8>,
    plan: Option<(Plan, Topics)>,
    streams: Vec<Stream>,
    groups: Vec<RunningGroup>,
    checker: Checker,
    echo: Echo,
    opening: Opening,
    retries: BinaryHeap<Retry>,
    /// Streams that are read by the clock, not by the poller.
    slow: Vec<u32>,
    slow_turn: usize,
    slow_at_ns: u64,
    /// Streams whose head has not come.
    connecting: usize,
    /// The last number of each topic once a step has published all.
    last: Vec<u64>,
    /// Streams come and go only while a step publishes.
    churning: bool,
    counts: protocol::Counts,
    failures: BTreeMap<String, u64>,
    /// The tally and counts when the step began.
    mark: (Tally, protocol::Counts),
}

impl Generator {
    fn new() -> Result<Self> {
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&poller, std::io::stdin(), EventData::new_u64(STDIN), EventFlags::IN)?;
        Ok(Self {
            poller,
            input: Vec::new(),
            buffer: vec![0; READ_BYTES],
            plan: None,
            streams: Vec::new(),
            groups: Vec::new(),
            checker: Checker::default(),
            echo: Echo::default(),
            opening: Opening::default(),
            retries: BinaryHeap::new(),
            slow: Vec::new(),
            slow_turn: 0,
            slow_at_ns: 0,
            connecting: 0,
            last: Vec::new(),
            churning: false,
            counts: protocol::Counts::default(),
            failures: BTreeMap::new(),
            mark: Default::default(),
        })
    }

    fn serve(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(BATCH);
        loop {
            let next = self.keep_schedules();
            let wait = next.saturating_sub(monotonic_ns()).min(IDLE_WAIT_NS);
            let wait = Timespec { tv_sec: 0, tv_nsec: wait.cast_signed() };
            events.clear();
            match epoll::wait(&self.poller, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
            for event in &events {
                if event.data.u64() == STDIN {
                    if !self.take_input()? {
                        return Ok(());
                    }
                } else {
                    self.stream_ready(u32::try_from(event.data.u64())?, event.flags);
                }
            }
        }
    }

    /// Does all that is due by the clock; returns when something is due next.
    fn keep_schedules(&mut self) -> u64 {
        let now = monotonic_ns();
        let mut next = now + IDLE_WAIT_NS;
        for due in [self.open_due(now), self.retry_due(now), self.churn_due(now), self.slow_due(now)] {
            next = next.min(due.unwrap_or(next));
        }
        next
    }

    /// Reads commands and answers them; `false` at the end of the input.
    fn take_input(&mut self) -> Result<bool> {
        let read = rustix::io::read(std::io::stdin(), &mut self.buffer[..])?;
        self.input.extend_from_slice(&self.buffer[..read]);
        while let Some(end) = memchr::memchr(b'\n', &self.input) {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let command = serde_json::from_slice(&line).context("the command is not understood")?;
            let answer = self.obey(command)?;
            let mut text = serde_json::to_vec(&answer)?;
            text.push(b'\n');
            let mut out = std::io::stdout().lock();
            out.write_all(&text)?;
            out.flush()?;
        }
        Ok(read > 0)
    }

    fn obey(&mut self, command: Command) -> Result<Answer> {
        match command {
            Command::Plan(plan) => self.prepare(*plan)?,
            Command::Open { opens } => self.begin_opening(opens),
            Command::Begin => {
                self.groups.iter_mut().for_each(RunningGroup::begin);
                self.mark = (self.checker.tally(), self.counts);
                self.churning = true;
                self.restart_churn(monotonic_ns());
            }
            Command::Last { last } => {
                self.last = last;
                self.churning = false;
            }
            Command::Status => return Ok(Answer::Status(self.status())),
            Command::Report => return Ok(Answer::Report(Box::new(self.report()))),
            Command::Close => {
                self.streams.clear();
                self.connecting = 0;
                self.retries.clear();
                self.slow.clear();
                self.opening = Opening::default();
            }
        }
        Ok(Answer::Done)
    }

    fn status(&self) -> Status {
        let count = |state| self.streams.iter().filter(|stream| stream.state == state).count() as u64;
        Status {
            at_ns: monotonic_ns(),
            open: count(State::Open),
            waiting: self.opening.left()
                + count(State::Connecting)
                + count(State::Asked)
                + self.retries.len() as u64,
            failed: self.counts.failed,
            received: self.checker.tally().delivered,
            behind: self.behind(),
        }
    }

    fn behind(&self) -> u64 {
        let awaited =
            |stream: &&Stream| self.groups[usize::from(stream.group)].slow_bytes_per_second.is_none();
        self.streams
            .iter()
            .filter(awaited)
            .map(|stream| self.checker.behind(stream.lanes(), &self.last))
            .sum()
    }

    fn report(&self) -> protocol::Report {
        protocol::Report {
            tally: self.checker.tally().since(&self.mark.0),
            behind: self.behind(),
            counts: self.counts.since(&self.mark.1),
            failures: self.failures.clone(),
            groups: self.groups.iter().map(RunningGroup::report).collect(),
        }
    }
}
