//! What others write to the log of a topic, in any order: every read answers in time, never loops, and says of the log
//! what redis-cli says of it.

use std::ops::Range;
use std::time::Duration;

use sluice_broker::{BrokerError, Retention};
use sluice_testkit::RedisServer;
use sluice_wire::EventId;
use tokio::time::timeout;

use crate::stage::{Stage, topic};

const LOG: &str = "sluice:{t}:log";
const SPARE: &str = "sluice:{t}:spare";
/// Every log of these tests is shorter.
const ALL: usize = 10_000;
/// One read, on a machine that is busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Numbers that a seed gives (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.next(choices.len() as u64);
        choices[usize::try_from(index).unwrap()]
    }
}

/// The words of one command, as redis-cli takes them; the last one may be bytes.
fn draw(dice: &mut Dice) -> (Vec<String>, Option<Vec<u8>>) {
    const RESTORE: &str = "return redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]), 'REPLACE')";
    const LIST: &str = "redis.call('DEL', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'text')";
    const NTH: &str = "local ids = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 3) \
                       return redis.call('XDEL', KEYS[1], ids[#ids][1])";
    let id = dice.of(&[
        "*",
        "*",
        "*",
        "5-1",
        "5-18446744073709551615",
        "9999999999999-0",
        "18446744073709551615-1",
        "18446744073709551615-18446744073709551615",
    ]);
    let keep = dice.next(4).to_string();
    let words: Vec<&str> = match dice.next(22) {
        0..5 => vec!["XADD", LOG, id, "data", "x"],
        5 => vec!["XADD", LOG, id, "foo", "bar"],
        6 => vec!["XADD", LOG, id, "data", "x", "type", "line\nbreak"],
        7 => vec!["XADD", LOG, id, "data", "x", "prev", "no id", "type", ""],
        8 => vec!["EVAL", NTH, "1", LOG],
        9 => vec!["XTRIM", LOG, "MAXLEN", &keep],
        10 => vec!["DEL", LOG],
        11 => vec!["RENAME", LOG, SPARE],
        12 => vec!["RENAME", SPARE, LOG],
        13 => vec!["COPY", LOG, SPARE, "REPLACE"],
        14 => vec!["EVAL", RESTORE, "2", SPARE, LOG],
        // Gone at once or not before the end: nothing may change between two looks.
        15 => vec!["PEXPIRE", LOG, if keep == "0" { "86400000" } else { "0" }],
        16 => vec!["XSETID", LOG, if id == "*" { "9999999999999-0" } else { id }],
        17 => vec!["SET", LOG, "text"],
        18 => vec!["EVAL", LIST, "1", LOG],
        19 => vec!["XGROUP", "CREATE", LOG, "readers", "0", "MKSTREAM"],
        20 => vec!["FLUSHALL"],
        _ => {
            let words = ["-x", "XADD", LOG, id, "data"].map(str::to_owned);
            return (words.into(), Some(b"\xff\xfe".to_vec()));
        }
    };
    (words.into_iter().map(str::to_owned).collect(), None)
}

/// What stands in the log; `None` where the key is no log.
async fn ids(server: &RedisServer) -> Option<Vec<EventId>> {
    const IDS: &str = "local ids = {} \
         for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do ids[#ids + 1] = entry[1] end \
         return ids";
    let printed = server.cli(&["EVAL", IDS, "1", LOG]).await.ok()?;
    Some(printed.lines().filter(|line| !line.is_empty()).map(|line| line.parse().unwrap()).collect())
}

async fn in_time<T>(read: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    timeout(ANSWERS_WITHIN, read).await.expect("a read has no end")
}

