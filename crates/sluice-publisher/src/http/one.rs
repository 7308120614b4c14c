//! `POST /v1/topics/{topic}/events`: one event.

use axum::body::Body;
use axum::extract::{Extension, Query, Request, State};
use axum::http::request::Parts as Head;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use opentelemetry::KeyValue;
use serde::Deserialize;
use sluice_access::Identity;
use sluice_wire::{ByteString, NewEvent, Topic, parameter, parse_events_path};

use super::body::Parts;
use super::headers::{self, Media};
use super::limiter::RequestPermit;
use super::refusal::Refusal;
use super::{Service, json};
use crate::trace;

const WANTED: &str = "send application/json with {\"data\": ..}, or text/plain with the data itself";

/// What the query may hold.
const PARAMETERS: [&str; 1] = ["type"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextQuery {
    #[serde(rename = "type")]
    event_type: Option<String>,
}

pub(super) async fn publish(
    State(service): State<Service>,
    Extension(sender): Extension<Identity>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let entered = enter(&service, &sender, &head).inspect_err(|refusal| service.count(refusal))?;
    let Entered { topic, replicas, mut permit } = entered;
    trace::note(KeyValue::new("messaging.destination.name", topic.to_string()));
    let event = read_event(&service, topic, &head, body).await;
    // The body may have taken long.
    let event = event.and_then(|event| service.recheck(&sender).map(|()| event));
    let mut event = event.inspect_err(|refusal| service.count(refusal))?;
    permit.body_read();
    event.key = event.key.map(|key| key.within(sender.fingerprint()));
    let appended = service.enqueue(event, replicas).await?.await?;
    tracing::debug!(id = %appended.id, repeated = appended.repeated, "published");
    trace::note(KeyValue::new("messaging.message.id", appended.id.to_string()));
    trace::note(KeyValue::new("sluice.outcome", if appended.repeated { "repeated" } else { "appended" }));
    let (status, repeated) =
        if appended.repeated { (StatusCode::OK, ",\"repeated\":true") } else { (StatusCode::CREATED, "") };
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((status, json, format!("{{\"id\":\"{}\"{repeated}}}\n", appended.id)).into_response())
}

/// A request whose head is in order.
struct Entered {
    topic: Topic,
    replicas: Option<u8>,
    permit: RequestPermit,
}

fn enter(service: &Service, sender: &Identity, head: &Head) -> Result<Entered, Refusal> {
    let topic = read_topic(service, sender, head)?;
    let replicas = headers::wait_replicas(&head.headers, service.settings.wait_replicas_max)?;
    let pacing = service.pace.sender(&head.extensions);
    let permit = service.admit(&service.requests, &pacing, Some(&topic))?;
    service.keep_pace(&pacing, &topic)?;
    Ok(Entered { topic, replicas, permit })
}

fn read_topic(service: &Service, sender: &Identity, head: &Head) -> Result<Topic, Refusal> {
    let topic = parse_events_path(head.uri.path())?;
    service.permit(sender, &topic)?;
    Ok(topic)
}

async fn read_event(service: &Service, topic: Topic, head: &Head, body: Body) -> Result<NewEvent, Refusal> {
    let settings = &service.settings;
    let key = headers::idempotency_key(&head.headers)?;
    let media = headers::media(&head.headers, WANTED)?;
    for (name, _) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
        parameter(&name, &PARAMETERS).map_err(|unknown| Refusal::parameter(unknown.to_string()))?;
    }
    let Query(query) =
        Query::<TextQuery>::try_from_uri(&head.uri).map_err(|error| Refusal::query(error.body_text()))?;
    if media != Media::Text && query.event_type.is_some() {
        return Err(Refusal::query("`?type=` goes with text/plain; with JSON put \"type\" into the body"));
    }
    if media == Media::Lines {
        return Err(Refusal::media_type("lines go to POST /v1/events; here is room for one event"));
    }
    let body = Parts::whole(body, settings.body_bytes_max, settings.body_idle_max).await?;
    let mut event = if media == Media::Json {
        json::event(topic, &body)?
    } else {
        json::utf8(&body)?;
        let data = ByteString::try_from(body).map_err(|_| Refusal::body("the body is not UTF-8"))?;
        let mut event = NewEvent::new(topic, data);
        event.event_type = json::event_type(query.event_type)?;
        event
    };
    event.key = key;
    event.traceparent = trace::traceparent();
    Ok(event)
}
