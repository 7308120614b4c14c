//! A bounded look at the streams of a node, taken when somebody asks: each shard walks over its slots, a part a
//! turn, and tells of those that lag most. Nothing is kept for it.

use std::time::Duration;

use sluice_access::Names;
use sluice_fanout::{Phase, StreamReport, Survey};
use sluice_wire::Topic;
use tokio::sync::oneshot;

use crate::Gateway;
use crate::admission::Admission;
use crate::runs::Runs;

/// How long a shard may take to answer. One that is busier than that is the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The streams of a node that lag most, and how many others there are.
#[derive(Debug, Clone)]
pub struct Census {
    /// Open streams.
    pub open: usize,
    /// Of those, streams that are being fed from windows and logs; who they are is not known.
    pub catching_up: usize,
    /// Of those, streams that hyper drives; who they are is not known.
    pub on_hyper: usize,
    /// Shards that did not answer in time.
    pub silent_shards: usize,
    /// The streams that lag most.
    pub worst: Vec<Listed>,
}

/// A stream of a census.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The number of its shard.
    pub shard: u16,
    /// What its slot tells.
    pub report: StreamReport,
    /// Whose it is, by its token.
    pub subject: Option<String>,
    /// That token's own id.
    pub token_id: Option<String>,
    /// Who has signed that token, as it says.
    pub issuer: Option<String>,
}

impl Gateway {
    /// At most `limit` of the streams in shards, of `topic` if one is given: those that lack most first, then
    /// those that took nothing for longest, then the oldest. `None` when the node has enough of such questions.
    pub async fn census(&self, topic: Option<Topic>, limit: usize) -> Option<Census> {
        let Runs { ground, admission, .. } = self.runs();
        let mut asked = Vec::new();
        for (number, shard) in (0_u16..).zip(ground.hub.shards()) {
            let (reply, answer) = oneshot::channel();
            // Whoever asked may have gone; nobody misses the answer then.
            shard.survey(Survey::new(topic.clone(), limit), move |reports| drop(reply.send(reports)));
            asked.push((number, answer));
        }
        let mut census = Census {
            open: admission.open(),
            catching_up: ground.hub.tallies().catching_up(),
            on_hyper: ground.hub.polled().standing(),
            silent_shards: 0,
            worst: Vec::new(),
        };
        for (number, answer) in asked {
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(reports)) => {
                    census.worst.extend(reports?.into_iter().map(|report| listed(admission, number, report)));
                }
                Ok(Err(_)) | Err(_) => census.silent_shards += 1,
            }
        }
        census.worst.sort_by_key(|Listed { report, .. }| {
            let StreamReport { behind_frames, idle_s, age_s, .. } = report;
            std::cmp::Reverse((*behind_frames, *idle_s, *age_s))
        });
        census.worst.truncate(limit);
        Some(census)
    }
}

fn listed(admission: &Admission, shard: u16, report: StreamReport) -> Listed {
    // One that has left its principal behind may stand there with the number of another.
    let number = if report.phase == Phase::Closing { 0 } else { report.principal };
    let names = admission.principal(number, |principal| {
        let Names { subject, token_id, issuer, issued_at_s: _ } = principal.names;
        [subject, token_id, issuer].map(|name| name.map(str::to_owned))
    });
    let [subject, token_id, issuer] = names.unwrap_or_default();
    Listed { shard, report, subject, token_id, issuer }
}
