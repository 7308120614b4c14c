//! The life of a process: starting, ready, draining, gone.
//!
//! Everything that runs hangs on [`Lifecycle::tracker`]. `soft` asks it to come to an end in good order,
//! `hard` to drop what it holds; `hard` implies `soft`. Nothing else stops a task.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A cheap handle on the life of this process.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// Where every task is spawned.
    pub tracker: TaskTracker,
    /// The drain has begun: take nothing new, end what runs in good order.
    pub soft: CancellationToken,
    /// The drain is over: end now.
    pub hard: CancellationToken,
    ready: Arc<AtomicBool>,
    draining_since: Arc<OnceLock<Instant>>,
    failed: Arc<AtomicBool>,
    // Tasks that watch the process rather than work for it: nobody waits for them.
    watchers: TaskTracker,
}

/// Where in its life a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not all of it is built yet.
    Starting,
    /// At work.
    Ready,
    /// On its way out.
    Draining,
}

impl Phase {
    /// The word that routes and logs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

impl Lifecycle {
    /// A life that begins; nothing listens to signals yet.
    #[must_use]
    pub fn new() -> Self {
        // Hard is the parent's end: cancelling it must cancel soft too, and not the other way round.
        let hard = CancellationToken::new();
        Self {
            tracker: TaskTracker::new(),
            soft: hard.child_token(),
            hard,
            ready: Arc::default(),
            draining_since: Arc::default(),
            failed: Arc::default(),
            watchers: TaskTracker::new(),
        }
    }

    /// Listens to SIGTERM and SIGINT: the first begins the drain, the second ends it.
    ///
    /// # Errors
    /// If the handlers cannot be set.
    pub fn handle_signals(&self) -> io::Result<()> {
        let mut signals =
            Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
        let life = self.clone();
        self.watch(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "draining; a second signal ends the process at once");
            life.begin_drain();
            let name = signals.next().await;
            tracing::warn!(signal = name, "ending at once: this is the second signal");
            life.hard.cancel();
        });
        Ok(())
    }

    /// Begins the drain, whoever asks for it. Whether it had not begun before.
    pub fn begin_drain(&self) -> bool {
        let mut first = false;
        self.draining_since.get_or_init(|| {
            first = true;
            Instant::now()
        });
        self.soft.cancel();
        first
    }

    /// Begins the drain because the process can no longer do its work: it ends in good order, and as a failure.
    /// Returns whether this is the first failure.
    pub fn fail(&self) -> bool {
        let first = !self.failed.swap(true, Ordering::AcqRel);
        self.begin_drain();
        first
    }

    /// Returns whether the process ends because it failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Spawns a task that the process cannot do without until the drain has begun: should it end before, the process
    /// ends in good order. A panic does the same wherever it is not contained.
    pub fn spawn_essential(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let soft = self.soft.clone();
        self.tracker.spawn(async move {
            task.await;
            if !soft.is_cancelled() {
                sluice_failure::fatal(name);
            }
        });
    }

    /// How long ago the drain began, if it has.
    #[must_use]
    pub fn drain_age(&self) -> Option<Duration> {
        self.draining_since.get().map(Instant::elapsed)
    }

    /// All is built and serves.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Where in its life this process is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match (self.soft.is_cancelled(), self.ready.load(Ordering::Acquire)) {
            (true, _) => Phase::Draining,
            (false, true) => Phase::Ready,
            (false, false) => Phase::Starting,
        }
    }

    /// Spawns what watches the process and ends with it; [`Self::wait_idle`] does not wait for it.
    pub(crate) fn watch(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.watchers.spawn(task);
    }

    /// Waits until every tracked task has ended, at most until `deadline` from now. Whether it came to that.
    /// Tasks may still be spawned while it waits.
    pub async fn wait_idle(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
