//! Connections for appends that wait for replicas. WAIT blocks the connection it is sent over, so each connection serves
//! one request at a time, from its append to the answer of its WAIT; and requests that wait for different numbers of
//! replicas have connections of their own, so that one which asks for more replicas than there are holds up no other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::dial::Dialler;
use super::super::pool::Pool;
use crate::url::Address;

/// Connections to one server for one number of replicas; opened when first needed.
const CONNECTIONS_MAX: usize = 16;
/// How long an append waits for one of them, and how long none waits again once it waited in vain: then replicas confirm
/// nothing, and the append is better done without.
const FREE_WITHIN: Duration = Duration::from_millis(20);
const EXHAUSTED_FOR: Duration = Duration::from_secs(1);

/// The connections to one server for one number of replicas.
#[derive(Debug)]
pub(super) struct WaitingConnections {
    dialler: Dialler,
    address: Address,
    free: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pools of one connection each that no request uses; the one used last is taken first.
    idle: Vec<Arc<Pool>>,
    exhausted_at: Option<Instant>,
}

/// A connection that nobody else uses meanwhile.
#[derive(Debug)]
pub(super) struct WaitingConnection {
    connections: Arc<WaitingConnections>,
    pub(super) pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl WaitingConnections {
    pub(super) fn new(dialler: &Dialler, address: &Address) -> Self {
        let (dialler, address) = (dialler.clone(), address.clone());
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { dialler, address, free, state: Mutex::default() }
    }

    /// A connection of one's own; `None` if all of them wait for replicas and go on doing so.
    pub(super) async fn acquire(self: &Arc<Self>) -> Option<WaitingConnection> {
        let free = self.free.clone();
        let permit = match free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if self.is_exhausted() => return None,
            Err(_) => match timeout(FREE_WITHIN, free.acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) | Err(_) => {
                    self.with_state(|state| state.exhausted_at = Some(Instant::now()));
                    return None;
                }
            },
        };
        let pool = match self.with_state(|state| state.idle.pop()) {
            Some(pool) => pool,
            None => Arc::new(Pool::new(&self.dialler, &self.address, 1)),
        };
        Some(WaitingConnection { connections: Arc::clone(self), pool, _permit: permit })
    }

    fn is_exhausted(&self) -> bool {
        self.with_state(|state| state.exhausted_at.is_some_and(|at| at.elapsed() < EXHAUSTED_FOR))
    }

    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(sluice_failure::poisoned))
    }
}

impl Drop for WaitingConnection {
    fn drop(&mut self) {
        self.connections.with_state(|state| state.idle.push(Arc::clone(&self.pool)));
    }
}
