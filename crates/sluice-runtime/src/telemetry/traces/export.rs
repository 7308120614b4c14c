//! The task that sends spans: gathers what has ended, sends it as one request, and keeps at it while the
//! collector is away. Meanwhile the queue fills and then drops.

use std::time::Duration;

use metrics::Counter;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use sluice_failure::{Panicked, Place, contain};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::transport::{Failure, Transport};

/// Spans in one request, if the queue holds as many.
const BATCH_SPANS_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// Between two attempts to send the same batch; doubles up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Between two log lines that say the same.
const SILENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Export {
    queue: mpsc::Receiver<SpanData>,
    transport: Transport,
    resource: ResourceAttributesWithSchema,
    timeout: Duration,
    closing: CancellationToken,
    exported: Counter,
    failed: Counter,
    /// When it was last said that something is wrong, until nothing is any more.
    complained: Option<Instant>,
}

impl Export {
    pub(super) fn new(
        queue: mpsc::Receiver<SpanData>,
        transport: Transport,
        resource: &Resource,
        timeout: Duration,
        closing: CancellationToken,
    ) -> Self {
        let (exported, failed) = (Counter::noop(), Counter::noop());
        let resource = resource.into();
        Self { queue, transport, resource, timeout, closing, exported, failed, complained: None }
    }

    /// Counts what becomes of spans.
    pub(super) fn counting(self, exported: Counter, failed: Counter) -> Self {
        Self { exported, failed, ..self }
    }

    /// Sends until the queue is closed and empty, or closed and nobody there to take it.
    pub(super) async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            let spans = batch.len() as u64;
            let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
            let sending = self.send(ExportTraceServiceRequest { resource_spans });
            // What a collector answers must not end the process.
            let rejected = match contain(Place::Upkeep, sending).await {
                Ok(Ok(rejected)) => rejected.min(spans),
                Ok(Err(())) | Err(Panicked) => spans,
            };
            self.failed.increment(rejected);
            self.exported.increment(spans - rejected);
        }
    }

    /// What has ended, waiting for the first span; nothing when nothing will come any more.
    async fn gather(&mut self) -> Vec<SpanData> {
        let mut batch = Vec::new();
        let Self { queue, closing, .. } = self;
        let most = BATCH_SPANS_MAX.min(queue.max_capacity());
        let closed = tokio::select! {
            biased;
            () = closing.cancelled() => true,
            _ = queue.recv_many(&mut batch, most) => false,
        };
        let linger = sleep(LINGER);
        tokio::pin!(linger);
        while !closed && batch.len() < most {
            let room = most - batch.len();
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                () = &mut linger => return batch,
                more = queue.recv_many(&mut batch, room) => if more == 0 { break },
            }
        }
        if closing.is_cancelled() {
            queue.close();
            while batch.len() < most
                && let Some(span) = queue.recv().await
            {
                batch.push(span);
            }
        }
        batch
    }

    /// Sends one request until it is taken or refused for good; how many of its spans were rejected. While the
    /// process ends there is one attempt.
    async fn send(&mut self, request: ExportTraceServiceRequest) -> Result<u64, ()> {
        let (mut pause, longest) = PAUSES;
        loop {
            let sent = timeout(self.timeout, self.transport.send(&request)).await;
            let sent = sent.unwrap_or_else(|_| Err(Failure::Passing("no answer in time".to_owned())));
            match sent {
                Ok(rejected) => {
                    self.succeeded();
                    return Ok(rejected);
                }
                Err(Failure::Final(why)) => {
                    self.complain(&why, "the collector refuses spans; they are lost");
                    return Err(());
                }
                Err(Failure::Passing(why)) => {
                    self.complain(&why, "cannot send spans; retrying, what the queue cannot hold is lost");
                }
            }
            if self.closing.run_until_cancelled(sleep(pause)).await.is_none() {
                self.queue.close();
                return Err(());
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn complain(&mut self, why: &str, what: &str) {
        if self.complained.is_none_or(|said| said.elapsed() >= SILENCE) {
            self.complained = Some(Instant::now());
            tracing::warn!(error = why, "{what}");
        }
    }

    fn succeeded(&mut self) {
        if self.complained.take().is_some() {
            tracing::info!("sending spans again");
        }
    }
}
