//! `POST /v1/events`: many events in one request, as lines or as a JSON array.
//!
//! Lines are read, published and forgotten as they come; only their results are kept. A line that is no event
//! gets an error under its number and the next lines go on. If the body breaks off, every line that was whole
//! has been published or has its own error, and one more error says where the body ended.

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts as Head;
use axum::response::Response;
use bytes::Bytes;
use sluice_access::Identity;
use sluice_wire::{ByteString, NewEvent};

use super::body::Parts;
use super::headers::{self, Media};
use super::lines::{Line, Lines};
use super::pace::Sender;
use super::refusal::Refusal;
use super::report::Report;
use super::{Service, json};
use crate::{Receipt, trace};

const WANTED: &str =
    "send application/x-ndjson with an event a line, or application/json with an array of events";

pub(super) async fn publish(
    State(service): State<Service>,
    Extension(sender): Extension<Identity>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let entered = enter(&head)
        .and_then(|media| Ok((media, headers::wait_replicas(&head.headers)?, service.admit(None)?)));
    let (media, replicas, _turn) = entered.inspect_err(|refusal| service.count(refusal))?;
    let traceparent = trace::traceparent();
    let report = Report::new(service.settings.batch_in_flight_max);
    let pacing = service.pace.sender(&head.extensions);
    let mut batch = Batch { report, service: &service, sender: &sender, pacing, replicas, traceparent };
    match media {
        Media::Lines => batch.lines(body).await,
        Media::Json | Media::Text => {
            batch.array(body).await.inspect_err(|refusal| service.count(refusal))?;
        }
    }
    Ok(batch.report.respond().await)
}

fn enter(head: &Head) -> Result<Media, Refusal> {
    if head.headers.contains_key(headers::IDEMPOTENCY_KEY) {
        return Err(Refusal::key("one idempotency-key cannot name many events; give each event a \"key\""));
    }
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::query("a batch takes no query; topic and type stand in each event"));
    }
    match headers::media(&head.headers, WANTED)? {
        Media::Text => Err(Refusal::media_type(format!("text/plain is not read here; {WANTED}"))),
        media => Ok(media),
    }
}

struct Batch<'a> {
    service: &'a Service,
    sender: &'a Identity,
    /// Whose rate the events count against.
    pacing: Sender,
    /// How many replicas must have each event, if the request says so.
    replicas: Option<u8>,
    traceparent: Option<ByteString>,
    report: Report,
}

impl Batch<'_> {
    async fn lines(&mut self, body: Body) {
        let settings = &self.service.settings;
        let mut parts = Parts::new(body, settings.batch_bytes_max, settings.body_idle_max);
        let mut lines = Lines::new(settings.line_bytes_max);
        let mut number = 0;
        loop {
            let part = match parts.next().await {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(refusal) => return self.refuse(Some(number + 1), refusal),
            };
            lines.feed(&part);
            while let Some(line) = lines.next() {
                number += 1;
                self.line(number, line).await;
            }
        }
        if let Some(line) = lines.finish() {
            self.line(number + 1, line).await;
        }
    }

    async fn line(&mut self, number: usize, line: Line) {
        let events_max = self.service.settings.batch_events_max;
        if matches!(&line, Line::Whole(text) if text.trim_ascii().is_empty()) {
            return;
        }
        if self.report.len() > events_max {
            return self.report.unread();
        }
        if self.report.len() == events_max {
            return self.refuse(Some(number), Refusal::too_many(events_max));
        }
        let event = match line {
            Line::Whole(text) => self.read_event(&text),
            Line::TooLong => Err(Refusal::too_large("a line", self.service.settings.line_bytes_max)),
        };
        self.publish(Some(number), event).await;
    }

    async fn array(&mut self, body: Body) -> Result<(), Refusal> {
        let settings = &self.service.settings;
        let body: Bytes = Parts::new(body, settings.body_bytes_max, settings.body_idle_max).whole().await?;
        let (elements, more) = json::elements(&body, settings.batch_events_max)?;
        if more {
            // The whole array is at hand, so nothing of it need be published.
            return Err(Refusal::too_many(settings.batch_events_max));
        }
        for element in elements {
            let event = self.read_event(element.get().as_bytes());
            self.publish(None, event).await;
        }
        Ok(())
    }

    fn read_event(&self, text: &[u8]) -> Result<NewEvent, Refusal> {
        let mut event = json::batch_event(json::utf8(text)?, None)?;
        self.service.permit(self.sender, &event.topic)?;
        self.service.keep_pace(&self.pacing, &event.topic)?;
        event.traceparent.clone_from(&self.traceparent);
        Ok(event)
    }

    async fn publish(&mut self, line: Option<usize>, event: Result<NewEvent, Refusal>) {
        let event = match event {
            Ok(event) => event,
            Err(refusal) => return self.refuse(line, refusal),
        };
        // No limit on the wait: a full queue slows the reading of the body down.
        let receipt: Result<Receipt, _> =
            self.service.publisher.enqueue_replicated(event, self.replicas).await;
        match receipt {
            Ok(receipt) => self.report.accepted(line, receipt).await,
            Err(error) => self.report.refused(line, error.into()),
        }
    }

    fn refuse(&mut self, line: Option<usize>, refusal: Refusal) {
        self.service.count(&refusal);
        self.report.refused(line, refusal);
    }
}
