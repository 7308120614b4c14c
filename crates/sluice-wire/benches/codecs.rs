//! The codecs on the way of an event: what a node pays per message, per feed and per client library read.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluice_wire::cursor::{Cursor, VectorCursor, VectorNames};
use sluice_wire::sse::{Decoder, Frame, head};
use sluice_wire::{Event, EventId, EventType, Topic, TopicPattern, envelope};

const NOW: u64 = 1_700_000_000_000;
const ID: EventId = EventId::new(NOW + 1234, 3);

fn payloads() -> [(&'static str, String); 3] {
    let line = r#"{"id":7,"state":"created"}"#;
    let pretty = format!("{line}\n");
    [
        ("64 B", "x".repeat(64)),
        ("16 KiB", "x".repeat(16 << 10)),
        ("16 KiB of lines", pretty.repeat((16 << 10) / pretty.len())),
    ]
}

fn bytes(length: usize) -> Throughput {
    Throughput::Bytes(length.try_into().unwrap_or(u64::MAX))
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    let created = EventType::parse("order.created").ok();
    for (name, data) in payloads() {
        group.throughput(bytes(data.len()));
        group.bench_function(name, |b| b.iter(|| Frame::event(Some(ID), created.as_ref(), black_box(&data))));
    }
}

fn heads(c: &mut Criterion) {
    let mut group = c.benchmark_group("head");
    group.bench_function("plain", |b| b.iter(|| head(black_box(&ID), 80)));
    for topics in [2_u64, 64] {
        let set: Vec<_> = (0..topics).filter_map(|n| Topic::parse(&format!("user/{n}")).ok()).collect();
        let positions: Vec<_> = set.iter().map(|topic| (topic, ID)).collect();
        group.bench_function(format!("vector of {topics}"), |b| {
            b.iter(|| head(&VectorCursor::new(NOW, black_box(&positions)), 80));
        });
        let names = VectorNames::new(&set);
        let positions = vec![ID; set.len()];
        group.bench_function(format!("vector of {topics}, named"), |b| {
            b.iter(|| head(&names.text(NOW, black_box(&positions)), 80));
        });
    }
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decoder");
    for (name, data) in payloads() {
        let stream = Frame::event(Some(ID), None, &data).payload().repeat((256 << 10) / data.len());
        group.throughput(bytes(stream.len()));
        group.bench_function(name, |b| {
            let mut decoder = Decoder::new();
            b.iter(|| {
                let mut items = 0;
                for piece in stream.chunks(16 << 10) {
                    decoder.feed_each(piece, |_| items += 1);
                }
                items
            });
        });
    }
}

fn envelopes(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope");
    let event = Event {
        id: ID,
        prev: Some(ID.before()),
        event_type: EventType::parse("order.created").ok(),
        data: "x".repeat(64).into(),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    };
    let message = Bytes::from(envelope::encode(&event));
    group.bench_function("parse", |b| b.iter(|| envelope::parse(black_box(message.clone()))));
}

fn cursors(c: &mut Criterion) {
    let mut group = c.benchmark_group("cursor");
    let set: Vec<_> = (0..64).filter_map(|n| Topic::parse(&format!("user/{n}")).ok()).collect();
    let positions: Vec<_> = set.iter().map(|topic| (topic, ID)).collect();
    let text = VectorCursor::new(NOW, &positions).to_string();
    group.bench_function("parse 64 topics", |b| b.iter(|| black_box(&text).parse::<Cursor>()));
    if let (Ok(pattern), Ok(topic)) =
        (TopicPattern::parse("**/user/*/inbox/**"), Topic::parse("eu/user/7/inbox/new"))
    {
        group.bench_function("pattern", |b| b.iter(|| black_box(&pattern).matches(&topic)));
    }
}

criterion_group!(benches, encode, heads, decode, envelopes, cursors);
criterion_main!(benches);
