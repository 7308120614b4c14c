//! A head that was admitted is admitted again with the cursor of its stream.

use http::Request;
use sluice_gateway::ListenerSettings;
use sluice_testkit::RawConnection;
use sluice_wire::EventId;
use sluice_wire::cursor::{Cursor, VectorCursor};

use crate::secure::Secure;
use crate::stage::{SOON, Stage, event, greeting, head};

/// `limits.header_bytes_max` of these listeners.
const HEAD_BYTES: usize = 16 << 10;

fn query(topics: usize) -> String {
    let topics: Vec<_> = (0..topics).map(|n| format!("topic=room/{n}")).collect();
    topics.join("&")
}

/// A request for a stream whose head has `size` bytes, and `fields` behind them.
fn padded(topics: usize, size: usize, fields: &str) -> String {
    let start = format!(
        "GET /v1/events?{} HTTP/1.1\r\nhost: test\r\naccept: text/event-stream\r\nx-pad: ",
        query(topics)
    );
    let pad = "y".repeat(size - start.len() - "\r\n\r\n".len());
    format!("{start}{pad}\r\n{fields}\r\n")
}

/// The longest cursor that `topics` topics can have.
fn longest_cursor(topics: usize) -> String {
    let entries = (0..topics).map(|n| format!("~{n:011}LygHa16AHYF-LygHa16AHYF"));
    let text = format!("v1.0{}", entries.collect::<String>());
    assert!(text.parse::<Cursor>().is_ok());
    text
}

async fn send(stage: &Stage, request: String) -> RawConnection {
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(request).await.unwrap();
    connection
}

/// The last cursor in what was read of a stream.
fn last_cursor(read: &str) -> String {
    let (_, behind) = read.rsplit_once("id: ").unwrap();
    behind.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_the_greatest_size_comes_back_with_its_cursor() {
    let stage = Stage::start().await;
    let mut stream = send(&stage, padded(64, HEAD_BYTES, "")).await;
    greeting(&mut stream).await;
    for n in 0..64 {
        stage.publish(&format!("room/{n}"), &format!("first-{n}")).await;
    }
    let cursor = last_cursor(&event(&mut stream, "first-63").await);
    drop(stream);
    stage.publish("room/5", "missed").await;
    for cursor in [cursor, longest_cursor(64)] {
        let field = format!("last-event-id: {cursor}\r\n");
        let mut stream = send(&stage, padded(64, HEAD_BYTES, &field)).await;
        let answer = head(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        if cursor.len() < 2_000 {
            let read = event(&mut stream, "missed").await;
            assert!(!read.contains("unknown-cursor"), "{read}");
        }
    }
    let answer = head(&mut send(&stage, padded(64, HEAD_BYTES + 1, "")).await).await;
    assert!(answer.starts_with("HTTP/1.1 431") && answer.contains("problem+json"), "{answer}");
    // A cursor that no stream of this node can have makes no room for other fields.
    let field = format!("last-event-id: {}\r\n", longest_cursor(100));
    let answer = head(&mut send(&stage, padded(64, HEAD_BYTES, &field)).await).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_the_greatest_number_of_fields_comes_back_with_its_cursor() {
    let stage = Stage::start().await;
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let cursor = "last-event-id: 1-0\r\n";
    for (fields, status) in [
        (fields(97), "200"),
        (format!("{}{cursor}", fields(97)), "200"),
        (fields(98), "431"),
        (format!("{}{cursor}", fields(98)), "431"),
    ] {
        let answer = head(&mut send(&stage, padded(1, 200, &fields)).await).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_in_the_query_does_not_count_either() {
    let stage = Stage::start().await;
    for name in ["last_event_id", "lastEventId", "Last-Event-ID"] {
        let cursor = format!("&{name}={} HTTP", longest_cursor(64));
        let request = padded(64, HEAD_BYTES, "").replacen(" HTTP", &cursor, 1);
        let answer = head(&mut send(&stage, request).await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_http2_comes_back_with_its_cursor() {
    let secure = Secure::start_with(false, |_| {}).await;
    let ask = async |pad: usize, cursor: Option<&str>| {
        let uri = format!("https://localhost/v1/events?{}", query(64));
        let mut request = Request::get(uri).header("x-pad", "y".repeat(pad));
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor);
        }
        let mut requests = secure.http2().await;
        let (answer, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        tokio::time::timeout(SOON, answer).await.unwrap().unwrap().status()
    };
    // The longest that is admitted without a cursor.
    let (mut fits, mut too_long) = (1, HEAD_BYTES);
    while too_long - fits > 1 {
        let middle = fits.midpoint(too_long);
        if ask(middle, None).await == 200 { fits = middle } else { too_long = middle }
    }
    assert!(fits > HEAD_BYTES / 2, "{fits}");
    assert_eq!(ask(fits, Some(&longest_cursor(64))).await, 200);
    assert_eq!(ask(fits + 1, Some(&longest_cursor(64))).await, 431);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cursor_of_many_active_topics_is_known() {
    const TOPICS: usize = Cursor::TOPICS_MAX;
    let cursor_bytes_max = Cursor::len_max(TOPICS);
    let listener = ListenerSettings { header_bytes_max: 32 << 10, cursor_bytes_max, ..Default::default() };
    let stage = Stage::start_on(|settings| settings.limits.topics_per_stream_max = TOPICS, listener).await;
    let moment = stage.publish("room/0", "first").await;
    for n in 1..TOPICS {
        stage.publish(&format!("room/{n}"), "first").await;
    }
    let topics: Vec<_> =
        (0..TOPICS).map(|n| sluice_wire::Topic::parse(&format!("room/{n}")).unwrap()).collect();
    let ahead = |n: u64| EventId::new(moment.ms + 1 + n % 7, 1_000);
    let positions: Vec<_> = topics.iter().zip(0..).map(|(topic, n)| (topic, ahead(n))).collect();
    let cursor = VectorCursor::new(moment.ms - 60_000, &positions).to_string();
    assert!(cursor.len() > 4 << 10, "{} bytes", cursor.len());
    let mut stream = send(&stage, padded(TOPICS, 32 << 10, &format!("last-event-id: {cursor}\r\n"))).await;
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stage.publish("room/7", "last").await;
    let read = event(&mut stream, "last").await;
    assert!(!read.contains("unknown-cursor"), "the cursor is unknown");
}
