//! Replays to many clients with very little memory for them: each gets everything, once and in order, and those
//! that take nothing hold none of it.

use sluice_gateway::{GatewaySettings, ListenerSettings, RingLimits, WindowLimits};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use crate::secure::{Http2Stream, Secure, ask, http2_over};
use crate::stage::{SOON, Stage, get_stream};

/// Room for the pages of three streams.
const MEMORY: usize = 128 << 10;
const EVENT_BYTES: usize = 20_000;
const EVENTS: usize = 60;
/// Of each kind.
const READERS: usize = 5;
const STOPPED: usize = 5;
/// Both topics, from their beginning.
const EVERYTHING: &str = "a&topic=b&since=earliest";
const LAST: &str = "data: last\n\n";

/// What is in memory anyway serves nobody here, so everything comes from the logs.
fn short_of_memory(settings: &mut GatewaySettings) {
    settings.windows = WindowLimits { events_max: 2, bytes_max: 2 * EVENT_BYTES, node_bytes_max: 1 << 20 };
    settings.rings = RingLimits { events_max: 4, bytes_max: 1 << 20 };
    settings.catch_up_bytes_max = MEMORY;
}

/// A client of one kind.
enum Client {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Http2(Http2Stream),
}

impl Client {
    /// Everything up to the last event.
    async fn read(&mut self) -> String {
        match self {
            Self::Plain(socket) => until_last(socket).await,
            Self::Tls(stream) => until_last(stream).await,
            Self::Http2(stream) => stream.until(LAST).await,
        }
    }
}

async fn until_last(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let came = tokio::time::timeout(SOON, io.read_buf(&mut read)).await;
        let came = came.unwrap_or_else(|_| panic!("no more after {} bytes", read.len())).unwrap();
        assert_ne!(came, 0, "the end came after {} bytes", read.len());
        let unseen = read.len().saturating_sub(came + LAST.len());
        if read[unseen..].windows(LAST.len()).any(|window| window == LAST.as_bytes()) {
            return String::from_utf8(read).unwrap();
        }
    }
}

/// A connected socket; a narrow one holds little of what its client does not read.
async fn connect(stage: &Stage, is_narrow: bool) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if is_narrow {
        socket.set_recv_buffer_size(4_096).unwrap();
    }
    socket.connect(stage.address).await.unwrap()
}

/// Events of two topics in turns, large and small; what each client is to get.
async fn publish(stage: &Stage) -> Vec<String> {
    let mut published = Vec::new();
    for number in 0..EVENTS {
        let topic = if number % 2 == 0 { "a" } else { "b" };
        let filler = if number % 5 == 4 { 10 } else { EVENT_BYTES };
        stage.publish(topic, &format!("{topic}{number} {}", "x".repeat(filler))).await;
        published.push(format!("{topic}{number}"));
    }
    stage.publish("b", "last").await;
    published.push("last".to_owned());
    published
}

fn events(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")?.split(' ').next()).collect()
}

/// The readers read to the end beside those that have stopped; then these go on.
async fn all_get_everything(
    stage: &Stage,
    readers: Vec<Client>,
    mut stopped: Vec<Client>,
    published: Vec<String>,
) {
    let count = readers.len() + stopped.len();
    let mut reading = JoinSet::new();
    for mut reader in readers {
        reading.spawn(async move { (reader.read().await, reader) });
    }
    let read = reading.join_all().await;
    for (text, _) in &read {
        assert_eq!(events(text), published);
    }
    stage.reach("those that stopped to hold nothing", |status| status.replay_memory.held == 0).await;
    assert_eq!(stage.gateway.status().streams, count);
    // One of each kind: the others would do the same.
    for client in stopped.iter_mut().take(2) {
        assert_eq!(events(&client.read().await), published);
    }
    let memory = stage.gateway.status().replay_memory;
    assert!(memory.peak <= memory.max + EVENT_BYTES + 1_024, "{memory:?}");
    assert!(stage.gateway.lags().memory_wait.0.iter().sum::<u64>() > 0, "nobody had to wait: {memory:?}");
    drop((read, stopped));
    stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_plain_text_over_either_protocol() {
    let listener = ListenerSettings { h2c: true, ..Default::default() };
    let stage = Stage::start_on(short_of_memory, listener).await;
    let published = publish(&stage).await;
    let mut requests = http2_over(&stage, TcpStream::connect(stage.address).await.unwrap()).await;
    let mut open = async |count: usize, is_narrow: bool| {
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut socket = connect(&stage, is_narrow).await;
            socket.write_all(get_stream(EVERYTHING).as_bytes()).await.unwrap();
            clients.push(Client::Plain(socket));
            clients.push(Client::Http2(Http2Stream::open(&mut requests, EVERYTHING).await));
        }
        clients
    };
    let (stopped, readers) = (open(STOPPED, true).await, open(READERS, false).await);
    all_get_everything(&stage, readers, stopped, published).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_over_either_protocol() {
    let secure = Secure::start_on(short_of_memory, false, |_| {}).await;
    let published = publish(&secure.stage).await;
    let mut requests = secure.http2().await;
    let mut open = async |count: usize, is_narrow: bool| {
        let mut clients = Vec::new();
        for _ in 0..count {
            let socket = connect(&secure.stage, is_narrow).await;
            let mut stream = secure.shake_hands(socket, &["http/1.1"], false).await.unwrap();
            ask(&mut stream, EVERYTHING).await;
            clients.push(Client::Tls(Box::new(stream)));
            clients.push(Client::Http2(Http2Stream::open(&mut requests, EVERYTHING).await));
        }
        clients
    };
    let (stopped, readers) = (open(STOPPED, true).await, open(READERS, false).await);
    all_get_everything(&secure.stage, readers, stopped, published).await;
}
