//! The limit on streams of a subject that all nodes share (`limits.cluster_streams_per_subject_max`).
//!
//! A node tells the others through the broker how many streams its subjects have, and asks for those that want one
//! more. All that comes up meanwhile goes into one word, and words keep a distance: a storm of streams costs the broker
//! no more commands than a few streams, and a single stream waits for one answer. What a node has said is leased, so
//! that what a dead one held is gone soon. While the broker is away nobody waits, and each node counts for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use sluice_broker::{Broker, Holding};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Coming};

/// Between two words, and how often is looked for what nobody waits for: streams that have ended.
const BETWEEN: Duration = Duration::from_millis(100);
/// The same while the broker is away.
const AGAIN: Duration = Duration::from_secs(1);
/// How long what a node holds stays when it says no more.
const LEASE: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);
/// How often a node says all that it holds, whatever the broker may have lost of it.
const WHOLE: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long a stream waits for what the others say. The first silence ends all waiting, so that it is long once.
const PATIENCE: Duration = Duration::from_secs(1);

const ROUNDS: &str = "sluice_cluster_limit_rounds_total";
const UNCHECKED: &str = "sluice_cluster_limit_unchecked_total";

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    admission: Admission,
    broker: Arc<dyn Broker>,
    node: String,
    /// Somebody waits for a word.
    wanted: Notify,
    /// The number of the last word that was answered, or was not.
    spoken: watch::Sender<u64>,
    away: AtomicBool,
}

/// Makes known what is counted, so that the first is a rise and not a beginning.
pub(crate) fn register() {
    for outcome in ["answered", "failed"] {
        counter!(ROUNDS, "outcome" => outcome).increment(0);
    }
    counter!(UNCHECKED).increment(0);
}

impl Cluster {
    pub(crate) fn new(admission: Admission, broker: Arc<dyn Broker>) -> Self {
        let node = format!("{:016x}", fastrand::u64(..));
        let (wanted, spoken, away) = (Notify::new(), watch::Sender::new(0), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { admission, broker, node, wanted, spoken, away }) }
    }

    /// Waits, not for long, until it is known how many streams `subject` has elsewhere. The stream is on its way in as
    /// long as the answer is kept.
    pub(crate) async fn ask(&self, subject: &Arc<str>) -> Coming {
        let shared = &self.shared;
        let coming = shared.admission.coming(subject);
        let mut spoken = shared.spoken.subscribe();
        shared.wanted.notify_one();
        let away = || shared.away.load(Ordering::Acquire);
        let answered =
            !away() && timeout(PATIENCE, spoken.wait_for(|word| *word >= coming.word)).await.is_ok();
        if !answered || away() {
            counter!(UNCHECKED).increment(1);
        }
        coming
    }

    /// Speaks with the other nodes until `stop`, and takes its leave of them.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.speak()).await;
        let all_given_back = self.holding(&[], true, &[]);
        if timeout(ANSWER_WITHIN, self.shared.broker.hold(all_given_back)).await.is_err() {
            tracing::debug!("cannot withdraw this node's counts; they end with its lease");
        }
    }

    async fn speak(&self) {
        let shared = &self.shared;
        // When it was last heard, and when it last said all.
        let (mut heard, mut whole): (Option<Instant>, Option<Instant>) = (None, None);
        let mut next = Instant::now();
        loop {
            sleep_until(next).await;
            let _ = timeout(BETWEEN, shared.wanted.notified()).await;
            let over = |since: Option<Instant>, most: Duration| since.is_none_or(|at| at.elapsed() >= most);
            if !over(heard, RENEW) && !shared.admission.has_news_for_others() {
                continue;
            }
            let began = Instant::now();
            let all = shared.away.load(Ordering::Acquire) || over(heard, LEASE) || over(whole, WHOLE);
            if self.say(all).await {
                heard = Some(began);
                whole = if all { heard } else { whole };
                next = began + BETWEEN;
            } else {
                next = Instant::now() + AGAIN;
            }
        }
    }

    /// Says and asks what there is; whether that was answered.
    async fn say(&self, all: bool) -> bool {
        let shared = &self.shared;
        let word = shared.admission.word_for_others(all);
        let holding = self.holding(&word.held, word.whole, &word.asked);
        let answer = timeout(ANSWER_WITHIN, shared.broker.hold(holding)).await;
        let answer = answer
            .map_err(|_| format!("no answer within {ANSWER_WITHIN:?}"))
            .and_then(|answer| answer.map_err(|error| error.to_string()));
        shared.admission.others_answered(&word.asked, answer.as_deref().ok());
        let was_away = shared.away.swap(answer.is_err(), Ordering::AcqRel);
        match &answer {
            Ok(_) if was_away => tracing::info!("limits per subject hold over all nodes again"),
            Err(why) if !was_away => {
                tracing::warn!(
                    error = why,
                    "cannot share counts with other nodes; limits per subject hold on this node alone"
                );
            }
            _ => {}
        }
        counter!(ROUNDS, "outcome" => if answer.is_ok() { "answered" } else { "failed" }).increment(1);
        shared.spoken.send_replace(word.number);
        answer.is_ok()
    }

    fn holding<'a>(&'a self, held: &'a [(Arc<str>, u32)], whole: bool, asked: &'a [Arc<str>]) -> Holding<'a> {
        Holding { node: &self.shared.node, held, whole, lease: LEASE, asked }
    }
}
