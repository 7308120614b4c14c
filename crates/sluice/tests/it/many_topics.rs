//! A node that follows far more topics than it may look at in an interval: what it asks of Redis stays within the
//! budget, and what it vouches for still moves on, for every stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluice_testkit::{
    ClientLedger, Continuity, Item, Ledger, SseOptions, SseStream, Start, eventually, is_control,
};
use sluice_wire::cursor::Cursor;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::redis_load;
use crate::stage::{Cluster, SOON, open};

const TOPICS: usize = 20_000;
const PER_STREAM: usize = 64;
/// As `topics.tail_check_keys_per_second` and the batch of a check are by default.
const KEYS_PER_SECOND: usize = 5_000;
const BATCH: usize = 500;
/// A whole round of checks takes 4 s.
const WINDOW: Duration = Duration::from_secs(8);
const BEAT: Duration = Duration::from_millis(200);

/// The moment up to which the latest cursor of a stream vouches that nothing is missing.
type Floor = Arc<AtomicU64>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_topics_cost_redis_no_more_than_the_budget_and_floors_still_advance() {
    let cluster = Cluster::start_with(|node| node.env("SLUICE_STREAMS__HEARTBEAT_MS", "500")).await;
    let topics: Vec<String> = (0..TOPICS).map(|number| format!("t{number}")).collect();
    let ledger = Ledger::new();
    let (mut readers, stop, mut floors) = (JoinSet::new(), CancellationToken::new(), Vec::new());
    for set in topics.chunks(PER_STREAM) {
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let options = SseOptions { within: SOON, ..SseOptions::default() };
        let stream = open(cluster.addresses()[0], &set, &options).await;
        let (floor, books) = (Floor::default(), ledger.client(set[0], &set, Start::Everything));
        floors.push(floor.clone());
        readers.spawn(stop.clone().run_until_cancelled_owned(read(stream, floor, books)));
    }
    let active = cluster.gateways[0].metric("sluice_topics_active").await.unwrap();
    assert_eq!(active.map(|count| count.to_string()), Some(TOPICS.to_string()));

    let (began, began_ms) = (Instant::now(), now_ms());
    redis_load::count_from_now(&cluster.redis).await;
    redis_load::log_commands(&cluster.redis).await;
    let reads_before = redis_load::reads(&cluster.redis).await.get("xread").copied().unwrap_or_default();
    let mut beats = tokio::time::interval(BEAT);
    // This much time is what is measured; the beats of the publisher fill it.
    for topic in topics.iter().step_by(487).cycle() {
        if began.elapsed() >= WINDOW {
            break;
        }
        beats.tick().await;
        cluster.publish_entered(&ledger, topic).await;
    }
    let reads = redis_load::reads(&cluster.redis).await;
    let keys = redis_load::keys_of_xreads(&cluster.redis).await;
    let reads_later = redis_load::reads(&cluster.redis).await;
    let window = began.elapsed();

    // Each of its topics was looked at since the window began, else a stream's floor would not be there.
    let everywhere = || floors.iter().map(|floor| floor.load(Ordering::Relaxed)).min();
    eventually("every stream's floor to pass the window's beginning", SOON, async || {
        everywhere().is_some_and(|floor_ms| floor_ms > began_ms)
    })
    .await
    .unwrap();
    let behind_ms = now_ms() - everywhere().unwrap();
    let arrived = eventually("the last event everywhere", SOON, async || ledger.complete()).await;
    stop.cancel();
    readers.join_all().await;
    hold_against_budget(&keys, &reads_later, window);
    // Counted twice, by means of their own. The log began while `reads_before` were counted, and was read between the other two.
    let logged = keys.len() as u64;
    assert!(
        (reads["xread"] - reads_before..=reads_later["xread"]).contains(&logged),
        "{logged} in the log, of {reads_before} and {reads:?}"
    );
    print_figures(&ledger, &keys, &reads, window, behind_ms);
    ledger.report().assert_exact().unwrap();
    arrived.unwrap();
}

fn hold_against_budget(keys: &[usize], reads: &redis_load::Calls, window: Duration) {
    let (batches_max, keys_max) = (KEYS_PER_SECOND / BATCH, KEYS_PER_SECOND);
    // An interval that the window cuts counts with all of its budget.
    let seconds = window.as_secs_f64().ceil() + 1.0;
    assert!(keys.iter().all(|keys| *keys <= BATCH), "one XREAD of more than {BATCH} keys: {keys:?}");
    let sum: usize = keys.iter().sum();
    assert!(sum > TOPICS / 2, "{sum} keys in {window:?}: the check stands still");
    assert!(as_f64(sum) <= as_f64(keys_max) * seconds, "{sum} keys in {window:?}");
    assert!(as_f64(keys.len()) <= as_f64(batches_max) * seconds, "{} XREADs in {window:?}", keys.len());
    // Events of the window came by the live channel.
    let others: u64 = reads.values().sum::<u64>() - reads["xread"];
    assert_eq!(others, 0, "reads besides the checks: {reads:?}");
}

#[expect(clippy::print_stdout, reason = "what Redis was asked for is what a reader of the run looks for")]
fn print_figures(
    ledger: &Ledger,
    keys: &[usize],
    reads: &redis_load::Calls,
    window: Duration,
    behind_ms: u64,
) {
    let (seconds, sum) = (window.as_secs_f64(), keys.iter().sum::<usize>());
    println!("{TOPICS} topics, {window:?}: {reads:?}");
    println!("{:.1} XREADs and {:.0} keys a second", as_f64(keys.len()) / seconds, as_f64(sum) / seconds);
    println!("floors at most {behind_ms} ms behind\n{}\n{}", Continuity::HEADING, ledger.report());
}

/// Keeps `floor` and `books` until the stream fails.
async fn read(mut stream: SseStream, floor: Floor, books: ClientLedger) {
    loop {
        let item = stream.next().await.unwrap().expect("nobody ends this stream");
        let id = match &item {
            Item::Event(event) => {
                assert!(!is_control(event), "{event:?}");
                books.received(&event.data).unwrap();
                &event.last_event_id
            }
            Item::Id(id) => id,
            _ => continue,
        };
        let Cursor::Vector(cursor) = id.parse().unwrap() else { panic!("{id} is no vector") };
        let before = floor.swap(cursor.floor_ms(), Ordering::Relaxed);
        assert!(before <= cursor.floor_ms(), "a floor went back from {before} to {id}");
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
