//! The connections that bring announcements: one a server in charge, whatever the number of topics, dialled
//! anew whenever it breaks, falls silent or leads to a server that is no longer in charge (`line.rs`). What is
//! subscribed where is kept in one place (`board.rs`). The crate's own reconnection is not used: it loses
//! subscriptions without a word.

mod board;
mod channels;
mod connection;
mod health;
mod line;
pub(super) mod probe;

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use sluice_wire::Topic;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::board::Board;
use self::health::Health;
use super::RedisSettings;
use super::keys::Keys;
use super::servers::Servers;
use crate::{Listener, Subscriber, SubscriberHealth};

/// Changes taken from the queue in one go, which then share commands.
const CHANGES_MAX: usize = 1024;

/// What a subscriber is made of.
pub(super) struct Parts {
    pub(super) servers: Arc<Servers>,
    pub(super) keys: Keys,
    pub(super) settings: RedisSettings,
    pub(super) listener: Arc<dyn Listener>,
}

/// Begins to listen; ends when the answer is dropped.
pub(super) fn listen(parts: Parts, tracker: &TaskTracker) -> RedisSubscriber {
    let (changes, queue) = mpsc::unbounded_channel();
    let health = Arc::new(Health::default());
    let ended = CancellationToken::new();
    let board = Board::new(parts.keys.clone(), Arc::clone(&parts.listener), Arc::clone(&health));
    let desk = Arc::new(Desk { parts, board: Mutex::new(board) });
    tracker.spawn(serve(desk, queue, tracker.clone(), ended.clone()));
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

#[async_trait]
impl Subscriber for RedisSubscriber {
    async fn add(&self, topics: &[Topic]) {
        let (ticket, called) = oneshot::channel();
        if self.changes.send(Change::Add(topics.to_vec(), ticket)).is_ok() {
            // Nothing is ever sent: the ticket is let go when all is subscribed, or the process ends.
            drop(called.await);
        }
    }

    fn remove(&self, topics: &[Topic]) {
        drop(self.changes.send(Change::Remove(topics.to_vec())));
    }

    fn health(&self) -> SubscriberHealth {
        self.health.get()
    }
}

/// What the lines share.
struct Desk {
    parts: Parts,
    board: Mutex<Board>,
}

impl Desk {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

/// Keeps the board to what is asked for and to the layout, and a line open for each server.
async fn serve(
    desk: Arc<Desk>,
    mut queue: mpsc::UnboundedReceiver<Change>,
    tracker: TaskTracker,
    ended: CancellationToken,
) {
    let scout = desk.parts.servers.scout().clone();
    let mut layout = Arc::default();
    let mut changes = Vec::new();
    loop {
        let known = scout.layout();
        if !Arc::ptr_eq(&known, &layout) {
            layout = known;
            let opened = desk.board().lay_out(Arc::clone(&layout));
            for (address, signals) in opened {
                tracker.spawn(line::run(Arc::clone(&desk), address, signals, ended.clone()));
            }
        }
        tokio::select! {
            () = ended.cancelled() => return,
            () = scout.changed_from(&layout) => {}
            taken = queue.recv_many(&mut changes, CHANGES_MAX) => {
                if taken == 0 {
                    return;
                }
                let mut board = desk.board();
                for change in changes.drain(..) {
                    match change {
                        Change::Add(topics, ticket) => board.add(topics, &Arc::new(ticket)),
                        Change::Remove(topics) => board.remove(topics),
                    }
                }
            }
        }
    }
}
