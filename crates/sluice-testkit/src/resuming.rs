//! A client that never gives a stream up, as a browser's EventSource: at an end or an error it reconnects with
//! its cursor, here to the next of several addresses, as a balancer would send it.
//!
//! Like EventSource it gives up for good on any answer but 200. Its waits follow `retry`, scaled down.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sluice_wire::sse::{Item, Received};
use tokio::time::{Instant, sleep, timeout_at};

use crate::sse::{SseOptions, SseStream, is_control};

/// What EventSource waits before a server has said `retry`; browsers use 2 to 5 seconds.
const RETRY: Duration = Duration::from_secs(3);
/// Waits are divided by this, so that tests with many reconnections end soon.
const HURRY: u32 = 50;

/// A stream over many connections.
pub struct Resuming {
    addresses: Vec<SocketAddr>,
    topics: Vec<String>,
    options: SseOptions,
    stream: Option<SseStream>,
    /// Streams opened so far.
    opened: usize,
    /// Connections tried so far, failures included.
    tried: usize,
    retry: Duration,
    controls: Vec<Received>,
    /// Why the last connection ended or did not come about.
    trouble: String,
}

impl Resuming {
    /// A client of these topics; it connects with the first read, or with [`Resuming::connect`].
    #[must_use]
    pub fn new(addresses: &[SocketAddr], topics: &[&str], options: SseOptions) -> Self {
        Self {
            addresses: addresses.to_vec(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            options,
            stream: None,
            opened: 0,
            tried: 0,
            retry: RETRY,
            controls: Vec::new(),
            trouble: "no trouble with a connection".to_owned(),
        }
    }

    /// Begins with another of the addresses than the first, so that many clients spread.
    #[must_use]
    pub fn begin_at(mut self, index: usize) -> Self {
        self.tried = index;
        self
    }

    /// Connects and waits for the first cursor, if it is not connected already: from then on nothing may be missed.
    pub async fn connect(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.options.within;
        while self.stream.is_none() || self.options.last_event_id.is_empty() {
            let item = self.step(deadline).await?;
            if let Some(Item::Event(event)) = item {
                if !is_control(&event) {
                    bail!("event {:?} came before any cursor", event.data);
                }
                self.controls.push(event);
            }
        }
        Ok(())
    }

    /// The next event of an application, over as many connections as it takes; control events are put aside.
    ///
    /// The deadline of the options holds for the event, reconnections included.
    pub async fn event(&mut self) -> Result<Received> {
        let deadline = Instant::now() + self.options.within;
        loop {
            match self.next_by(deadline).await? {
                event if is_control(&event) => self.controls.push(event),
                event => return Ok(event),
            }
        }
    }

    /// The next event of an application or of Sluice itself, in the order in which they came; otherwise as
    /// [`Resuming::event`].
    pub async fn next(&mut self) -> Result<Received> {
        self.next_by(Instant::now() + self.options.within).await
    }

    async fn next_by(&mut self, deadline: Instant) -> Result<Received> {
        loop {
            if let Some(Item::Event(event)) = self.step(deadline).await? {
                return Ok(event);
            }
        }
    }

    /// The next `count` events; see [`Resuming::event`].
    pub async fn events(&mut self, count: usize) -> Result<Vec<Received>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            let event = self.event().await;
            events.push(event.with_context(|| format!("after {} of {count} events", events.len()))?);
        }
        Ok(events)
    }

    /// Drops the connection; the next read reconnects, without the wait.
    pub fn drop_connection(&mut self) {
        self.stream = None;
    }

    /// The cursor that the next connection will send.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.options.last_event_id
    }

    /// How often it had to open the stream again.
    #[must_use]
    pub fn reconnections(&self) -> usize {
        self.opened.saturating_sub(1)
    }

    /// The control events so far, over all connections.
    #[must_use]
    pub fn controls(&self) -> &[Received] {
        &self.controls
    }

    /// One item or one step towards a connection; cancelling it loses nothing.
    async fn step(&mut self, deadline: Instant) -> Result<Option<Item>> {
        let Some(stream) = &mut self.stream else {
            let opening = open(&self.addresses, self.tried, &self.topics, &self.options);
            let opened = timeout_at(deadline, opening).await.map_err(|_| self.late())?;
            self.tried += 1;
            match opened {
                Ok(stream) => self.take(stream)?,
                Err(error) => self.wait(format!("{error:#}"), deadline).await,
            }
            return Ok(None);
        };
        match timeout_at(deadline, stream.read()).await {
            Ok(Ok(Some(item))) => {
                self.follow(&item)?;
                Ok(Some(item))
            }
            // The clean end of the body and a torn connection are the same to an EventSource.
            Ok(ended) => {
                let trouble = ended.map_or_else(|error| error.to_string(), |_| "the stream ended".to_owned());
                self.stream = None;
                self.wait(trouble, deadline).await;
                Ok(None)
            }
            Err(_) => Err(self.late()),
        }
    }

    fn take(&mut self, stream: SseStream) -> Result<()> {
        if stream.status() != 200 {
            bail!("status {}: an EventSource never comes back from that", stream.status());
        }
        self.stream = Some(stream);
        self.opened += 1;
        Ok(())
    }

    fn follow(&mut self, item: &Item) -> Result<()> {
        match item {
            // To the letter of the standard: an event of a connection that named no `id` empties the cursor.
            Item::Event(event) => self.options.last_event_id.clone_from(&event.last_event_id),
            Item::Id(id) => self.options.last_event_id.clone_from(id),
            Item::Retry(ms) => self.retry = Duration::from_millis(*ms),
            Item::Overlong => bail!("an event was too long for the decoder"),
            Item::Comment(_) => {}
        }
        Ok(())
    }

    async fn wait(&mut self, trouble: String, deadline: Instant) {
        self.trouble = trouble;
        // Cut short by the deadline; the step after it tells.
        let _ = timeout_at(deadline, sleep(self.retry / HURRY)).await;
    }

    fn late(&self) -> anyhow::Error {
        let (cursor, within, trouble) = (self.last_event_id(), self.options.within, &self.trouble);
        anyhow!(
            "nothing within {within:?} behind cursor {cursor:?}; {} streams opened; {trouble}",
            self.opened
        )
    }
}

async fn open(
    addresses: &[SocketAddr],
    tried: usize,
    topics: &[String],
    options: &SseOptions,
) -> Result<SseStream> {
    let address = *addresses.get(tried % addresses.len().max(1)).context("no address to connect to")?;
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    SseStream::open(address, &topics, options).await
}
