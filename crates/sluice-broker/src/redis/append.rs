//! Appending: one EVALSHA an event, all of a slice in one pipeline a server.

use std::time::Duration;

use redis::{Script, Value};
use sluice_wire::NewEvent;
use tokio::sync::Notify;

use super::keys::Keys;
use super::reckoning::Reckoning;
use super::reports::Reports;
use super::servers::{Answers, Request, Routed, Servers};
use super::{failure, parse, scripts};
use crate::{Appended, BrokerError, ReplicaWait, Retention, RetentionPolicies};

pub(super) struct Appending {
    script: Script,
    announce: &'static str,
    once_window_ms: u128,
    clocks: Reckoning,
    reports: Reports,
}

impl Appending {
    pub(super) fn new(announce: &'static str, once_window: Duration) -> Self {
        let (script, clocks) = (scripts::publish(), Reckoning::new());
        let once_window_ms = once_window.as_millis();
        Self { script, announce, once_window_ms, clocks, reports: Reports::new() }
    }

    pub(super) async fn append(
        &self,
        servers: &Servers,
        keys: &Keys,
        retention: &RetentionPolicies,
        events: &[NewEvent],
        wait: ReplicaWait,
        appended: &Notify,
    ) -> Vec<Result<Appended, BrokerError>> {
        if events.is_empty() {
            return Vec::new();
        }
        let commands = events.iter().map(|event| self.command(keys, event, retention.of(&event.topic)));
        let request = Request { commands: commands.collect(), preface: None, changes: true, wait };
        let Answers { answers, confirmed, lost, .. } = servers.ask_noting(request, appended).await;
        let answers = answers.into_iter().zip(lost).zip(confirmed).zip(events);
        let judged = answers.map(|(((answer, lost), confirmed), event)| {
            let answer = answer.and_then(|answer| self.result(answer, event));
            wait.judge(answer.map_err(|error| if lost { error } else { not_appended(error) })?, confirmed)
        });
        judged.collect()
    }

    fn command(&self, keys: &Keys, event: &NewEvent, retention: Retention) -> Routed {
        let optional =
            |millis: Option<Duration>| millis.map_or_else(String::new, |d| d.as_millis().to_string());
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script.get_hash());
        let (log, once) =
            (keys.log(&event.topic), event.key.as_ref().map(|key| keys.once(&event.topic, key)));
        let once_before = event.key.as_ref().and_then(|key| keys.once_before(&event.topic, key));
        let names = [Some(log), once, once_before];
        let names: Vec<String> = names.into_iter().flatten().collect();
        command.arg(names.len()).arg(names);
        command
            .arg(event.data.as_bytes().as_ref())
            .arg(event.event_type.as_ref().map_or("", |event_type| event_type.as_str()))
            .arg(event.traceparent.as_ref().map_or("", |trace| &**trace))
            .arg(retention.events_max.map_or_else(String::new, |max| max.to_string()))
            .arg(optional(retention.age_max))
            .arg(optional(retention.idle_max))
            .arg(self.once_window_ms.max(1).to_string())
            .arg(self.announce)
            .arg(self.clocks.now_ms().unwrap_or(0))
            // A `ByteString` is UTF-8.
            .arg(1);
        Routed { slot: keys.slot(&event.topic), command }
    }

    fn result(&self, answer: Value, event: &NewEvent) -> Result<Appended, BrokerError> {
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
        let [id, repeated, clock_ms, report] = <[Value; 4]>::try_from(parts).map_err(|_| odd())?;
        if let Value::Int(clock_ms) = clock_ms {
            self.clocks.note(clock_ms.try_into().unwrap_or(0));
        }
        self.reports.take(&report, &event.topic);
        Ok(Appended { id: parse::id(&id).ok_or_else(odd)?, repeated: repeated == Value::Int(1) })
    }
}

/// An error of an event that the server did not run, or of which it said that it refuses it.
fn not_appended(error: BrokerError) -> BrokerError {
    match error {
        BrokerError::Unavailable(why) => BrokerError::NotAppended(why),
        other => other,
    }
}

impl std::fmt::Debug for Appending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appending").field("announce", &self.announce).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sluice_testkit::RedisServer;
    use sluice_wire::{EventId, Topic};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::redis::RedisBroker;
    use crate::{Broker, BrokerSettings};

    async fn publish(broker: &RedisBroker) -> EventId {
        let event = NewEvent::new(Topic::parse("t").unwrap(), "x");
        broker.append(&[event]).await.remove(0).unwrap().id
    }

    /// As if the events had gone to a primary whose clock was ahead and that is gone, with the events.
    #[tokio::test]
    async fn ids_go_on_from_where_a_lost_servers_clock_would_stand() {
        let server = RedisServer::start().await.unwrap();
        let settings = BrokerSettings::new(server.url().parse().unwrap());
        let broker = RedisBroker::new(settings, TaskTracker::new()).unwrap();
        let before = publish(&broker).await;
        let clocks = &broker.appending.clocks;
        let clock_ms = clocks.now_ms().unwrap();
        assert!(clock_ms.abs_diff(before.ms) < 5_000, "{clock_ms} is what the server said");
        clocks.note(clock_ms + 6_000);
        server.cli(&["FLUSHALL"]).await.unwrap();
        let ids = [publish(&broker).await, publish(&broker).await, publish(&broker).await];
        assert!(ids.is_sorted() && ids[0].ms >= clock_ms + 5_999, "{ids:?}");
        // A clock that was wrong by an hour is not followed.
        clocks.note(clock_ms + 3_600_000);
        server.cli(&["FLUSHALL"]).await.unwrap();
        assert!(publish(&broker).await.ms < clock_ms + 60_000);
    }
}
