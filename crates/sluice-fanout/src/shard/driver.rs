//! The loop of a shard's thread.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain::Drain;
use super::poller::{Events, Poller, Readiness, Sockets, discard, finish};
use super::surveys::Surveys;
use super::sweep::Sweep;
use super::{Command, Host, ShardSettings, Shared};
use crate::core::{Core, Dismissal};
use crate::deadline::End;
use crate::slot::{Phase, Token};

/// Writes of one turn: about a millisecond. What a small feed waits for beside a large one.
const WRITES_PER_TURN: usize = 64;
/// Commands that are taken in before it is looked at whether a ring fills up.
const COMMANDS_PER_LOOK: usize = 64;
/// Between two steps of the housekeeping walk.
const TICK: Duration = Duration::from_millis(250);
/// Steps in which the walk comes round: each slot is looked at once a second.
const TICKS_PER_ROUND: usize = 4;

pub(super) struct Driver {
    shared: Arc<Shared>,
    poller: Poller,
    core: Core<OwnedFd>,
    settings: ShardSettings,
    host: Arc<dyn Host>,
    sockets: Sockets,
    surveys: Surveys,
    drain: Option<Drain>,
    sweep: Sweep,
    next_tick: Instant,
    /// Which part of the slots the next step looks at.
    part: usize,
    stopped: bool,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        poller: Poller,
        settings: ShardSettings,
        host: Arc<dyn Host>,
    ) -> Self {
        Self {
            shared,
            poller,
            core: Core::new(settings.rings),
            settings,
            host,
            sockets: Sockets,
            surveys: Surveys::default(),
            drain: None,
            sweep: Sweep::default(),
            next_tick: Instant::now() + TICK,
            part: 0,
            stopped: false,
        }
    }

    pub(super) fn run(mut self) {
        let (mut commands, mut events, mut ready) = (Vec::new(), Events::new(), Vec::new());
        let mut woken = Instant::now();
        while !self.stopped {
            self.shared.inbox.drain(&mut commands);
            for (nth, command) in (1_usize..).zip(commands.drain(..)) {
                self.obey(command);
                // A burst longer than a ring must not drive out streams that could have been written to. A
                // shorter one is left together: it costs one write a stream.
                if nth.is_multiple_of(COMMANDS_PER_LOOK) && self.core.is_pressed() {
                    self.serve();
                }
            }
            let done = Instant::now();
            let worked = done.duration_since(woken).as_micros();
            self.shared.totals.turns.record(u64::try_from(worked).unwrap_or(u64::MAX));
            if let Err(error) = self.poller.wait(self.patience(done), &mut events, &mut ready) {
                tracing::error!(%error, "a shard's poller failed; its streams are closed");
                sluice_failure::fatal("a shard");
                return;
            }
            woken = Instant::now();
            self.shared.inbox.awake();
            ready.drain(..).for_each(|readiness| self.heed(readiness));
            self.serve();
            if woken >= self.next_tick {
                self.tick(woken);
            }
            self.dismiss(woken);
            let Self { sweep, core, settings, host, sockets, .. } = &mut self;
            sweep.step(woken, core, settings.housekeeping, |principal| host.sentence(principal), sockets);
            self.surveys.go_on(&mut self.core);
            self.hand_out();
            self.shared.totals.publish(&self.core);
        }
    }

    /// How long the poller may wait.
    fn patience(&self, now: Instant) -> Duration {
        let busy = self.core.has_work() || !self.surveys.is_empty() || self.sweep.is_under_way();
        if busy || !self.shared.inbox.may_sleep() {
            return Duration::ZERO;
        }
        let ends = [self.drain.as_ref().map(Drain::next), self.sweep.next()];
        let next = ends.into_iter().flatten().fold(self.next_tick, Instant::min);
        next.saturating_duration_since(now)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Notice(notice) => self.core.apply(notice),
            Command::Fence(feed, reply) => reply(self.core.fence(feed)),
            Command::Unpin(feed) => self.core.unpin(feed),
            Command::Join(stream, sequence) => {
                let principal = stream.principal;
                let token = self.core.join(*stream, sequence);
                self.receive(token, principal);
            }
            Command::Park(stream) => {
                let principal = stream.principal;
                let token = self.core.park(*stream);
                self.receive(Some(token), principal);
            }
            Command::Drain { window } => {
                self.drain.get_or_insert_with(|| Drain::new(Instant::now(), window, &self.core));
            }
            Command::Sweep { grace } => self.sweep.begin(Instant::now(), grace, self.core.extent()),
            Command::Survey(asked) => self.surveys.add(*asked),
            Command::Stop => self.stopped = true,
        }
    }

    /// Takes care of a stream that has got a slot, unless it is to be ended: a sweep may have passed the slot.
    fn receive(&mut self, token: Option<Token>, principal: u32) {
        let Some(token) = token else { return };
        self.watch(token);
        let Some(words) = (principal != 0).then(|| self.host.sentence(principal)).flatten() else { return };
        let Self { core, settings, sockets, .. } = self;
        let dismissal = core.send_off(token.key, true, settings.housekeeping, |_| words, sockets);
        if let Dismissal::Said(key) = dismissal
            && let Some(socket) = core.socket(key)
        {
            finish(socket);
        }
    }

    fn watch(&mut self, token: Token) {
        let added = self.core.socket(token.key).map(|socket| self.poller.add(socket, token));
        if let Some(Err(error)) = added {
            tracing::warn!(%error, "a stream's socket cannot be watched; it is closed");
            self.core.hang_up(token.key, "poller");
        }
    }

    fn heed(&mut self, readiness: Readiness) {
        let Some((key, phase)) = self.core.resolve(readiness.token) else { return };
        if readiness.hung_up {
            if let Some(socket) = self.core.socket(key).filter(|_| phase == Phase::Closing) {
                discard(socket);
            }
            self.core.hang_up(key, "client");
        } else if readiness.writable {
            self.core.writable(key, &mut self.sockets);
        }
    }

    fn serve(&mut self) {
        let (host, totals) = (&self.host, &self.shared.totals);
        self.core.serve(WRITES_PER_TURN, &mut self.sockets, |pass| {
            totals.passes.record(pass.streams.into());
            if let Some(published_ms) = pass.published_ms {
                host.delivered(published_ms);
            }
        });
    }

    /// One step of the walk over the slots.
    fn tick(&mut self, now: Instant) {
        sluice_failure::drill("shard");
        self.next_tick = now + TICK;
        let now_s = u32::try_from(self.shared.began.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.core.set_time(now_s);
        let rules = self.settings.housekeeping;
        for index in (self.part..self.core.extent()).step_by(TICKS_PER_ROUND) {
            let words = |principal, end| self.host.last_words(principal, end);
            let ended = self.core.look_at(index, rules, words, &mut self.sockets);
            if let Some(socket) = ended.and_then(|key| self.core.socket(key)) {
                finish(socket);
            }
        }
        self.part = (self.part + 1) % TICKS_PER_ROUND;
    }

    /// One step of a drain, if there is one.
    fn dismiss(&mut self, now: Instant) {
        let Self { drain, core, settings, host, sockets, .. } = self;
        if let Some(drain) = drain {
            let words = |principal| host.last_words(principal, End::Drain);
            drain.step(now, core, settings.housekeeping, words, sockets);
        }
    }

    /// Gives the host what is its own now.
    fn hand_out(&mut self) {
        for left in self.core.take_left() {
            self.host.left(left);
        }
        for laggard in self.core.take_lagging() {
            self.poller.remove(&laggard.stream.socket);
            self.host.lagging(laggard);
        }
    }
}
