//! The connections that hold no stream: those that have yet to say anything, shake hands, or rest between
//! requests. They are bounded, so that streams always find a descriptor. When the room is full, the one that
//! has rested longest goes, but not before it had a moment to speak; until then nobody else is let in.
//!
//! A connection with a stream is none of them: streams have their own bound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::room::Room;

mod room;

/// How long a connection may be silent before another may have its place.
const MOMENT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Lobby {
    room: Mutex<Room>,
    left: Notify,
    open: metrics::Gauge,
}

/// A connection in the lobby, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    lobby: Arc<Lobby>,
    key: usize,
    shown_out: CancellationToken,
    /// It took nothing for too long.
    stalled: AtomicBool,
}

/// Something that a guest does: while it lasts the guest does not rest.
#[derive(Debug)]
pub(crate) struct Doing {
    guest: Arc<Guest>,
    what: What,
}

/// What a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A request of it is looked at.
    Request,
    /// An answer is on its way to it. It may be shown out meanwhile: it is up to it how long that takes.
    Answer,
    /// It holds a stream.
    Stream,
}

impl Lobby {
    /// A lobby for `most` connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let open = metrics::gauge!("sluice_connections_open");
        Arc::new(Self { room: Mutex::new(Room::new(most)), left: Notify::new(), open })
    }

    /// Waits until one more may come in.
    pub(super) async fn room(&self) {
        loop {
            // Asked for before looking, so that no leaving is missed in between.
            let left = self.left.notified();
            let Some(wait) = self.lock().make_room(Instant::now(), MOMENT) else { return };
            let _ = tokio::time::timeout(wait, left).await;
        }
    }

    /// Shows out who has rested longest, however short: the process has no descriptor left.
    pub(super) fn make_room_at_once(&self) {
        self.lock().show_out_oldest(Instant::now(), Duration::ZERO);
    }

    /// Lets a connection in.
    pub(super) fn enter(self: &Arc<Self>) -> Arc<Guest> {
        let shown_out = CancellationToken::new();
        let mut room = self.lock();
        let key = room.enter(Instant::now(), shown_out.clone());
        self.changed(room);
        Arc::new(Guest { lobby: self.clone(), key, shown_out, stalled: AtomicBool::new(false) })
    }

    /// How many are in.
    pub(super) fn present(&self) -> usize {
        self.lock().present()
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    fn changed(&self, room: MutexGuard<'_, Room>) {
        let (present, has_room) = (room.present(), room.has_room());
        drop(room);
        #[expect(clippy::cast_precision_loss, reason = "never near the limit of a float's whole numbers")]
        self.open.set(present as f64);
        if has_room {
            self.left.notify_waiters();
        }
    }
}

impl Guest {
    /// Ends when the guest must leave to make room.
    pub(super) async fn shown_out(&self) {
        self.shown_out.cancelled().await;
    }

    /// Ends when the guest has rested for `most`.
    pub(super) async fn rested(&self, most: Duration) {
        loop {
            let rested = self.lobby.lock().rested(self.key, Instant::now());
            match rested.map_or(Some(most), |rested| most.checked_sub(rested)) {
                None | Some(Duration::ZERO) => return,
                Some(rest) => tokio::time::sleep(rest).await,
            }
        }
    }

    /// Its connection ends because it took nothing for too long.
    pub(super) fn stalls(&self) {
        self.stalled.store(true, Ordering::Release);
    }

    /// The guest does something.
    pub(crate) fn does(self: &Arc<Self>, what: What) -> Doing {
        self.change(|room, key| room.begin(key, what));
        Doing { guest: self.clone(), what }
    }

    fn change(&self, change: impl FnOnce(&mut Room, usize)) {
        let mut room = self.lobby.lock();
        change(&mut room, self.key);
        self.lobby.changed(room);
    }
}

impl Doing {
    /// Whether it ends because its guest took nothing for too long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.guest.stalled.load(Ordering::Acquire)
    }
}

/// Ends when `guest` rests, `most` from now or later.
pub(super) async fn rests_on(guest: &Guest, most: Duration) {
    tokio::time::sleep(most).await;
    guest.rested(most).await;
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.change(Room::leave);
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.guest.change(|room, key| room.end(key, self.what, Instant::now()));
    }
}
