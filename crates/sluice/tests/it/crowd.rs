//! Many clients that never give up, and the count of what reached them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_testkit::{Continuity, Ledger, Resuming, SseOptions, Start, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::stage::SOON;

/// What is published to.
pub(crate) const TOPICS: [&str; 3] = ["a", "b", "c"];
/// Each client follows one of these.
const SETS: [&[&str]; 4] = [&["a"], &["b"], &["a", "b"], &["c", "a", "b"]];

/// Clients that read until they are stopped.
pub(crate) struct Crowd {
    readers: JoinSet<Resuming>,
    stop: CancellationToken,
    pub(crate) ledger: Ledger,
}

impl Crowd {
    /// Starts `count` clients, spread over `addresses`; returns when each of them has its first cursor.
    pub(crate) async fn gather(addresses: &[SocketAddr], count: usize) -> Self {
        let mut crowd =
            Self { readers: JoinSet::new(), stop: CancellationToken::new(), ledger: Ledger::new() };
        let connected = Arc::new(AtomicUsize::new(0));
        for number in 0..count {
            let topics = SETS[number % SETS.len()];
            // Longer than the wait for completeness: then the count tells what is missing, and where.
            let options = SseOptions { within: SOON * 2, ..SseOptions::default() };
            let mut client = Resuming::new(addresses, topics, options).begin_at(number);
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
        eventually("every client's first cursor", SOON, async || connected.load(Ordering::Relaxed) == count)
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
