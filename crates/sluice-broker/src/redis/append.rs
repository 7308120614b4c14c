//! Appending: one EVALSHA an event, all of a slice in one pipeline.

use std::time::Duration;

use redis::{Pipeline, Script, Value};
use sluice_wire::NewEvent;

use super::keys::Keys;
use super::pool::Pool;
use super::{failure, parse, scripts};
use crate::{Appended, BrokerError, Retention, RetentionPolicies};

pub(super) struct Appending {
    script: Script,
    announce: &'static str,
    once_window_ms: u128,
}

impl Appending {
    pub(super) fn new(announce: &'static str, once_window: Duration) -> Self {
        Self { script: scripts::publish(), announce, once_window_ms: once_window.as_millis() }
    }

    /// The command that announces on a live channel.
    pub(super) fn announce(&self) -> &'static str {
        self.announce
    }

    pub(super) async fn append(
        &self,
        pool: &Pool,
        keys: &Keys,
        retention: &RetentionPolicies,
        events: &[NewEvent],
    ) -> Vec<Result<Appended, BrokerError>> {
        let mut pipeline = Pipeline::with_capacity(events.len());
        for event in events {
            self.add(&mut pipeline, keys, event, retention.of(&event.topic));
        }
        let answers = match pool.pipeline(&pipeline).await {
            Ok(answers) => answers,
            Err(why) => return events.iter().map(|_| Err(why.clone())).collect(),
        };
        let unknown = |answer: &Value| matches!(answer, Value::ServerError(e) if failure::is_no_script(e));
        let flushed: Vec<usize> = (0..answers.len()).filter(|index| unknown(&answers[*index])).collect();
        let mut results: Vec<_> =
            answers.into_iter().zip(events).map(|(answer, event)| result(answer, event)).collect();
        if !flushed.is_empty() {
            self.append_again(pool, keys, retention, events, &flushed, &mut results).await;
        }
        results
    }

    /// Somebody emptied the script cache since the connection was made: loads the script and sends what was
    /// not run.
    async fn append_again(
        &self,
        pool: &Pool,
        keys: &Keys,
        retention: &RetentionPolicies,
        events: &[NewEvent],
        indices: &[usize],
        results: &mut [Result<Appended, BrokerError>],
    ) {
        let mut pipeline = Pipeline::with_capacity(indices.len() + 1);
        // In the same pipeline, ahead of them: all that is sent here finds the script.
        pipeline.cmd("SCRIPT").arg("LOAD").arg(scripts::PUBLISH_SCRIPT);
        for index in indices {
            self.add(&mut pipeline, keys, &events[*index], retention.of(&events[*index].topic));
        }
        match pool.pipeline(&pipeline).await {
            Ok(answers) => {
                for (index, answer) in indices.iter().zip(answers.into_iter().skip(1)) {
                    results[*index] = result(answer, &events[*index]);
                }
            }
            Err(why) => {
                for index in indices {
                    results[*index] = Err(why.clone());
                }
            }
        }
    }

    fn add(&self, pipeline: &mut Pipeline, keys: &Keys, event: &NewEvent, retention: Retention) {
        let optional =
            |millis: Option<Duration>| millis.map_or_else(String::new, |d| d.as_millis().to_string());
        pipeline.cmd("EVALSHA").arg(self.script.get_hash());
        match &event.key {
            Some(key) => pipeline.arg(2).arg(keys.log(&event.topic)).arg(keys.once(&event.topic, key)),
            None => pipeline.arg(1).arg(keys.log(&event.topic)),
        };
        pipeline
            .arg(event.data.as_bytes().as_ref())
            .arg(event.event_type.as_ref().map_or("", |event_type| event_type.as_str()))
            .arg(event.traceparent.as_ref().map_or("", |trace| &**trace))
            .arg(retention.events_max.map_or_else(String::new, |max| max.to_string()))
            .arg(optional(retention.age_max))
            .arg(optional(retention.idle_max))
            .arg(self.once_window_ms.max(1).to_string())
            .arg(self.announce);
    }
}

fn result(answer: Value, event: &NewEvent) -> Result<Appended, BrokerError> {
    if let Value::ServerError(error) = &answer
        && failure::is_wrong_type(error)
    {
        let topic = &event.topic;
        return Err(BrokerError::Refused(format!(
            "a key of topic {topic} holds something that Sluice did not put there; delete or rename it"
        )));
    }
    let odd = || failure::odd("publish.lua", "id");
    let Value::Array(parts) = failure::checked(answer)? else { return Err(odd()) };
    let [id, repeated] = <[Value; 2]>::try_from(parts).map_err(|_| odd())?;
    Ok(Appended { id: parse::id(&id).ok_or_else(odd)?, repeated: repeated == Value::Int(1) })
}

impl std::fmt::Debug for Appending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appending").field("announce", &self.announce).finish_non_exhaustive()
    }
}
