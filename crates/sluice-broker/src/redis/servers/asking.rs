//! One round of a request: a pipeline to each server that has a part in it, side by side, and what their answers
//! mean.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use super::rounds::{self, Outcome, Rounds, Target};
use super::waiting::WaitingConnection;
use super::{Request, Servers};
use crate::BrokerError;
use crate::redis::layout::Layout;
use crate::redis::pool::Failure;
use crate::redis::{failure, scripts};
use crate::url::Address;

/// A request under way.
pub(super) struct Asking<'a> {
    servers: &'a Servers,
    request: Request,
    pub(super) prefaces: Vec<Value>,
    /// Connections over which commands were run whose replicas are still to be waited for.
    held: Vec<Held>,
}

/// The connection over which some commands were run.
struct Held {
    commands: Vec<usize>,
    connection: MultiplexedConnection,
    /// Until the answer of WAIT nobody else uses the connection.
    _exclusive: WaitingConnection,
}

/// The answers to one pipeline, and the connection, where it is to be waited for replicas over it.
type Sent = (Vec<Value>, Option<(MultiplexedConnection, WaitingConnection)>);

/// What stood in the way of a round.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Met {
    /// Somebody else was in charge.
    pub(super) redirected: bool,
    /// Nobody was, for now.
    pub(super) unready: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(servers: &'a Servers, request: Request) -> Self {
        Self { servers, request, prefaces: Vec::new(), held: Vec::new() }
    }

    /// Waits for replicas; how many have what each command changed, 0 where that is not known.
    pub(super) async fn confirmed(&mut self) -> Vec<usize> {
        let mut confirmed = vec![0; self.request.commands.len()];
        let (wait, held) = (self.request.wait, std::mem::take(&mut self.held));
        let response_timeout = self.servers.dialler.timeouts().1 + wait.timeout;
        let mut command = redis::cmd("WAIT");
        // At least a millisecond: 0 would be for ever.
        command.arg(wait.replicas).arg(wait.timeout.as_millis().max(1).to_string());
        let waits = held.into_iter().map(|mut held| {
            let command = command.clone();
            async move {
                held.connection.set_response_timeout(response_timeout);
                let answer = held.connection.send_packed_command(&command).await;
                (held.commands, answer.map_or(0, replicas_of))
            }
        });
        for (commands, replicas) in join_all(waits).await {
            for at in commands {
                if let Some(confirmed) = confirmed.get_mut(at) {
                    *confirmed = replicas;
                }
            }
        }
        confirmed
    }

    /// Sends what is due and takes down what becomes of it.
    pub(super) async fn round(
        &mut self,
        layout: &Layout,
        round: Vec<(usize, Target)>,
        rounds: &mut Rounds,
    ) -> Met {
        let mut met = Met::default();
        let mut outcomes = Vec::with_capacity(round.len());
        let mut groups: BTreeMap<(Address, bool), Vec<usize>> = BTreeMap::new();
        if self.request.commands.is_empty() {
            // The preface alone.
            groups.extend(layout.shards().iter().map(|shard| ((shard.primary.clone(), false), Vec::new())));
        }
        for (at, target) in round {
            let slot = self.request.commands[at].slot;
            let place = match target {
                Target::Slot => layout.of_slot(slot).map(|shard| (shard.primary.clone(), false)),
                Target::Named(address) => Some((address, false)),
                Target::Asking(address) => Some((address, true)),
            };
            if let Some(place) = place {
                groups.entry(place).or_default().push(at);
            } else {
                met.unready = true;
                let why = format!("no server of the Redis cluster serves slot {slot}");
                outcomes.push((at, Outcome::Later(BrokerError::Unavailable(why))));
            }
        }
        let sent = groups.iter().map(|(place, group)| self.send(place, group));
        let answers = join_all(sent).await;
        for (((asked, _), group), answer) in groups.into_iter().zip(answers) {
            self.sort_out(&asked, group, answer, &mut met, &mut outcomes);
        }
        outcomes.sort_unstable_by_key(|(at, _)| *at);
        rounds.take(outcomes);
        met
    }

    /// One pipeline to one server; an answer to the preface, if there is one, and to each command.
    async fn send(&self, place: &(Address, bool), group: &[usize]) -> Result<Sent, Failure> {
        let (address, asking) = place;
        let mut pipeline = Pipeline::with_capacity(2 * group.len() + 1);
        if let Some(preface) = &self.request.preface {
            pipeline.add_command(preface.clone());
        }
        let head = pipeline.len();
        for at in group {
            if *asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(self.request.commands[*at].command.clone());
        }
        let replicas = self.request.wait.replicas;
        if replicas > 0 && !group.is_empty() {
            let connections = self.servers.waiting_connections(address, replicas);
            // Without one the commands are run all the same, and nobody confirms them.
            if let Some(exclusive) = connections.acquire().await {
                let (answers, connection) = exclusive.pool.pipeline_and_connection(&pipeline).await?;
                return Ok((without_asking(answers, *asking, head), Some((connection, exclusive))));
            }
        }
        let pool = self.servers.pool(address);
        let answers = match pool.pipeline(&pipeline).await {
            // Nobody is to notice that a server closes connections that stood still.
            Err(failure) if failure.dropped && !self.request.changes => pool.pipeline(&pipeline).await?,
            answers => answers?,
        };
        Ok((without_asking(answers, *asking, head), None))
    }

    /// Takes down what a server answered.
    fn sort_out(
        &mut self,
        asked: &Address,
        group: Vec<usize>,
        answers: Result<Sent, Failure>,
        met: &mut Met,
        outcomes: &mut Vec<(usize, Outcome)>,
    ) {
        let scout = &self.servers.scout;
        let mut answers = match answers {
            Ok((answers, held)) => {
                let commands = group.clone();
                self.held.extend(held.map(|(connection, _exclusive)| Held {
                    commands,
                    connection,
                    _exclusive,
                }));
                answers.into_iter()
            }
            Err(failure) => {
                scout.look_again(None);
                let outcome = if failure.sent { Outcome::Lost } else { Outcome::Unsent };
                outcomes.extend(group.into_iter().map(|at| (at, outcome(failure.why.clone()))));
                return;
            }
        };
        if self.request.preface.is_some() {
            self.prefaces.extend(answers.next());
        }
        for (at, answer) in group.into_iter().zip(answers) {
            let unknown_script = matches!(&answer, Value::ServerError(error) if failure::is_no_script(error));
            let outcome = match answer {
                Value::ServerError(error) if unknown_script => {
                    // Ahead of the next round's commands, in the same pipeline: all of them find it.
                    self.request.preface = Some(scripts::load());
                    Outcome::Later(failure::of_answer(&error))
                }
                // Whoever has only one address has nowhere else to go.
                answer if scout.never_changes() => Outcome::Answered(answer),
                answer => rounds::outcome(answer, asked),
            };
            match &outcome {
                Outcome::Elsewhere(target) => {
                    met.redirected = true;
                    if matches!(target, Target::Named(_)) {
                        scout.look_again(Some(asked));
                    }
                }
                Outcome::Later(_) if !unknown_script => {
                    met.unready = true;
                    scout.look_again(None);
                }
                _ => {}
            }
            outcomes.push((at, outcome));
        }
    }
}

/// The answers without those to the ASKING ahead of each command behind the first `head`.
fn without_asking(mut answers: Vec<Value>, asking: bool, head: usize) -> Vec<Value> {
    if asking {
        let mut nth = 0_usize;
        answers.retain(|_| {
            nth += 1;
            nth <= head || (nth - head).is_multiple_of(2)
        });
    }
    answers
}

/// The number of replicas that WAIT answers. Where it is refused, nobody knows of any.
fn replicas_of(answer: Value) -> usize {
    match failure::checked(answer) {
        Ok(Value::Int(replicas)) => usize::try_from(replicas).unwrap_or(0),
        Ok(_) => 0,
        Err(why) => {
            tracing::warn!(error = %why, "Redis refuses to wait for replicas; none counts as having the events");
            0
        }
    }
}
