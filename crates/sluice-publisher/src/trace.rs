//! Spans of the way in: `publish` for a request, and behind it `redis publish` for what one flush carries of it.
//!
//! The trace of an event stands in its `traceparent`, from the request to the log: what it names is the span
//! behind which the next process goes on. Where spans are not collected, the caller's own is carried through.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::context::FutureExt as _;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use sluice_broker::Appended;
use sluice_wire::{ByteString, NewEvent, TraceParent};

use crate::PublishError;

/// Makes spans, or none. Clones are cheap.
#[derive(Clone, Default)]
pub(crate) struct Spans(Option<Arc<BoxedTracer>>);

/// The spans of one flush: one for each request that it carries recorded events of.
#[derive(Default)]
pub(crate) struct Flush {
    spans: Vec<Context>,
    /// Which of them each event belongs to, by its place in the flush.
    of_events: Vec<Option<usize>>,
}

impl Spans {
    /// Spans of the process's tracer, if they are `collected`.
    pub(crate) fn new(collected: bool) -> Self {
        Self(collected.then(|| Arc::new(global::tracer("sluice-publisher"))))
    }

    /// Begins the `redis publish` spans of `events` and writes them into their `traceparent`.
    pub(crate) fn flush(&self, events: &mut [NewEvent]) -> Flush {
        let Some(tracer) = &self.0 else { return Flush::default() };
        let mut flush = Flush::default();
        let mut by_parent: HashMap<TraceParent, usize> = HashMap::new();
        for event in events {
            let parent = event.traceparent.as_deref().and_then(TraceParent::parse);
            let span = parent.filter(TraceParent::is_sampled).map(|parent| {
                *by_parent.entry(parent).or_insert_with(|| {
                    flush.spans.push(begin_flush(tracer, &parent, event));
                    flush.spans.len() - 1
                })
            });
            if let Some(span) = span {
                event.traceparent = carried(&flush.spans[span]);
            }
            flush.of_events.push(span);
        }
        flush
    }

    fn request(&self, request: &Request) -> Context {
        let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        let parent = parent.and_then(TraceParent::parse);
        let around = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(span_context(&parent, true))
        });
        let Some(tracer) = &self.0 else { return around };
        let known = [
            KeyValue::new("http.request.method", request.method().as_str().to_owned()),
            KeyValue::new("url.path", request.uri().path().to_owned()),
            KeyValue::new("messaging.system", "sluice"),
            KeyValue::new("messaging.operation.type", "send"),
        ];
        let span = SpanBuilder::from_name("publish").with_kind(SpanKind::Server).with_attributes(known);
        let span = tracer.build_with_context(span, &around);
        // A span that is not recorded is of no use to anybody further on; the caller's may be.
        if span.is_recording() { around.with_span(span) } else { around }
    }
}

/// Puts a `publish` span around a request.
pub(crate) async fn around_request(State(spans): State<Spans>, request: Request, next: Next) -> Response {
    let context = spans.request(&request);
    let response = next.run(request).with_context(context.clone()).await;
    let span = context.span();
    let status = response.status();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(status.to_string()));
    }
    span.end();
    response
}

/// What the event of the request at hand carries along.
pub(crate) fn traceparent() -> Option<ByteString> {
    Context::map_current(carried)
}

/// Says something about the request at hand.
pub(crate) fn note(attribute: KeyValue) {
    Context::map_current(|context| context.span().set_attribute(attribute));
}

fn carried(context: &Context) -> Option<ByteString> {
    let span = context.span();
    let span = span.span_context();
    let traceparent = TraceParent {
        trace_id: span.trace_id().to_bytes(),
        span_id: span.span_id().to_bytes(),
        flags: span.trace_flags().to_u8(),
    };
    span.is_valid().then(|| traceparent.to_string().into())
}

fn span_context(parent: &TraceParent, is_remote: bool) -> SpanContext {
    let TraceParent { trace_id, span_id, flags } = *parent;
    let flags = TraceFlags::new(flags);
    SpanContext::new(
        TraceId::from_bytes(trace_id),
        SpanId::from_bytes(span_id),
        flags,
        is_remote,
        TraceState::NONE,
    )
}

fn begin_flush(tracer: &BoxedTracer, parent: &TraceParent, first: &NewEvent) -> Context {
    let around = Context::new().with_remote_span_context(span_context(parent, false));
    let known = [
        KeyValue::new("messaging.system", "sluice"),
        KeyValue::new("messaging.operation.type", "send"),
        KeyValue::new("messaging.destination.name", first.topic.to_string()),
    ];
    let span = SpanBuilder::from_name("redis publish").with_kind(SpanKind::Producer).with_attributes(known);
    around.with_span(tracer.build_with_context(span, &around))
}

impl Flush {
    /// The context in which the flush runs: that of its only request, if it has no other.
    pub(crate) fn context(&self) -> Context {
        match self.spans.as_slice() {
            [only] => only.clone(),
            _ => Context::new(),
        }
    }

    /// Ends the spans; what became of the events stands in `results`.
    pub(crate) fn end(self, results: &[Result<Appended, PublishError>]) {
        let mut counts = vec![0; self.spans.len()];
        for (span, result) in self.of_events.iter().zip(results) {
            let Some(span) = *span else { continue };
            counts[span] += 1;
            if let Err(error) = result {
                self.spans[span].span().set_status(Status::error(error.to_string()));
            }
        }
        for (context, count) in self.spans.iter().zip(counts) {
            context.span().set_attribute(KeyValue::new("messaging.batch.message_count", count));
            context.span().end();
        }
    }
}
