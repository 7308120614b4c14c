//! Many clients that never give up, and the count of what reached them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice_testkit::{Continuity, Ledger, Resuming, SseOptions, Start, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::stage::SOON;

/// What is published to.
pub(crate) const TOPICS: [&str; 3] = ["a", "b", "c"];
/// Each client follows one of these.
const SETS: [&[&str]; 4] = [&["a"], &["b"], &["a", "b"], &["c", "a", "b"]];

/// Clients that connect at once.
const AT_ONCE: usize = 500;

/// Clients that read until they are stopped.
pub(crate) struct Crowd {
    readers: JoinSet<Resuming>,
    stop: CancellationToken,
    pub(crate) ledger: Ledger,
}

impl Crowd {
    /// Starts `count` clients, spread over `addresses`; returns when each of them has its first cursor.
    pub(crate) async fn gather(addresses: &[SocketAddr], count: usize) -> Self {
        Self::gather_at(addresses, count, |number| number, SOON).await
    }

    /// As [`Crowd::gather`], each client beginning at the address that `begin_at` says.
    pub(crate) async fn gather_at(
        addresses: &[SocketAddr],
        count: usize,
        begin_at: impl Fn(usize) -> usize,
        within: Duration,
    ) -> Self {
        let mut crowd =
            Self { readers: JoinSet::new(), stop: CancellationToken::new(), ledger: Ledger::new() };
        let connected = Arc::new(AtomicUsize::new(0));
        for number in 0..count {
            if number % AT_ONCE == 0 {
                // More at once would overflow the queue of a listener, whose clients then wait for seconds.
                let so_far = async || connected.load(Ordering::Relaxed) == number;
                eventually("the clients so far", within, so_far).await.unwrap();
            }
            let topics = SETS[number % SETS.len()];
            // Longer than the wait for completeness: then the count tells what is missing, and where.
            let options = SseOptions { within: within + SOON, ..SseOptions::default() };
            let mut client = Resuming::new(addresses, topics, options).begin_at(begin_at(number));
            let books = crowd.ledger.client(&format!("client {number}"), topics, Start::Everything);
            let (connected, stop) = (connected.clone(), crowd.stop.clone());
            crowd.readers.spawn(async move {
                client.connect().await.unwrap();
                connected.fetch_add(1, Ordering::Relaxed);
                while let Some(event) = stop.run_until_cancelled(client.event()).await {
                    books.received(&event.unwrap().data).unwrap();
                }
                client
            });
        }
        eventually("every client's first cursor", within, async || {
            connected.load(Ordering::Relaxed) == count
        })
        .await
        .unwrap();
        crowd
    }

    /// Waits until everything has arrived everywhere, prints the count and holds it against zero; the clients.
    #[expect(clippy::print_stdout, reason = "the row of the table is what a reader of the run looks for")]
    pub(crate) async fn assert_exact(self, what: &str) -> Vec<Resuming> {
        let complete = eventually("the last event everywhere", SOON, async || self.ledger.complete()).await;
        self.stop.cancel();
        let clients = self.readers.join_all().await;
        let report = self.ledger.report();
        let reconnections: usize = clients.iter().map(Resuming::reconnections).sum();
        println!("{what}; {reconnections} reconnections\n{}\n{report}", Continuity::HEADING);
        report.assert_exact().unwrap();
        complete.unwrap();
        clients
    }
}
