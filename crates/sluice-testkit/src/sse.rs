//! One SSE response, read item by item under a deadline, by the decoder that follows the standard.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sluice_wire::sse::{Decoder, Item, Received};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::certificates::Certificates;
use crate::http::{build, connect};
use crate::secure;

/// The protocol that carries a stream.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// HTTP/1.1 in plain text.
    #[default]
    Plain,
    /// HTTP/1.1 over TLS; the server shows one of these certificates.
    Tls(Certificates),
    /// HTTP/2 over TLS, on a connection of its own.
    Http2(Certificates),
}

/// How a stream is asked for.
#[derive(Debug, Clone)]
pub struct SseOptions {
    /// The protocol.
    pub transport: Transport,
    /// Sent as the `Last-Event-ID` header unless empty.
    pub last_event_id: String,
    /// Sent as `?since=`.
    pub since: Option<String>,
    /// Header fields besides `host`, `accept` and `last-event-id`.
    pub headers: Vec<(String, String)>,
    /// Asks by HTTP/1.0: the answer comes without chunks.
    pub http10: bool,
    /// About how many bytes the kernel takes ahead of the reader, where a slow reader is to be felt soon.
    pub receive_buffer: Option<u32>,
    /// How long each step may wait: the head, the next item, a reconnection.
    pub within: Duration,
}

impl Default for SseOptions {
    fn default() -> Self {
        Self {
            transport: Transport::Plain,
            last_event_id: String::new(),
            since: None,
            headers: Vec::new(),
            http10: false,
            receive_buffer: None,
            within: Duration::from_secs(15),
        }
    }
}

/// An open SSE response. Dropping it closes the connection.
pub struct SseStream {
    status: u16,
    headers: HeaderMap,
    body: Incoming,
    decoder: Decoder,
    /// Decoded and not yet handed out.
    pending: VecDeque<Item>,
    last_event_id: String,
    controls: Vec<Received>,
    within: Duration,
    _connection: DropGuard,
}

impl SseStream {
    /// Asks for the topics and reads the head, whatever its status.
    pub async fn open(address: SocketAddr, topics: &[&str], options: &SseOptions) -> Result<Self> {
        let opening = timeout(options.within, Self::open_without_deadline(address, topics, options)).await;
        opening
            .with_context(|| format!("no head within {:?}", options.within))?
            .with_context(|| format!("opening {topics:?} at {address}"))
    }

