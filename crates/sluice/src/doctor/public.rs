//! The public address, as a client of this machine meets it: what stands between client and node, and what it
//! does to a stream. Nothing is published: a node greets every stream at once, so what does not come at once was
//! held back on the way.

mod exchange;
mod judge;

use std::time::Duration;

use sluice_wire::Topic;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::Item;
use tokio::time::Instant;

use self::exchange::{Opened, Visitor};
use self::judge::{Answer, Greeting, Reaction, Watched};
use super::finding::Finding;
use crate::cli::http::Target;

/// How long a head, and then a greeting, may take.
const WITHIN: Duration = Duration::from_secs(10);
/// How long what follows the greeting may take.
const BEHIND_GREETING: Duration = Duration::from_secs(3);
/// A cursor that no node can read, so that one that gets it must say so.
const UNREADABLE_CURSOR: &str = "sluice-doctor";
/// The length of the cursor of a stream with some hundred topics. A node takes a head of 16 KiB.
const LONG_CURSOR_BYTES: usize = 12 << 10;
/// The origin of a page that is not served by the public address.
const ANOTHER_ORIGIN: &str = "https://sluice-doctor.invalid";
/// What some proxies compress for.
const ENCODINGS: &str = "gzip, deflate, br, zstd";

/// Opens streams through the public address and watches one of them for `idle`.
pub(super) async fn examine(
    target: Target,
    topic: &Topic,
    heartbeat: Duration,
    idle: Duration,
) -> Vec<Finding> {
    let protocol = match target.is_tls() {
        true => Some(target.negotiated().await),
        false => None,
    };
    let visitor = Visitor::new(target, topic);
    let long_cursor = UNREADABLE_CURSOR.repeat(LONG_CURSOR_BYTES / UNREADABLE_CURSOR.len());
    let (stay, compressed, told, long) = tokio::join!(
        stay(&visitor, idle),
        visitor.open(&[("accept-encoding", ENCODINGS)], WITHIN),
        reaction(&visitor, UNREADABLE_CURSOR),
        reaction(&visitor, &long_cursor),
    );
    let head = match &stay.opened {
        Opened::Stream(stream) => &stream.head,
        Opened::Refused { head, detail } => return vec![judge::refused(head.status, detail, topic)],
        Opened::Silent(why) => {
            let answers = visitor.answers_otherwise(WITHIN).await;
            return vec![judge::silent(why, answers)];
        }
    };
    let encoding = match &compressed {
        Opened::Stream(stream) => stream.head.header("content-encoding").map(str::to_owned),
        _ => None,
    };
    let mut findings = judge::head(head);
    findings.extend(protocol.map(judge::protocol));
    findings.push(judge::greeting(&stay.greeting));
    findings.push(judge::compression(encoding.as_deref()));
    if stay.greeting.id.is_some() {
        let told = matches!(told, Reaction::Told);
        findings.push(judge::cursor(told));
        if told {
            findings.push(judge::long_cursor(LONG_CURSOR_BYTES, &long));
        }
    }
    findings.extend(stay.watched.map(|watched| judge::idle(&watched, heartbeat)));
    findings.push(judge::gateways_up());
    findings
}

/// Asks for a stream while no gateway runs, as a browser does that reconnects.
pub(super) async fn examine_without_gateways(target: Target, topic: &Topic) -> Vec<Finding> {
    let visitor = Visitor::new(target, topic);
    match visitor.open(&[("origin", ANOTHER_ORIGIN)], WITHIN).await {
        Opened::Silent(why) => vec![judge::silent(&why, false)],
        Opened::Refused { head, detail } => vec![judge::refused_without_gateways(head.status, &detail)],
        Opened::Stream(mut stream) => {
            let answer = read_answer(&mut stream).await;
            judge::answered_without_gateways(&stream.head, &answer)
        }
    }
}

