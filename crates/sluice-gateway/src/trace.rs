//! Spans of the way out: `deliver` for an event and this node, and `subscribe` for a stream until it stands in
//! its ring. Never one for a stream that is there.
//!
//! An event is looked at only when spans are collected, and costs something only when whoever published it
//! records its trace.

use std::sync::Arc;

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use sluice_fanout::Witness;
use sluice_wire::{Event, Topic, TraceParent};

use crate::subscription::{Origin, Subscription};

/// Makes spans, or none. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans(Option<Arc<BoxedTracer>>);

impl Spans {
    /// Spans of the process's tracer, if they are `collected`.
    pub(crate) fn new(collected: bool) -> Self {
        Self(collected.then(|| Arc::new(global::tracer("sluice-gateway"))))
    }

    /// Begins the `deliver` span of an event; it ends with the last write of the event's first pass.
    pub(crate) fn deliver(&self, topic: &Topic, event: &Event) -> Option<Arc<Witness>> {
        let tracer = self.0.as_ref()?;
        let parent = TraceParent::parse(event.traceparent.as_deref()?).filter(TraceParent::is_sampled)?;
        let known = [
            KeyValue::new("messaging.system", "sluice"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", topic.to_string()),
            KeyValue::new("messaging.message.id", event.id.to_string()),
        ];
        let span = SpanBuilder::from_name("deliver").with_kind(SpanKind::Consumer).with_attributes(known);
        let mut span = tracer.build_with_context(span, &behind(&parent));
        Some(Arc::new(Witness::new(move |streams| {
            let streams = i64::try_from(streams).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new("sluice.streams", streams));
            span.end();
        })))
    }

    /// Begins the `subscribe` span of an approach, which is to run in this context and ends with it.
    pub(crate) fn subscribe(&self, subscription: &Subscription) -> Context {
        let around = subscription.trace.as_ref().map(behind).unwrap_or_default();
        match &self.0 {
            Some(tracer) => around.with_span(tracer.build_with_context(subscribe(subscription), &around)),
            None => around,
        }
    }
}

/// Says how the approach at hand has ended.
pub(crate) fn arrived(outcome: &'static str) {
    Context::map_current(|context| context.span().set_attribute(KeyValue::new("sluice.outcome", outcome)));
}

fn subscribe(subscription: &Subscription) -> SpanBuilder {
    let topics = i64::try_from(subscription.topics.len()).unwrap_or(i64::MAX);
    let from = match &subscription.origin {
        Origin::Cursor(_) => "cursor",
        Origin::Since(_) => "since",
        Origin::Live | Origin::NewerCursor => "live",
        Origin::UnknownCursor => "unknown-cursor",
    };
    let mut known = vec![
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("url.path", "/v1/events"),
        KeyValue::new("http.response.status_code", 200),
        KeyValue::new("sluice.topics", topics),
        KeyValue::new("sluice.from", from),
    ];
    if let [only] = subscription.topics.as_slice() {
        known.push(KeyValue::new("messaging.destination.name", only.to_string()));
    }
    SpanBuilder::from_name("subscribe").with_kind(SpanKind::Server).with_attributes(known)
}

/// The context of whatever comes behind a span of another process.
fn behind(parent: &TraceParent) -> Context {
    let TraceParent { trace_id, span_id, flags } = *parent;
    let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id));
    let parent = SpanContext::new(trace_id, span_id, TraceFlags::new(flags), true, TraceState::NONE);
    Context::new().with_remote_span_context(parent)
}