    async fn open_without_deadline(
        address: SocketAddr,
        topics: &[&str],
        options: &SseOptions,
    ) -> Result<Self> {
        let mut headers = vec![("accept", "text/event-stream")];
        if !options.last_event_id.is_empty() {
            headers.push(("last-event-id", &options.last_event_id));
        }
        headers.extend(options.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let version = match options.transport {
            Transport::Http2(_) => Version::HTTP_2,
            _ if options.http10 => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let path = path(topics, options.since.as_deref());
        let request = build(address, "GET", &path, &headers, version, Bytes::new())?;
        let socket = connect(address, options.receive_buffer).await?;
        // Handshakes keep much on the stack, and every reader of a stream would carry that along.
        let (head, body, guard) = Box::pin(ask_by(&options.transport, socket, request)).await?;
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            decoder: Decoder::new(),
            pending: VecDeque::new(),
            last_event_id: options.last_event_id.clone(),
            controls: Vec::new(),
            within: options.within,
            _connection: guard,
        })
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header fields of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What a reconnection would send as `Last-Event-ID` now: the cursor behind the last item handed out.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The control events (`sluice.*`) that [`SseStream::event`] passed over.
    #[must_use]
    pub fn controls(&self) -> &[Received] {
        &self.controls
    }

    /// The next item; `None` at the clean end of the body. A torn connection and the deadline are errors.
    pub async fn next(&mut self) -> Result<Option<Item>> {
        let within = self.within;
        let item = timeout(within, self.read()).await;
        item.with_context(|| format!("nothing came within {within:?}"))?.context("the stream was torn")
    }

    /// The next event of an application; control events are put aside, everything else is passed over.
    pub async fn event(&mut self) -> Result<Received> {
        loop {
            match self.next().await?.context("the stream ended instead of an event")? {
                Item::Event(event) if is_control(&event) => self.controls.push(event),
                Item::Event(event) => return Ok(event),
                Item::Overlong => bail!("an event was too long for the decoder"),
                Item::Retry(_) | Item::Comment(_) | Item::Id(_) => {}
            }
        }
    }

    /// The next `count` events of an application; see [`SseStream::event`].
    pub async fn events(&mut self, count: usize) -> Result<Vec<Received>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            let event = self.event().await;
            events.push(event.with_context(|| format!("after {} of {count} events", events.len()))?);
        }
        Ok(events)
    }

    /// The next control event of this type; everything before it is passed over.
    pub async fn control(&mut self, event_type: &str) -> Result<Received> {
        loop {
            let item = self.next().await.with_context(|| format!("waiting for {event_type}"))?;
            match item.with_context(|| format!("the stream ended instead of {event_type}"))? {
                Item::Event(event) if event.event_type == event_type => return Ok(event),
                _ => {}
            }
        }
    }

    /// Reads on to the clean end of the body and returns what came before it.
    pub async fn end(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await.context("waiting for a clean end")? {
            items.push(item);
        }
        Ok(items)
    }

    /// The next item without a deadline.
    pub(crate) async fn read(&mut self) -> Result<Option<Item>, hyper::Error> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                if let Item::Event(Received { last_event_id: id, .. }) | Item::Id(id) = &item {
                    self.last_event_id.clone_from(id);
                }
                return Ok(Some(item));
            }
            let Some(frame) = self.body.frame().await.transpose()? else { return Ok(None) };
            if let Ok(bytes) = frame.into_data() {
                let pending = &mut self.pending;
                self.decoder.feed_each(&bytes, |item| pending.push_back(item.into()));
            }
        }
    }
}

type Asked = (http::response::Parts, Incoming, DropGuard);

async fn ask_by(
    transport: &Transport,
    socket: TcpStream,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Asked> {
    match transport {
        Transport::Plain => ask(socket, request).await,
        Transport::Tls(trusted) => {
            ask(secure::shake_hands(socket, trusted, b"http/1.1").await?, request).await
        }
        Transport::Http2(trusted) => {
            ask_http2(secure::shake_hands(socket, trusted, b"h2").await?, request).await
        }
    }
}

async fn ask<I>(io: I, request: hyper::Request<Full<Bytes>>) -> Result<Asked>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let guard = drive(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head, body, guard))
}

async fn ask_http2<I>(io: I, request: hyper::Request<Full<Bytes>>) -> Result<Asked>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
    // The sender stays with the connection, which would end without one.
    let mut keeper = sender.clone();
    let guard = drive(async move {
        let ended = connection.await;
        let _ = keeper.ready().await;
        ended
    });
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head, body, guard))
}

/// Drives a connection for as long as the guard lives.
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> DropGuard {
    let stop = CancellationToken::new();
    TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(connection));
    stop.drop_guard()
}

/// Whether the event comes from the gateway itself: a gap, a shed, an expiry, the loss and return of Redis.
#[must_use]
pub fn is_control(event: &Received) -> bool {
    event.event_type.starts_with("sluice.")
}

fn path(topics: &[&str], since: Option<&str>) -> String {
    let topics = topics.iter().map(|topic| format!("topic={}", percent_encoded(topic)));
    let since = since.map(|since| format!("since={}", percent_encoded(since)));
    let query: Vec<_> = topics.chain(since).collect();
    format!("/v1/events?{}", query.join("&"))
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_every_topic_and_escapes_what_a_query_cannot_hold() {
        assert_eq!(path(&["a"], None), "/v1/events?topic=a");
        assert_eq!(
            path(&["a/b", "c d"], Some("1h 30m")),
            "/v1/events?topic=a%2Fb&topic=c%20d&since=1h%2030m"
        );
    }
}