/// Reads what the proxy says in place of a stream, to its end.
async fn read_answer(stream: &mut exchange::Stream) -> Answer {
    let mut answer = Answer::default();
    let until = Instant::now() + WITHIN;
    loop {
        match stream.next(until.saturating_duration_since(Instant::now())).await {
            Ok(Some(Item::Retry(ms))) => answer.retry_ms = Some(ms),
            Ok(Some(Item::Id(_) | Item::Event(_))) => {
                answer.is_of_node = true;
                return answer;
            }
            Ok(Some(_)) => {}
            Ok(None) => return answer,
            Err(_) => {
                answer.has_ended = true;
                return answer;
            }
        }
    }
}

/// One stream, from its request to the end of the visit.
struct Stay {
    opened: Opened,
    greeting: Greeting,
    /// `None` where there was nothing to watch.
    watched: Option<Watched>,
}

async fn stay(visitor: &Visitor, idle: Duration) -> Stay {
    let (mut opened, greeting) = greet(visitor).await;
    let watched = match &mut opened {
        Opened::Stream(stream) if greeting.id.is_some() && !idle.is_zero() => Some(watch(stream, idle).await),
        _ => None,
    };
    Stay { opened, greeting, watched }
}

/// Opens a stream and reads its first frame.
async fn greet(visitor: &Visitor) -> (Opened, Greeting) {
    let mut opened = visitor.open(&[("accept-encoding", "identity")], WITHIN).await;
    let mut greeting = Greeting { within: WITHIN, ..Greeting::default() };
    let Opened::Stream(stream) = &mut opened else { return (opened, greeting) };
    let began = Instant::now();
    while greeting.id.is_none() && began.elapsed() < WITHIN {
        match stream.next(WITHIN.saturating_sub(began.elapsed())).await {
            Ok(Some(Item::Retry(ms))) => greeting.retry_ms = Some(ms),
            Ok(Some(Item::Id(id))) => {
                greeting.readable = id.parse::<Cursor>().is_ok();
                (greeting.after, greeting.id) = (Some(began.elapsed()), Some(id));
            }
            Ok(Some(Item::Event(event))) if event.event_type == "sluice.shed" => {
                greeting.shed = Some(event.data);
                break;
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(ended) => {
                greeting.ended = Some(ended);
                break;
            }
        }
    }
    (opened, greeting)
}

/// Offers a cursor that no node can read. The node says so right behind its greeting, if the header came through.
async fn reaction(visitor: &Visitor, cursor: &str) -> Reaction {
    let mut stream = match visitor.open(&[("last-event-id", cursor)], WITHIN).await {
        Opened::Stream(stream) => stream,
        Opened::Refused { head, .. } => return Reaction::Refused(head.status),
        Opened::Silent(_) => return Reaction::Ignored,
    };
    let mut until = Instant::now() + WITHIN;
    while let Ok(Some(item)) = stream.next(until.saturating_duration_since(Instant::now())).await {
        match item {
            Item::Event(event) => {
                let told = event.event_type == "sluice.gap" && event.data.contains("unknown-cursor");
                return if told { Reaction::Told } else { Reaction::Ignored };
            }
            Item::Id(_) => until = until.min(Instant::now() + BEHIND_GREETING),
            _ => {}
        }
    }
    Reaction::Ignored
}

/// Holds a stream open and notes what keeps it awake.
async fn watch(stream: &mut exchange::Stream, idle: Duration) -> Watched {
    let began = Instant::now();
    let mut watched = Watched { idle, ..Watched::default() };
    let mut last = began;
    loop {
        let left = idle.saturating_sub(began.elapsed());
        let item = stream.next(left).await;
        watched.longest_silence = watched.longest_silence.max(last.elapsed());
        match item {
            Ok(Some(item)) => {
                last = Instant::now();
                watched.signs += u32::from(matches!(item, Item::Comment(_) | Item::Id(_)));
            }
            Ok(None) => return watched,
            Err(why) => {
                watched.ended = Some((began.elapsed(), why));
                return watched;
            }
        }
    }
}
