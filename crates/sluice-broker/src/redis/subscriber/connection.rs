//! One connection of the subscriber. Announcements are handed to the listener inline, from the task that
//! reads the socket: no queue that could grow without bound.
//!
//! In a cluster a server takes subscriptions back when their slot leaves it, which the crate takes for the
//! answer to whatever was asked last. Its public layer offers no way to keep the two apart, so it is done
//! here: what was not asked for is noticed, and if anything was being asked at that moment, answers and
//! questions no longer match and the connection is given up. Every channel is a command of its own there,
//! since the channels of one command must be of one slot.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushInfo, PushKind, ServerErrorKind, Value};
use sluice_wire::{Topic, envelope};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::broker::Announcement;
use crate::redis::failure;
use crate::redis::keys::Keys;
use crate::redis::layout::{self, Layout};
use crate::redis::role::{self, Role};
use crate::url::Address;
use crate::{BrokerError, Listener};

/// How many names of a probe's channel are tried until one is in a slot of the server.
const NAMES_TRIED: usize = 400_000;

/// A connection on which nothing is subscribed yet.
pub(super) struct Link {
    connection: MultiplexedConnection,
    address: Address,
    cluster: bool,
    keys: Keys,
    state: Arc<State>,
    /// The probe heard last.
    heard: watch::Receiver<u64>,
    dropped: Option<mpsc::UnboundedReceiver<Topic>>,
    probe_channel: tokio::sync::Mutex<Option<Arc<str>>>,
}

/// What the two ends of a connection know of each other.
#[derive(Default)]
struct State {
    broken: CancellationToken,
    /// Answers do not match questions any more.
    out_of_step: AtomicBool,
    retired: AtomicBool,
    /// Questions that are not answered yet.
    under_way: AtomicUsize,
    /// Channels whose end was asked for.
    leaving: Mutex<HashSet<Vec<u8>>>,
}

impl Link {
    pub(super) async fn open(parts: &Parts, address: &Address) -> Result<Self, BrokerError> {
        let (heard_sender, heard) = watch::channel(0);
        let (dropped_sender, dropped) = mpsc::unbounded_channel();
        let state = Arc::<State>::default();
        let ears = Ears {
            keys: parts.keys.clone(),
            listener: Arc::clone(&parts.listener),
            heard: heard_sender,
            dropped: dropped_sender,
            state: Arc::clone(&state),
        };
        let connection = parts.servers.dialler().listening(address, move |push| ears.hear(push));
        Ok(Self {
            connection: connection.await?,
            address: address.clone(),
            cluster: parts.servers.is_cluster(),
            keys: parts.keys.clone(),
            state,
            heard,
            dropped: Some(dropped),
            probe_channel: tokio::sync::Mutex::default(),
        })
    }

    /// Subscribes to channels in one round trip; of each, whether it stands. One that does not is of a slot
    /// that is, or goes, elsewhere.
    pub(super) async fn subscribe(&self, channels: &[String]) -> Result<Vec<bool>, BrokerError> {
        if self.cluster {
            let answers = self.each("SSUBSCRIBE", channels).await?;
            return answers.iter().zip(channels).map(|(answer, channel)| stands(answer, channel)).collect();
        }
        let mut connection = self.connection.clone();
        let answer = connection.subscribe(channels).await;
        answer.map_err(|error| failure::of(&error, &self.address))?;
        Ok(vec![true; channels.len()])
    }

    pub(super) async fn unsubscribe(&self, channels: &[String]) -> Result<(), BrokerError> {
        if self.cluster {
            let leaving = channels.iter().map(|channel| channel.as_bytes().to_vec());
            self.state.leaving().extend(leaving);
            let answers = self.each("SUNSUBSCRIBE", channels).await;
            // What was refused the server had taken back before.
            *self.state.leaving() = HashSet::new();
            return answers.map(drop);
        }
        let mut connection = self.connection.clone();
        let answer = connection.unsubscribe(channels).await;
        answer.map_err(|error| failure::of(&error, &self.address))
    }

    /// A command for each channel, and an answer to each.
    async fn each(&self, name: &str, channels: &[String]) -> Result<Vec<Value>, BrokerError> {
        let mut pipeline = Pipeline::with_capacity(channels.len());
        for channel in channels {
            pipeline.cmd(name).arg(channel);
        }
        let mut connection = self.connection.clone();
        let asked = connection.send_packed_commands(&pipeline, 0, pipeline.len());
        let answers = self.state.asking(asked).await;
        answers.map_err(|error| failure::of(&error, &self.address))
    }

    /// What the server says that it is.
    pub(super) async fn role(&self) -> Result<Role, BrokerError> {
        self.state.asking(role::role(&mut self.connection.clone(), &self.address)).await
    }

