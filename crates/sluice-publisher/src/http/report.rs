//! The report on a batch: what became of each event, in order, nothing left out.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use opentelemetry::KeyValue;
use sluice_broker::Appended;
use sluice_wire::EventId;

use super::refusal::Refusal;
use crate::{PublishError, Receipt, trace};

/// With so many events that can never be published as they are, a batch is not read any further.
pub(super) const INVALID_EVENTS_MAX: usize = 100;
/// Errors that are told in full; those behind them are told by type and status alone.
const ERRORS_IN_FULL: usize = 100;

/// Collects results; holds at most `in_flight_max` of them open.
pub(super) struct Report {
    results: Vec<Outcome>,
    /// How many results from the beginning are known to be settled.
    settled: usize,
    in_flight_max: usize,
    /// Events beyond the limit of a batch that have no result of their own.
    unread: usize,
    /// Events that can never be published as they are.
    invalid: usize,
}

enum Outcome {
    Waiting {
        line: Option<usize>,
        receipt: Receipt,
    },
    Published(Appended),
    /// In the log, but on fewer replicas than wanted.
    Unconfirmed {
        line: Option<usize>,
        id: EventId,
        refusal: Refusal,
    },
    Refused {
        line: Option<usize>,
        refusal: Refusal,
    },
}

impl Report {
    pub(super) fn new(in_flight_max: usize) -> Self {
        Self { results: Vec::new(), settled: 0, in_flight_max: in_flight_max.max(1), unread: 0, invalid: 0 }
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
        self.invalid += usize::from(matches!(refusal.status(), 400..=428));
        self.results.push(Outcome::Refused { line, refusal });
    }

    /// Whether so many events can never be published that it is not worth while to read more.
    pub(super) fn is_hopeless(&self) -> bool {
        self.invalid >= INVALID_EVENTS_MAX
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
        let count = |of: fn(&Outcome) -> bool| self.results.iter().filter(|result| of(result)).count();
        let unconfirmed = count(|result| matches!(result, Outcome::Unconfirmed { .. }));
        let published = count(|result| matches!(result, Outcome::Published(_))) + unconfirmed;
        let failed = self.results.len() - published + self.unread;
        let is_whole = failed == 0 && unconfirmed == 0;
        trace::note(KeyValue::new(
            "messaging.batch.message_count",
            i64::try_from(published).unwrap_or(i64::MAX),
        ));
        trace::note(KeyValue::new("sluice.outcome", if is_whole { "appended" } else { "partial" }));
        let status = if is_whole { StatusCode::OK } else { StatusCode::MULTI_STATUS };
        let json = [(header::CONTENT_TYPE, "application/json")];
        (status, json, self.to_json(published, failed, unconfirmed)).into_response()
    }

    async fn settle_next(&mut self) {
        let result = &mut self.results[self.settled];
        self.settled += 1;
        if let Outcome::Waiting { line, receipt } = result {
            *result = match receipt.await {
                Ok(appended) => Outcome::Published(appended),
                Err(PublishError::NotReplicated { id, confirmed, wanted }) => {
                    let refusal = PublishError::NotReplicated { id, confirmed, wanted }.into();
                    Outcome::Unconfirmed { line: *line, id, refusal }
                }
                Err(error) => Outcome::Refused { line: *line, refusal: error.into() },
            };
        }
    }

    fn to_json(&self, published: usize, failed: usize, unconfirmed: usize) -> String {
        let mut json = String::with_capacity(40 * self.results.len() + 64);
        json.push_str("{\"results\":[");
        let mut errors = 0;
        for (index, result) in self.results.iter().enumerate() {
            json.push_str(if index == 0 { "\n" } else { ",\n" });
            errors += usize::from(!matches!(result, Outcome::Published(_)));
            result.push_json(&mut json, errors <= ERRORS_IN_FULL);
        }
        let _ = write!(json, "\n],\"published\":{published},\"failed\":{failed}");
        if unconfirmed > 0 {
            let _ = write!(json, ",\"unconfirmed\":{unconfirmed}");
        }
        json.push_str("}\n");
        json
    }
}

/// The problem of a result; its type and status alone unless it is told `in_full`.
fn problem(refusal: &Refusal, in_full: bool) -> String {
    let problem = refusal.problem();
    if in_full { problem.to_json() } else { problem.to_short_json() }
}

impl Outcome {
    fn push_json(&self, json: &mut String, in_full: bool) {
        let _ = match self {
            Self::Published(Appended { id, repeated: false }) => write!(json, "{{\"id\":\"{id}\"}}"),
            Self::Published(Appended { id, repeated: true }) => {
                write!(json, "{{\"id\":\"{id}\",\"repeated\":true}}")
            }
            Self::Unconfirmed { line, id, refusal } => {
                let (place, error) = (place(*line), problem(refusal, in_full));
                write!(json, "{{{place}\"id\":\"{id}\",\"unconfirmed\":true,\"error\":{error}}}")
            }
            Self::Refused { line, refusal } => {
                write!(json, "{{{}\"error\":{}}}", place(*line), problem(refusal, in_full))
            }
            Self::Waiting { .. } => Ok(()),
        };
    }
}

/// Where an event stood, as the beginning of its result.
fn place(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("\"line\":{line},"))
}
