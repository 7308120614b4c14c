//! `publish.lua` with arguments that nobody meant: it refuses before it writes, and an event that is in its log is
//! answered with its id.

use std::time::Duration;

use redis::{RedisError, Value};
use sluice_broker::{PUBLISH_SCRIPT, Retention};
use sluice_testkit::RedisServer;
use sluice_wire::EventId;

use crate::stage::{SOON, Stage, topic};

const LOG: &str = "sluice:{t}:log";
const ONCE: &str = "sluice:{t}:once:k";

type Bytes = Vec<u8>;

struct Caller {
    connection: redis::aio::MultiplexedConnection,
}

impl Caller {
    async fn of(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        Self { connection: client.get_multiplexed_async_connection().await.unwrap() }
    }

    async fn publish<A: AsRef<[u8]>>(
        &self,
        keys: &[&str],
        arguments: &[A],
    ) -> Result<Vec<Value>, RedisError> {
        let mut eval = redis::cmd("EVAL");
        eval.arg(PUBLISH_SCRIPT).arg(keys.len()).arg(keys);
        for argument in arguments {
            eval.arg(argument.as_ref());
        }
        eval.query_async(&mut self.connection.clone()).await
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connection.clone()).await.unwrap()
    }
}

/// The id and the reports of an answer that tells its clock.
fn told(answer: &[Value]) -> (EventId, Vec<String>) {
    let [Value::BulkString(id), Value::Int(_), Value::Int(_), Value::Array(reports)] = answer else {
        panic!("{answer:?}")
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    (String::from_utf8_lossy(id).parse().unwrap(), reports.iter().map(text).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_arguments_are_refused_before_anything_is_written() {
    let server = RedisServer::start().await.unwrap();
    let caller = Caller::of(&server.url()).await;
    let long_topic = format!("sluice:{{{}}}:log", "x".repeat(201));
    for keys in [
        &[][..],
        &["orders"],
        &["sluice:{}:log"],
        &["sluice:{a b}:log"],
        &["sluice:{/t}:log"],
        &["sluice:{a/../b}:log"],
        &["a:{b}:{t}:log"],
        &[long_topic.as_str()],
        &[LOG, "elsewhere"],
        &[LOG, "sluice:{u}:once:k"],
        &[LOG, "sluice:{t}:once:"],
        &[LOG, "sluice:{t}:log"],
        &[LOG, ONCE, "k"],
        &[LOG, ONCE, ONCE, ONCE],
    ] {
        let refused = caller.publish(keys, &["x"]).await.unwrap_err();
        assert_eq!(refused.code(), Some("SLUICE"), "{keys:?}: {refused}");
    }
    let refused = caller.publish::<&str>(&[LOG], &[]).await.unwrap_err();
    assert!(refused.to_string().contains("data of the event"), "{refused}");
    for arguments in odd_arguments() {
        let answer = caller.publish(&[LOG, ONCE], &arguments).await;
        let refused = answer.expect_err(&format!("{arguments:?}"));
        assert_eq!(refused.code(), Some("SLUICE"), "{arguments:?}: {refused}");
    }
    assert_eq!(caller.ask::<u64>(&["DBSIZE"]).await, 0);
    for (key, at) in [(LOG, [LOG, ONCE]), (ONCE, [LOG, ONCE])] {
        caller.ask::<()>(&["FLUSHALL"]).await;
        caller.ask::<u64>(&["HSET", key, "f", "v"]).await;
        let refused = caller.publish(&at, &["x", "", "", "10", "1000", "1000"]).await.unwrap_err();
        assert_eq!(refused.code(), Some("WRONGTYPE"), "{key}: {refused}");
        assert_eq!(
            (caller.ask::<u64>(&["DBSIZE"]).await, caller.ask::<i64>(&["PTTL", key]).await),
            (1, -1),
            "{key}"
        );
    }
}

/// Arguments of which one is odd each.
fn odd_arguments() -> Vec<Vec<Bytes>> {
    let with = |at: usize, argument: &[u8]| {
        let mut arguments = vec![b"x".to_vec(); 1];
        arguments.resize(at, Bytes::new());
        arguments[at - 1] = argument.to_vec();
        arguments
    };
    let long = [b'x'; 257];
    let mut odd: Vec<Vec<Bytes>> = Vec::new();
    for data in [
        &b"\xff"[..],
        b"\x80",
        b"a\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ] {
        odd.push(with(1, data));
        odd.push(with(2, data));
    }
    odd.extend(
        [&b"sluice.gap"[..], b"sluice.", b"a\nb", b"\x7f", b"\xc2\x85", &long[..201]]
            .map(|kind| with(2, kind)),
    );
    odd.extend([&b"a\nb"[..], b"\xc3\xa9", &long].map(|trace| with(3, trace)));
    for number in [4, 5, 6, 7, 9] {
        let odd_numbers =
            [&b"-1"[..], b"1.5", b"1e3", b"0x10", b" 5", b"nan", b"inf", b"ten", b"007", b"9999999999999999"];
        odd.extend(odd_numbers.map(|value| with(number, value)));
    }
    odd.push(with(7, b"0"));
    odd.extend([&b"publish"[..], b"FLUSHALL", b"PUBLISH "].map(|announce| with(8, announce)));
    odd.extend([&b"yes"[..], b"2"].map(|checked| with(10, checked)));
    odd.push(with(11, b"more"));
    odd
}

/// Whatever is accepted can be read by a node; whatever is not leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_script_accepts_no_node_skips() {
    let stage = Stage::redis(Retention::UNLIMITED).await;
    let caller = Caller::of(&stage.server.as_ref().unwrap().url()).await;
    let pieces: [&[u8]; 16] = [
        b"",
        b"0",
        b"1",
        b"-1",
        b"10000",
        b"PUBLISH",
        b"SPUBLISH",
        b"sluice.gap",
        b"order",
        b"\xc3\xa9",
        b"\xe6\xbc\xa2",
        b"\xff",
        b"\n",
        b"\0",
        b"\xf0\x9f\x98\x80",
        b"86400000",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let mut arguments: Vec<Bytes> = Vec::new();
        for at in 1..=random.usize(1..=9) {
            let count = if at <= 2 { random.usize(0..4) } else { usize::from(random.u8(..) < 60) };
            arguments.push((0..count).flat_map(|_| pieces[random.usize(..pieces.len())]).copied().collect());
        }
        let key = format!("sluice:{{t}}:once:{}", random.u8(..));
        let keys = if random.bool() { vec![LOG] } else { vec![LOG, key.as_str()] };
        let before: u64 = caller.ask(&["XLEN", LOG]).await;
        match caller.publish(&keys, &arguments).await {
            Ok(answer) => {
                accepted += u64::from(answer[1] == Value::Int(0));
                let Value::BulkString(id) = &answer[0] else { panic!("{answer:?}") };
                let id: EventId = String::from_utf8_lossy(id).parse().unwrap();
                let page = stage.broker.read(&topic("t"), id, id, 1).await.unwrap();
                // It may have been trimmed by what it asked for itself.
                assert_eq!(page.skipped, [], "{arguments:?}");
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error.code(), Some("SLUICE" | "KEYREUSED")), "{arguments:?}: {error}");
                assert!(caller.ask::<u64>(&["XLEN", LOG]).await <= before, "{arguments:?}");
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_in_the_log_is_answered_whatever_else_is_refused() {
    let rights = "resetkeys ~sluice:* resetchannels -@all +eval +get +set +pttl +xinfo|stream +xadd +time";
    let server = RedisServer::builder().acl_user("sluice", "s3cret", rights).start().await.unwrap();
    let caller = Caller::of(&server.url()).await;
    let arguments = ["x", "", "", "10", "1000", "", "", "PUBLISH", "0"];
    let (id, reports) = told(&caller.publish(&[LOG], &arguments).await.unwrap());
    assert_eq!(reports, ["not-expiring", "not-announced"]);
    // Without [9] the answer is what it always was.
    let answer = caller.publish(&[LOG], &["y"]).await.unwrap();
    assert!(matches!(&answer[..], [Value::BulkString(_), Value::Int(0)]), "{answer:?}");
    let range = server.cli(&["XRANGE", LOG, "-", "+"]).await.unwrap();
    assert!(range.contains(&id.to_string()) && range.contains('y'), "{range}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_kept_is_refused_before_the_event_is_in_the_log() {
    let rights = "resetkeys ~sluice:* resetchannels &* -@all +eval +get +pttl +pexpire +xinfo|stream +xadd +time +publish";
    let server = RedisServer::builder().acl_user("sluice", "s3cret", rights).start().await.unwrap();
    let caller = Caller::of(&server.url()).await;
    let refused = caller.publish(&[LOG, ONCE], &["x"]).await.unwrap_err();
    assert!(refused.to_string().contains("can't run this command"), "{refused}");
    assert_eq!(server.cli(&["DBSIZE"]).await.unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_earlier_releases_count() {
    let server = RedisServer::start().await.unwrap();
    let caller = Caller::of(&server.url()).await;
    let (scoped, earlier) = ("sluice:{t}:once:from:0:k", ONCE);
    // A record of an earlier release has no digest.
    caller.ask::<()>(&["SET", earlier, "5-0"]).await;
    let answer = caller.publish(&[LOG, scoped, earlier], &["x"]).await.unwrap();
    assert_eq!(answer, [Value::BulkString(b"5-0".to_vec()), Value::Int(1)]);
    // One with a digest was made under that very name, by somebody else.
    caller.ask::<u64>(&["DEL", earlier]).await;
    caller.publish(&[LOG, earlier], &["x"]).await.unwrap();
    let answer = caller.publish(&[LOG, scoped, earlier], &["x"]).await.unwrap();
    assert_eq!(answer[1], Value::Int(0));
    caller.ask::<()>(&["SET", scoped, "junk"]).await;
    let refused = caller.publish(&[LOG, scoped], &["x"]).await.unwrap_err();
    assert!(refused.to_string().contains("something else"), "{refused}");
    assert_eq!(caller.ask::<u64>(&["XLEN", LOG]).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_the_far_future_is_reported_and_no_time() {
    let server = RedisServer::start().await.unwrap();
    let caller = Caller::of(&server.url()).await;
    caller.ask::<String>(&["XADD", LOG, "9999999999999-0", "data", "x"]).await;
    let arguments = ["y", "", "", "", "2000", "600000", "", "PUBLISH", "0"];
    let mut last = EventId::ZERO;
    let lengths = async || {
        let (id, reports) = told(&caller.publish(&[LOG], &arguments).await.unwrap());
        assert_eq!((id.ms, reports), (9_999_999_999_999, vec!["last-id-ahead".to_owned()]));
        caller.ask::<u64>(&["XLEN", LOG]).await
    };
    // They come for longer than they may be kept, so the first must go; by their ids they are all of one moment.
    let (began, mut published) = (tokio::time::Instant::now(), 0);
    while lengths().await >= published {
        published += 1;
        assert!(began.elapsed() < SOON, "{published} events, and none was trimmed");
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "nothing goes too early");
    for _ in 0..50 {
        let (id, _) = told(&caller.publish(&[LOG], &arguments).await.unwrap());
        assert!(id > last);
        last = id;
    }
    // The last possible id leaves no room for another one.
    caller.ask::<String>(&["XADD", LOG, "18446744073709551615-18446744073709551615", "data", "x"]).await;
    let refused = caller.publish(&[LOG], &arguments).await.unwrap_err();
    assert!(refused.to_string().contains("last possible id"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_expires_with_its_newest_event_whoever_wrote_the_first() {
    let server = RedisServer::start().await.unwrap();
    let caller = Caller::of(&server.url()).await;
    let expires = async |arguments: &[&str]| {
        caller.publish(&[LOG], arguments).await.unwrap();
        caller.ask::<i64>(&["PTTL", LOG]).await
    };
    caller.ask::<String>(&["XADD", LOG, "*", "data", "by hand"]).await;
    assert_eq!(expires(&["x"]).await, -1, "nothing was asked for");
    let day = expires(&["x", "", "", "", "86400000"]).await;
    assert!((86_400_000..=86_460_000).contains(&day), "{day}");
    let hour = expires(&["x", "", "", "", "86400000", "3600000"]).await;
    assert!((3_600_000..=3_636_000).contains(&hour), "{hour}");
    assert!(expires(&["x", "", "", "", "86400000"]).await >= 86_400_000, "longer again");
    assert!(expires(&["x", "", "", "", "0", "0"]).await > 0, "0 is no limit, and changes none");
}