    /// The channel for probes, subscribed; another one when its slot has left the server.
    pub(super) async fn probe_channel(
        &self,
        layout: &Layout,
        address: &Address,
    ) -> Result<Arc<str>, BrokerError> {
        let gone = |what: &str| BrokerError::Unavailable(format!("Redis at {address} {what}"));
        let shard = layout.of_primary(address).ok_or_else(|| gone("no longer serves any slot"))?;
        let mut kept = self.probe_channel.lock().await;
        if let Some(channel) = &*kept
            && shard.has(layout::slot(channel.as_bytes()))
        {
            return Ok(Arc::clone(channel));
        }
        let names = std::iter::repeat_with(|| self.keys.probe(fastrand::u64(..))).take(NAMES_TRIED);
        let name = { names }.find(|name| shard.has(layout::slot(name.as_bytes())));
        let name = name.ok_or_else(|| gone("serves too few slots for a probe channel"))?;
        if self.subscribe(std::slice::from_ref(&name)).await? != [true] {
            return Err(gone("no longer serves the slot of the probe channel"));
        }
        let channel: Arc<str> = name.into();
        *kept = Some(Arc::clone(&channel));
        Ok(channel)
    }

    /// Returns when the probe `number` came back.
    pub(super) async fn heard(&self, number: u64) {
        let mut heard = self.heard.clone();
        if heard.wait_for(|last| *last >= number).await.is_err() {
            // The connection's task is gone; `broken` tells.
            std::future::pending::<()>().await;
        }
    }

    /// Where topics come whose subscription the server gave up by itself. Once.
    pub(super) fn take_dropped(&mut self) -> mpsc::UnboundedReceiver<Topic> {
        self.dropped.take().unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    /// Returns when the connection is of no use any more; why.
    pub(super) async fn broken(&self) -> String {
        self.state.broken.cancelled().await;
        if self.state.out_of_step.load(Ordering::Acquire) {
            format!("a slot left Redis at {} while a subscription was under way", self.address)
        } else {
            format!("Redis at {} closed the connection", self.address)
        }
    }

    /// Nothing that this connection still brings is handed on.
    pub(super) fn retire(&self) {
        self.state.retired.store(true, Ordering::Release);
    }
}

/// Whether a channel stands after this answer.
fn stands(answer: &Value, channel: &str) -> Result<bool, BrokerError> {
    match answer {
        Value::Push { kind: PushKind::SSubscribe, data } => match data.first() {
            Some(Value::BulkString(name)) if name.as_slice() == channel.as_bytes() => Ok(true),
            _ => Err(failure::odd("SSUBSCRIBE", "channel that was asked for")),
        },
        Value::ServerError(error) => match error.kind() {
            Some(
                ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown,
            ) => Ok(false),
            _ => Err(failure::of_answer(error)),
        },
        _ => Err(failure::odd("SSUBSCRIBE", "confirmation")),
    }
}

impl State {
    fn leaving(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.leaving.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    /// Asks. A question whose asker goes away stays under way, since its answer may still come.
    async fn asking<T>(&self, question: impl Future<Output = T>) -> T {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let answer = question.await;
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        answer
    }
}

/// Takes what the connection pushes.
struct Ears {
    keys: Keys,
    listener: Arc<dyn Listener>,
    heard: watch::Sender<u64>,
    dropped: mpsc::UnboundedSender<Topic>,
    state: Arc<State>,
}

impl Ears {
    fn hear(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                if let Ok([Value::BulkString(channel), Value::BulkString(message)]) =
                    <[Value; 2]>::try_from(push.data)
                {
                    self.message(&channel, message);
                }
            }
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = push.data.first() {
                    self.left(channel);
                }
            }
            PushKind::Disconnection => self.state.broken.cancel(),
            _ => {}
        }
    }

    fn message(&self, channel: &[u8], message: Vec<u8>) {
        if self.state.retired.load(Ordering::Acquire) {
            return;
        }
        if let Some(topic) = self.keys.topic_of_live(channel) {
            let announcement = match envelope::parse(Bytes::from(message)) {
                Ok(message) => Announcement::Message(message),
                Err(why) => Announcement::Foreign(why.to_string()),
            };
            self.listener.announced(topic, announcement);
        } else if self.keys.is_probe(channel)
            && let Some(number) = std::str::from_utf8(&message).ok().and_then(|text| text.parse().ok())
        {
            self.heard.send_replace(number);
        }
    }

    /// A subscription ended; if nobody asked for that, its slot has left the server.
    fn left(&self, channel: &[u8]) {
        if self.state.leaving().remove(channel) {
            return;
        }
        if self.state.under_way.load(Ordering::Acquire) > 0 {
            self.state.out_of_step.store(true, Ordering::Release);
            self.state.broken.cancel();
        }
        if let Some(topic) = self.keys.topic_of_live(channel).and_then(|name| Topic::parse(name).ok()) {
            // Nobody takes it once the connection is given up.
            drop(self.dropped.send(topic));
        }
    }
}
