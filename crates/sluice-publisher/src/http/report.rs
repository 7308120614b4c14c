//! The report on a batch: what became of each event, in order, nothing left out.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use opentelemetry::KeyValue;
use sluice_broker::Appended;

use super::refusal::Refusal;
use crate::{Receipt, trace};

/// Collects results; holds at most `in_flight_max` of them open.
pub(super) struct Report {
    results: Vec<Outcome>,
    /// How many results from the beginning are known to be settled.
    settled: usize,
    in_flight_max: usize,
    /// Events beyond the limit of a batch that have no result of their own.
    unread: usize,
}

enum Outcome {
    Waiting { line: Option<usize>, receipt: Receipt },
    Published(Appended),
    Refused { line: Option<usize>, refusal: Refusal },
}

impl Report {
    pub(super) fn new(in_flight_max: usize) -> Self {
        Self { results: Vec::new(), settled: 0, in_flight_max: in_flight_max.max(1), unread: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.results.len()
    }

    /// An event was accepted. Waits for an earlier one's answer when too many are open.
    pub(super) async fn accepted(&mut self, line: Option<usize>, receipt: Receipt) {
        self.results.push(Outcome::Waiting { line, receipt });
        if self.results.len() - self.settled > self.in_flight_max {
            self.settle_next().await;
        }
    }

    /// An event was refused; `line` is where it stood.
    pub(super) fn refused(&mut self, line: Option<usize>, refusal: Refusal) {
        self.results.push(Outcome::Refused { line, refusal });
    }

    /// One more event was not read because the batch is over its limit.
    pub(super) fn unread(&mut self) {
        self.unread += 1;
    }

    /// Waits for all answers. 200 when everything was published, 207 otherwise.
    pub(super) async fn respond(mut self) -> Response {
        while self.settled < self.results.len() {
            self.settle_next().await;
        }
        let published = self.results.iter().filter(|result| matches!(result, Outcome::Published(_))).count();
        let failed = self.results.len() - published + self.unread;
        trace::note(KeyValue::new(
            "messaging.batch.message_count",
            i64::try_from(published).unwrap_or(i64::MAX),
        ));
        trace::note(KeyValue::new("sluice.outcome", if failed == 0 { "appended" } else { "partial" }));
        let status = if failed == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
        let json = [(header::CONTENT_TYPE, "application/json")];
        (status, json, self.to_json(published, failed)).into_response()
    }

    async fn settle_next(&mut self) {
        let result = &mut self.results[self.settled];
        self.settled += 1;
        if let Outcome::Waiting { line, receipt } = result {
            *result = match receipt.await {
                Ok(appended) => Outcome::Published(appended),
                Err(error) => Outcome::Refused { line: *line, refusal: error.into() },
            };
        }
    }

    fn to_json(&self, published: usize, failed: usize) -> String {
        let mut json = String::with_capacity(40 * self.results.len() + 64);
        json.push_str("{\"results\":[");
        for (index, result) in self.results.iter().enumerate() {
            json.push_str(if index == 0 { "\n" } else { ",\n" });
            result.push_json(&mut json);
        }
        let _ = write!(json, "\n],\"published\":{published},\"failed\":{failed}}}\n");
        json
    }
}

impl Outcome {
    fn push_json(&self, json: &mut String) {
        let _ = match self {
            Self::Published(Appended { id, repeated: false }) => write!(json, "{{\"id\":\"{id}\"}}"),
            Self::Published(Appended { id, repeated: true }) => {
                write!(json, "{{\"id\":\"{id}\",\"repeated\":true}}")
            }
            Self::Refused { line: Some(line), refusal } => {
                write!(json, "{{\"line\":{line},\"error\":{}}}", refusal.problem().to_json())
            }
            Self::Refused { line: None, refusal } => {
                write!(json, "{{\"error\":{}}}", refusal.problem().to_json())
            }
            Self::Waiting { .. } => Ok(()),
        };
    }
}
