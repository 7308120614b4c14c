//! The line to one server in charge: dials, brings the subscriptions level with the board, proves the
//! connection from time to time, and begins anew when it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_diagnostics::{Outage, Repeated, millis};
use sluice_wire::Topic;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::board::Signals;
use super::connection::Link;
use super::{Desk, probe};
use crate::BrokerError;
use crate::backoff::Backoff;
use crate::redis::role::Role;
use crate::url::Address;

/// Channels of one round trip.
const BATCH: usize = 500;

/// Serves until the line is told to end, or all are.
pub(super) async fn run(desk: Arc<Desk>, address: Address, signals: Signals, ended: CancellationToken) {
    let mut line = Line { desk, address, signals };
    let end = line.signals.end.clone();
    tokio::select! {
        () = ended.cancelled() => {}
        () = end.cancelled() => {}
        () = line.serve_forever() => {}
    }
}

struct Line {
    desk: Arc<Desk>,
    address: Address,
    signals: Signals,
}

impl Line {
    async fn serve_forever(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut outage = Outage::default();
        loop {
            match self.connect().await {
                Ok(mut link) => {
                    if let Some(took) = outage.ended(Instant::now()) {
                        info!(redis = %self.address, took_ms = millis(took), "subscribed to Redis again");
                    }
                    backoff.reset();
                    self.desk.board().stands(&self.address);
                    let why = self.serve(&mut link).await;
                    link.retire();
                    self.desk.board().lost(&self.address, &why);
                }
                Err(error) => {
                    let redis = &self.address;
                    match outage.failed(Instant::now()) {
                        Some(Repeated::First) => warn!(%redis, %error, "cannot subscribe to Redis; retrying"),
                        Some(Repeated::Still { failures, since }) => {
                            let since_ms = millis(since);
                            warn!(%redis, %error, failures, since_ms, "still cannot subscribe to Redis; retrying");
                        }
                        None => debug!(%redis, %error, "still cannot subscribe to Redis"),
                    }
                }
            }
            self.desk.parts.servers.scout().look_again(None);
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// A connection on which every channel is subscribed.
    async fn connect(&self) -> Result<Link, BrokerError> {
        let link = Link::open(&self.desk.parts, &self.address).await?;
        let served = async {
            if link.role().await? == Role::Replica && !self.desk.parts.servers.scout().never_changes() {
                return Err(BrokerError::Unavailable(format!("Redis at {} is a replica", self.address)));
            }
            self.desk.board().begin(&self.address);
            let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
            while !self.settle(&link).await? {
                self.wait_a_little(&mut backoff).await;
            }
            Ok(())
        };
        match served.await {
            Ok(()) => Ok(link),
            Err(why) => {
                link.retire();
                Err(why)
            }
        }
    }

    /// Serves the connection until it is lost; why it was.
    async fn serve(&self, link: &mut Link) -> String {
        let mut dropped = link.take_dropped();
        tokio::select! {
            why = link.broken() => why,
            why = probe::watch(link, &self.desk.parts, &self.address, &self.desk.board) => why,
            why = self.serve_changes(link) => why,
            () = self.note_dropped(&mut dropped) => "the connection ended".to_owned(),
        }
    }

    async fn serve_changes(&self, link: &Link) -> String {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            match self.settle(link).await {
                Ok(true) => {
                    backoff.reset();
                    self.signals.look.notified().await;
                }
                Ok(false) => self.wait_a_little(&mut backoff).await,
                Err(why) => return why.to_string(),
            }
        }
    }

    async fn wait_a_little(&self, backoff: &mut Backoff) {
        tokio::select! {
            () = self.signals.look.notified() => {}
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }

    /// Subscriptions that the server gave up by itself, because their slot is on its way elsewhere.
    async fn note_dropped(&self, dropped: &mut tokio::sync::mpsc::UnboundedReceiver<Topic>) {
        while let Some(topic) = dropped.recv().await {
            self.desk.board().dropped(&self.address, &topic);
            self.desk.parts.servers.scout().look_again(Some(&self.address));
            self.signals.look.notify_one();
        }
    }

    /// Brings the subscriptions level with the board; whether all are.
    async fn settle(&self, link: &Link) -> Result<bool, BrokerError> {
        let (wanted, unwanted) = self.desk.board().take_work(&self.address);
        for batch in wanted.chunks(BATCH) {
            let stand = link.subscribe(&self.names(batch)).await?;
            let (mut confirmed, mut refused) = (Vec::with_capacity(batch.len()), false);
            let mut board = self.desk.board();
            for (topic, stands) in batch.iter().zip(stand) {
                if stands {
                    confirmed.push(topic.clone());
                } else {
                    board.dropped(&self.address, topic);
                    refused = true;
                }
            }
            board.subscribed(&self.address, &confirmed);
            drop(board);
            if refused {
                self.desk.parts.servers.scout().look_again(Some(&self.address));
            }
        }
        for batch in unwanted.chunks(BATCH) {
            link.unsubscribe(&self.names(batch)).await?;
        }
        Ok(self.desk.board().settled(&self.address))
    }

    fn names(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| self.desk.parts.keys.live(topic)).collect()
    }
}
