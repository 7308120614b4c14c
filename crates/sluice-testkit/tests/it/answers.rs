//! A listener that gives each connection the next of some prepared answers: bytes as a server would send them,
//! and an end of the test's choice.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How a connection ends once its answer is written.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Close,
    Reset,
    Stay,
}

pub(crate) struct Answers {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    _stop: DropGuard,
}

impl Answers {
    pub(crate) async fn start(answers: Vec<(String, End)>) -> Result<Self> {
        Ok(Self::serve(TcpListener::bind("127.0.0.1:0").await?, answers)?)
    }

    pub(crate) fn serve(listener: TcpListener, answers: Vec<(String, End)>) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serving = serve(listener, answers.into(), requests.clone(), tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(serving));
        Ok(Self { address, requests, _stop: stop.drop_guard() })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the listener panicked").clone()
    }
}

/// A chunked response of these payloads, one chunk each, without the last chunk.
pub(crate) fn stream_of(payloads: &[&str]) -> String {
    let chunks = payloads.iter().map(|payload| format!("{:x}\r\n{payload}\r\n", payload.len()));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    head.to_owned() + &chunks.collect::<String>()
}

/// The same with the last chunk: a clean end.
pub(crate) fn ended_stream_of(payloads: &[&str]) -> String {
    stream_of(payloads) + "0\r\n\r\n"
}

async fn serve(
    listener: TcpListener,
    mut answers: VecDeque<(String, End)>,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    while let Some((answer, end)) = answers.pop_front() {
        let Ok((connection, _)) = listener.accept().await else { return };
        let exchange = exchange(connection, answer, end, requests.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(exchange));
    }
}

async fn exchange(mut connection: TcpStream, answer: String, end: End, requests: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if !matches!(connection.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
    requests.lock().expect("the test panicked").push(String::from_utf8_lossy(&request).to_lowercase());
    if connection.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    match end {
        End::Close => {}
        End::Reset => connection.set_zero_linger().expect("no SO_LINGER"),
        End::Stay => std::future::pending().await,
    }
}
