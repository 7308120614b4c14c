//! Sends requests to whoever is in charge, whatever the topology: commands are grouped by server, each group
//! is one pipeline, groups go side by side, and answers come back in the order of the commands. Commands that
//! met a server which is not in charge are sent again, within the time that an answer may take
//! (`servers/rounds.rs` says which).

mod asking;
mod partitions;
mod rounds;
mod waiting;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::asking::Asking;
use self::rounds::{Outcome, Rounds};
use self::waiting::WaitingConnections;
use super::dial::Dialler;
use super::failure;
use super::layout::{Layout, Slot};
use super::pool::Pool;
use super::scout::Scout;
use crate::backoff::Backoff;
use crate::url::Address;
use crate::{BrokerError, ReplicaWait};

/// How often commands are redirected before the servers are given a moment to agree.
const REDIRECTIONS_AT_ONCE: u32 = 3;

/// A command and the slot of its keys.
#[derive(Debug, Clone)]
pub(super) struct Routed {
    pub(super) slot: Slot,
    pub(super) command: Cmd,
}

/// Commands that are asked together.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) commands: Vec<Routed>,
    /// Sent to every server that is asked, ahead of the rest; to all of them where there is no rest.
    pub(super) preface: Option<Cmd>,
    /// Whether the commands change something: each is then run once at most, in its order within its slot.
    pub(super) changes: bool,
    /// How many replicas must have what was changed; a wait follows the commands to each server.
    pub(super) wait: ReplicaWait,
}

impl Request {
    /// Questions that change nothing.
    pub(super) fn reading(commands: Vec<Routed>) -> Self {
        Self { commands, preface: None, changes: false, wait: ReplicaWait::default() }
    }
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Answers {
    /// To the preface, one a server or more.
    pub(super) prefaces: Vec<Value>,
    /// To each command, errors of servers among the values.
    pub(super) answers: Vec<Result<Value, BrokerError>>,
    /// Replicas that have what each command changed; 0 where none was waited for.
    pub(super) confirmed: Vec<usize>,
    /// Of each, whether it may have run although nobody has said so.
    pub(super) lost: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct Servers {
    scout: Scout,
    dialler: Dialler,
    lanes: usize,
    cluster: bool,
    pools: Mutex<Pools>,
}

#[derive(Debug, Default)]
struct Pools {
    by_address: HashMap<Address, Arc<Pool>>,
    /// Connections that WAIT blocks, by the number of replicas that it is to wait for.
    waiting: HashMap<(Address, u8), Arc<WaitingConnections>>,
    /// The layout by which pools were last dismissed.
    layout: Arc<Layout>,
}

impl Servers {
    pub(super) fn new(scout: Scout, dialler: Dialler, lanes: usize, cluster: bool) -> Self {
        Self { scout, dialler, lanes, cluster, pools: Mutex::default() }
    }

    /// The servers are nodes of a cluster: keys of different slots do not go into one command.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// The command that announces on a live channel.
    pub(super) fn announce_command(&self) -> &'static str {
        if self.cluster { "SPUBLISH" } else { "PUBLISH" }
    }

    pub(super) fn scout(&self) -> &Scout {
        &self.scout
    }

    pub(super) fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// Asks; takes about as long as an answer may take, at most.
    pub(super) async fn ask(&self, request: Request) -> Answers {
        self.ask_noting(request, &Notify::new()).await
    }

    /// As [`Servers::ask`]; `answered` is notified when nothing but replicas is waited for any more.
    pub(super) async fn ask_noting(&self, request: Request, answered: &Notify) -> Answers {
        let deadline = Instant::now() + self.dialler.timeouts().1 + request.wait.timeout;
        let slots = request.commands.iter().map(|routed| routed.slot).collect();
        let mut rounds = Rounds::new(slots, request.changes);
        let mut asking = Asking::new(self, request);
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(250));
        let mut redirections = 0;
        loop {
            let round = rounds.next();
            let layout = match self.scout.known(deadline).await {
                Ok(layout) => layout,
                Err(why) => {
                    rounds.take(round.into_iter().map(|(at, _)| (at, Outcome::Later(why.clone()))).collect());
                    break;
                }
            };
            let met = asking.round(&layout, round, &mut rounds).await;
            redirections += u32::from(met.redirected);
            if rounds.next().is_empty() || Instant::now() >= deadline {
                break;
            }
            if met.unready || redirections > REDIRECTIONS_AT_ONCE {
                tokio::select! {
                    () = self.scout.changed_from(&layout) => {}
                    () = tokio::time::sleep(backoff.next()) => {}
                }
            }
        }
        answered.notify_one();
        let confirmed = asking.confirmed().await;
        let lost = rounds.lost();
        Answers { prefaces: asking.prefaces, answers: rounds.end(), confirmed, lost }
    }

    /// Asks one question that changes nothing.
    pub(super) async fn read(&self, slot: Slot, command: Cmd) -> Result<Value, BrokerError> {
        let answers = self.ask(Request::reading(vec![Routed { slot, command }])).await.answers;
        let answer = answers.into_iter().next();
        failure::checked(answer.unwrap_or_else(|| Err(failure::odd("a question", "answer")))?)
    }

    /// Proves that every server in charge answers; the longest round trip.
    pub(super) async fn ping(&self) -> Result<Duration, BrokerError> {
        let layout = self.scout.known(Instant::now() + self.dialler.timeouts().0).await?;
        let pings = layout.shards().iter().map(|shard| async {
            let began = Instant::now();
            let answer = self.pool(&shard.primary).command(&redis::cmd("PING")).await;
            answer.inspect_err(|_| self.scout.look_again(None)).map(|_| began.elapsed())
        });
        let mut longest = Duration::ZERO;
        for ping in join_all(pings).await {
            longest = longest.max(ping?);
        }
        Ok(longest)
    }

    /// The connections to the server at `address`.
    pub(super) fn pool(&self, address: &Address) -> Arc<Pool> {
        let mut pools = self.pools();
        let new = || Arc::new(Pool::new(&self.dialler, address, self.lanes));
        Arc::clone(pools.by_address.entry(address.clone()).or_insert_with(new))
    }

    /// The connections for requests that wait for so many replicas of the server at `address`.
    fn waiting_connections(&self, address: &Address, replicas: u8) -> Arc<WaitingConnections> {
        let mut pools = self.pools();
        let new = || Arc::new(WaitingConnections::new(&self.dialler, address));
        Arc::clone(pools.waiting.entry((address.clone(), replicas)).or_insert_with(new))
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        let layout = self.scout.layout();
        let mut pools = self.pools.lock().unwrap_or_else(sluice_failure::poisoned);
        if !Arc::ptr_eq(&pools.layout, &layout) {
            // One that slots are on their way to is dialled anew.
            pools.by_address.retain(|address, _| layout.of_primary(address).is_some());
            pools.waiting.retain(|(address, _), _| layout.of_primary(address).is_some());
            pools.layout = layout;
        }
        pools
    }
}
