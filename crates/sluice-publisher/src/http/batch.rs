//! `POST /v1/events`: many events in one request, as lines or as a JSON array.
//!
//! Lines are read, published and forgotten as they come; only their results are kept. A line that is no event
//! gets an error under its number and the next lines go on. If the body breaks off, every line that was whole
//! has been published or has its own error, and one more error says where the body ended. The same holds where the rest
//! of the body is not read: when the sender's token expires or is revoked, when the publisher drains, and after too
//! many errors.

use std::ops::ControlFlow;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts as Head;
use axum::response::Response;
use bytes::Bytes;
use sluice_access::{Action, Identity};
use sluice_wire::{ByteString, NewEvent};

use super::body::Parts;
use super::headers::{self, Media};
use super::limiter::RequestPermit;
use super::lines::{Line, Lines};
use super::pace::Sender;
use super::refusal::Refusal;
use super::report::{INVALID_EVENTS_MAX, Report};
use super::{Service, json};
use crate::{PublishError, Receipt, trace};

const WANTED: &str =
    "send application/x-ndjson with an event a line, or application/json with an array of events";

pub(super) async fn publish(
    State(service): State<Service>,
    Extension(sender): Extension<Identity>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let pacing = service.pace.sender(&head.extensions);
    let entered = enter(&service, &sender, &pacing, &head).inspect_err(|refusal| service.count(refusal))?;
    let Entered { media, replicas, mut permit } = entered;
    let mut batch = Batch {
        report: Report::new(service.settings.batch_in_flight_max),
        service: &service,
        sender: &sender,
        scope: sender.fingerprint(),
        pacing,
        replicas,
        traceparent: trace::traceparent(),
    };
    match media {
        Media::Lines => batch.lines(body).await,
        Media::Json | Media::Text => {
            let read = batch.array(body, &mut permit).await;
            read.inspect_err(|refusal| service.count(refusal))?;
        }
    }
    Ok(batch.report.respond().await)
}

/// A request whose head is in order.
struct Entered {
    media: Media,
    replicas: Option<u8>,
    permit: RequestPermit,
}

fn enter(service: &Service, sender: &Identity, pacing: &Sender, head: &Head) -> Result<Entered, Refusal> {
    // Nothing is read of a caller who may publish nothing.
    let granted = sender.check_any(Action::Publish);
    granted.inspect_err(|denial| service.settings.access.count(denial))?;
    let media = form(head)?;
    let replicas = headers::wait_replicas(&head.headers, service.settings.wait_replicas_max)?;
    let limiter = if media == Media::Lines { &service.uploads } else { &service.requests };
    let permit = service.admit(limiter, pacing, None)?;
    Ok(Entered { media, replicas, permit })
}

fn form(head: &Head) -> Result<Media, Refusal> {
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
    /// Whose the idempotency keys are.
    scope: [u8; 16],
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
        let mut parts = Parts::streamed(body, settings.batch_bytes_max, settings.body_idle_max);
        let mut lines = Lines::new(settings.line_bytes_max);
        let mut number = 0;
        loop {
            let part = tokio::select! {
                biased;
                () = settings.draining.cancelled() => Err(PublishError::Closed.into()),
                part = parts.next() => part,
            };
            let part = match part {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(refusal) => return self.refuse(Some(number + 1), refusal),
            };
            lines.feed(&part);
            while let Some(line) = lines.next() {
                number += 1;
                if self.line(number, line).await.is_break() {
                    return;
                }
            }
        }
        if let Some(line) = lines.finish() {
            let _ = self.line(number + 1, line).await;
        }
    }

    /// Publishes a line, or says why not; whether the next lines are to be read.
    async fn line(&mut self, number: usize, line: Line) -> ControlFlow<()> {
        let events_max = self.service.settings.batch_events_max;
        if matches!(&line, Line::Whole(text) if text.trim_ascii().is_empty()) {
            return ControlFlow::Continue(());
        }
        if self.report.len() > events_max {
            self.report.unread();
            return ControlFlow::Continue(());
        }
        if self.report.len() == events_max {
            self.refuse(Some(number), Refusal::too_many(events_max));
            return ControlFlow::Continue(());
        }
        if let Err(refusal) = self.go_on() {
            self.refuse(Some(number), refusal);
            return ControlFlow::Break(());
        }
        let event = match line {
            Line::Whole(text) => self.read_event(&text),
            Line::TooLong => Err(Refusal::too_large("a line", self.service.settings.line_bytes_max)),
        };
        self.publish(Some(number), event).await;
        ControlFlow::Continue(())
    }

    async fn array(&mut self, body: Body, permit: &mut RequestPermit) -> Result<(), Refusal> {
        let settings = &self.service.settings;
        let body: Bytes = Parts::whole(body, settings.body_bytes_max, settings.body_idle_max).await?;
        permit.body_read();
        // The body may have taken long.
        self.service.recheck(self.sender)?;
        let (elements, more) = json::elements(&body, settings.batch_events_max)?;
        if more {
            // The whole array is at hand, so nothing of it need be published.
            return Err(Refusal::too_many(settings.batch_events_max));
        }
        let mut ended = false;
        for element in elements {
            if ended {
                self.report.unread();
            } else if let Err(refusal) = self.go_on() {
                self.refuse(None, refusal);
                ended = true;
            } else {
                let event = self.read_event(element.get().as_bytes());
                self.publish(None, event).await;
            }
        }
        Ok(())
    }

    /// Whether the next event may be published: an error if the sender's rights have ended, or after too many errors.
    fn go_on(&self) -> Result<(), Refusal> {
        if self.report.is_hopeless() {
            return Err(Refusal::too_many_errors(INVALID_EVENTS_MAX));
        }
        self.service.recheck(self.sender)
    }

    fn read_event(&self, text: &[u8]) -> Result<NewEvent, Refusal> {
        let mut event = json::batch_event(json::utf8(text)?, None)?;
        self.service.permit(self.sender, &event.topic)?;
        self.service.keep_pace(&self.pacing, &event.topic)?;
        event.key = event.key.map(|key| key.within(self.scope));
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
