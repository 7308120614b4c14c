//! One connection of the subscriber. Announcements are handed to the listener inline, from the task that
//! reads the socket: no queue that could grow without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use sluice_wire::envelope;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::Listener;
use crate::broker::Announcement;
use crate::redis::keys::Keys;

/// A connection with its probe channel subscribed.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    broken: CancellationToken,
    retired: Arc<AtomicBool>,
    /// The probe heard last.
    heard: watch::Receiver<u64>,
    probe_channel: Arc<str>,
}

impl Link {
    pub(super) async fn open(parts: &Parts) -> Result<Self, String> {
        let (heard_sender, heard) = watch::channel(0);
        let probe_channel: Arc<str> = parts.keys.probe(fastrand::u64(..)).into();
        let (broken, retired) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let ears = Ears {
            keys: parts.keys.clone(),
            listener: Arc::clone(&parts.listener),
            probe_channel: Arc::clone(&probe_channel),
            heard: heard_sender,
            broken: broken.clone(),
            retired: Arc::clone(&retired),
        };
        let connection = parts.dialler.listening(&parts.address, move |push| ears.hear(push));
        let connection = connection.await.map_err(|why| why.to_string())?;
        let link = Self { connection, broken, retired, heard, probe_channel };
        link.subscribe(&[link.probe_channel.to_string()]).await?;
        Ok(link)
    }

    /// Subscribes to channels in one command; returns when all are confirmed.
    pub(super) async fn subscribe(&self, channels: &[String]) -> Result<(), String> {
        let mut connection = self.connection.clone();
        connection.subscribe(channels).await.map_err(|error| format!("subscribing failed: {error}"))
    }

    pub(super) async fn unsubscribe(&self, channels: &[String]) -> Result<(), String> {
        let mut connection = self.connection.clone();
        connection.unsubscribe(channels).await.map_err(|error| format!("unsubscribing failed: {error}"))
    }

    pub(super) async fn ping(&self) -> Result<(), String> {
        let mut connection = self.connection.clone();
        let answer = connection.send_packed_command(&redis::cmd("PING")).await;
        answer.map(drop).map_err(|error| format!("a ping failed: {error}"))
    }

    pub(super) fn probe_channel(&self) -> &str {
        &self.probe_channel
    }

    /// Returns when the probe `number` came back.
    pub(super) async fn heard(&self, number: u64) {
        let mut heard = self.heard.clone();
        if heard.wait_for(|last| *last >= number).await.is_err() {
            // The connection's task is gone; `broken` tells.
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the connection is closed.
    pub(super) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Nothing that this connection still brings is handed on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

/// Takes what the connection pushes.
struct Ears {
    keys: Keys,
    listener: Arc<dyn Listener>,
    probe_channel: Arc<str>,
    heard: watch::Sender<u64>,
    broken: CancellationToken,
    retired: Arc<AtomicBool>,
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
            PushKind::Disconnection => self.broken.cancel(),
            _ => {}
        }
    }

    fn message(&self, channel: &[u8], message: Vec<u8>) {
        if self.retired.load(Ordering::Acquire) {
            return;
        }
        if let Some(topic) = self.keys.topic_of_live(channel) {
            let announcement = match envelope::parse(Bytes::from(message)) {
                Ok(message) => Announcement::Message(message),
                Err(why) => Announcement::Foreign(why.to_string()),
            };
            self.listener.announced(topic, announcement);
        } else if channel == self.probe_channel.as_bytes()
            && let Some(number) = std::str::from_utf8(&message).ok().and_then(|text| text.parse().ok())
        {
            self.heard.send_replace(number);
        }
    }
}
