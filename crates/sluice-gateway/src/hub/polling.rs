//! Takes in what the polled view was told, and wakes its streams: outside the hub's mutex and the subscriber's
//! connection, which so keep up with Redis however many streams hyper drives. While the node is busy with those,
//! notices gather and a stream is woken once for all of them.

use std::time::Instant;

use super::Hub;

/// How many streams are woken before others may run.
const WAKES: usize = 256;

/// Serves the view until the task is dropped.
pub(super) async fn run(hub: Hub) {
    loop {
        hub.shared.polled_told.notified().await;
        for (index, waker) in hub.shared.polled.take_in(Instant::now()).into_iter().enumerate() {
            waker.wake();
            if index % WAKES == WAKES - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}
