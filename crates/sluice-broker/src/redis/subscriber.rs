//! The connection that brings announcements: one for each listener, dialled anew whenever it breaks or falls
//! silent, with its own set of channels. The crate's own reconnection is not used: it loses subscriptions
//! without a word.

mod channels;
mod connection;
mod probe;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sluice_wire::Topic;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use self::channels::Channels;
use self::connection::Link;
use super::RedisSettings;
use super::dial::Dialler;
use super::keys::Keys;
use super::pool::Pool;
use crate::backoff::Backoff;
use crate::url::Address;
use crate::{Listener, Subscriber, SubscriberHealth};

/// Changes taken from the queue in one go, which then share commands.
const CHANGES_MAX: usize = 1024;

/// What a subscriber is made of.
pub(super) struct Parts {
    pub(super) dialler: Dialler,
    pub(super) address: Address,
    pub(super) keys: Keys,
    pub(super) pool: Arc<Pool>,
    pub(super) settings: RedisSettings,
    pub(super) listener: Arc<dyn Listener>,
}

/// Begins to listen; ends when the answer is dropped.
pub(super) fn listen(parts: Parts, tracker: &TaskTracker) -> RedisSubscriber {
    let (changes, queue) = mpsc::unbounded_channel();
    let health = Arc::new(Health::default());
    let ended = CancellationToken::new();
    let supervisor = Supervisor {
        parts,
        queue,
        channels: Channels::default(),
        waiting: Vec::new(),
        health: Arc::clone(&health),
    };
    let until = ended.clone();
    tracker.spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            () = supervisor.run() => {}
        }
    });
    RedisSubscriber { changes, health, _ended: ended.drop_guard() }
}

#[derive(Debug)]
pub(super) struct RedisSubscriber {
    changes: mpsc::UnboundedSender<Change>,
    health: Arc<Health>,
    _ended: DropGuard,
}

#[derive(Debug)]
enum Change {
    Add(Vec<Topic>, oneshot::Sender<()>),
    Remove(Vec<Topic>),
}

#[derive(Debug, Default)]
pub(super) struct Health {
    connected: AtomicBool,
    reconnects: AtomicU64,
    probe: Mutex<Option<Duration>>,
}

#[async_trait]
impl Subscriber for RedisSubscriber {
    async fn add(&self, topics: &[Topic]) {
        let (confirm, confirmed) = oneshot::channel();
        if self.changes.send(Change::Add(topics.to_vec(), confirm)).is_ok() {
            // An error means that the task ended with the process; there is nobody left to tell.
            drop(confirmed.await);
        }
    }

    fn remove(&self, topics: &[Topic]) {
        drop(self.changes.send(Change::Remove(topics.to_vec())));
    }

    fn health(&self) -> SubscriberHealth {
        SubscriberHealth {
            connected: self.health.connected.load(Ordering::Relaxed),
            reconnects: self.health.reconnects.load(Ordering::Relaxed),
            probe_round_trip: *self.health.probe.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

struct Supervisor {
    parts: Parts,
    queue: mpsc::UnboundedReceiver<Change>,
    channels: Channels,
    /// Who waits for a subscription that is not confirmed yet.
    waiting: Vec<oneshot::Sender<()>>,
    health: Arc<Health>,
}

impl Supervisor {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut attempts = 0_u32;
        loop {
            match self.connect().await {
                Ok(link) => {
                    attempts = 0;
                    backoff.reset();
                    self.health.connected.store(true, Ordering::Relaxed);
                    self.parts.listener.restored();
                    let why = self.serve(&link).await;
                    link.retire();
                    self.health.connected.store(false, Ordering::Relaxed);
                    self.health.reconnects.fetch_add(1, Ordering::Relaxed);
                    self.parts.listener.lost(&why);
                }
                Err(why) => {
                    attempts += 1;
                    if attempts == 1 {
                        warn!(why, "Redis cannot be subscribed to; this goes on being tried.");
                    } else {
                        debug!(why, attempts, "Redis still cannot be subscribed to.");
                    }
                }
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// A connection on which every channel is subscribed.
    async fn connect(&mut self) -> Result<Link, String> {
        let link = Link::open(&self.parts).await?;
        self.channels.forget_confirmations();
        self.settle(&link).await.inspect_err(|_| link.retire())?;
        Ok(link)
    }

    /// Serves the connection until it is lost; why it was.
    async fn serve(&mut self, link: &Link) -> String {
        let probing = probe::watch(
            link.clone(),
            Arc::clone(&self.parts.pool),
            self.parts.settings.clone(),
            Arc::clone(&self.health),
        );
        tokio::select! {
            () = link.broken() => "Redis closed the connection".to_owned(),
            why = probing => why,
            why = self.serve_changes(link) => why,
        }
    }

    async fn serve_changes(&mut self, link: &Link) -> String {
        let mut changes = Vec::new();
        loop {
            if self.queue.recv_many(&mut changes, CHANGES_MAX).await == 0 {
                // The handle is gone, and with it this task in a moment.
                return std::future::pending().await;
            }
            for change in changes.drain(..) {
                match change {
                    Change::Add(topics, confirm) => {
                        self.channels.add(topics);
                        self.waiting.push(confirm);
                    }
                    Change::Remove(topics) => self.channels.remove(topics),
                }
            }
            if let Err(why) = self.settle(link).await {
                return why;
            }
        }
    }

    /// Brings the subscriptions level with the set, then tells who waited.
    async fn settle(&mut self, link: &Link) -> Result<(), String> {
        loop {
            let wanted = self.channels.next_to_subscribe();
            if wanted.is_empty() {
                break;
            }
            link.subscribe(&self.names(&wanted)).await?;
            self.channels.subscribed(&wanted);
        }
        loop {
            let unwanted = self.channels.next_to_unsubscribe();
            if unwanted.is_empty() {
                break;
            }
            link.unsubscribe(&self.names(&unwanted)).await?;
            self.channels.unsubscribed(&unwanted);
        }
        for confirm in self.waiting.drain(..) {
            // Whoever asked may have gone away since.
            let _ = confirm.send(());
        }
        Ok(())
    }

    fn names(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| self.parts.keys.live(topic)).collect()
    }
}