/// Compares every way to read with what the log holds.
async fn consistent(stage: &Stage, dice: &mut Dice) {
    let (broker, topic) = (&stage.broker, topic("t"));
    let Some(ids) = ids(stage.server.as_ref().unwrap()).await else { return refused(stage).await };
    let page = in_time(broker.read(&topic, EventId::ZERO, EventId::MAX, ALL)).await.unwrap();
    let mut all: Vec<_> = page.events.iter().map(|event| event.id).chain(page.skipped).collect();
    all.sort_unstable();
    assert_eq!(all, ids, "a read of everything");
    assert_eq!((page.first, page.last, page.more), (ids.first().copied(), ids.last().copied(), false));

    let (mut paged, mut from) = (Vec::new(), EventId::ZERO);
    loop {
        let page = in_time(broker.read(&topic, from, EventId::MAX, 2)).await.unwrap();
        paged.extend(page.events.iter().map(|event| event.id).chain(page.skipped));
        assert!(paged.len() <= ids.len(), "a read by pages goes round: {paged:?}");
        match page.last {
            Some(last) if page.more && last < EventId::MAX => from = last.after(),
            _ => break,
        }
    }
    paged.sort_unstable();
    assert_eq!(paged, ids, "a read by pages");

    let head = in_time(broker.heads(std::slice::from_ref(&topic))).await.unwrap().remove(0);
    assert_eq!(head.oldest, ids.first().copied(), "{head:?}");
    assert!(ids.last().is_none_or(|last| *last <= head.last), "{head:?}");

    let mut points = vec![EventId::ZERO, EventId::new(5, 1), EventId::MAX];
    if !ids.is_empty() {
        let any = ids[usize::try_from(dice.next(ids.len() as u64)).unwrap()];
        points.extend([any, any.before(), any.after()]);
    }
    for point in points {
        let newest = in_time(broker.newest_until(&topic, point)).await.unwrap();
        assert_eq!(newest, ids.iter().copied().rfind(|id| *id <= point), "the newest until {point}");
        let tails = in_time(broker.tails(&[(topic.clone(), point)], ALL)).await.unwrap();
        let behind = tails.behind.into_iter().flat_map(|tail| {
            tail.page.events.into_iter().map(|event| event.id).chain(tail.page.skipped).collect::<Vec<_>>()
        });
        let mut behind: Vec<_> = behind.collect();
        behind.sort_unstable();
        let expected: Vec<_> = ids.iter().copied().filter(|id| *id > point).collect();
        assert_eq!((behind, tails.unreadable), (expected, Vec::new()), "the tail behind {point}");
    }
}

/// A key that is no log: an error for itself, and no harm to another topic in the same look.
async fn refused(stage: &Stage) {
    let (broker, bad, good) = (&stage.broker, topic("t"), topic("good"));
    assert!(in_time(broker.read(&bad, EventId::ZERO, EventId::MAX, ALL)).await.is_err());
    assert!(in_time(broker.newest_until(&bad, EventId::MAX)).await.is_err());
    assert!(in_time(broker.heads(std::slice::from_ref(&bad))).await.is_err());
    stage.fill("good", 0..1).await;
    let asked = [(bad, EventId::ZERO), (good, EventId::ZERO)];
    let tails = in_time(broker.tails(&asked, ALL)).await.unwrap();
    assert_eq!(tails.unreadable, [0]);
    assert!(tails.behind.iter().all(|tail| tail.index == 1) && !tails.behind.is_empty(), "{tails:?}");
}

async fn play(seeds: Range<u64>) {
    let stage = Stage::redis(Retention::UNLIMITED).await;
    let server = stage.server.as_ref().unwrap();
    for seed in seeds {
        let mut dice = Dice(seed);
        for step in 0..12 {
            let (words, input) = draw(&mut dice);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // A refusal by Redis is an answer.
            let answer = server.cli_with_stdin(&words, input.as_deref().unwrap_or_default()).await;
            // Seen if the comparison fails.
            eprintln!("seed {seed}, step {step}: {words:?} -> {answer:?}");
            consistent(&stage, &mut dice).await;
        }
        server.cli(&["FLUSHALL"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_agree_with_redis_whatever_is_written() {
    play(0..30).await;
}
