//! What of a request is sent when. A request that met servers which are not in charge takes several rounds;
//! this decides what each of them holds, so that no command overtakes one of its slot that came before it,
//! and none that may have run is sent again. Pure; the rounds are driven by `servers.rs`.

use redis::{ServerErrorKind, Value};

use super::super::failure;
use super::super::layout::Slot;
use crate::BrokerError;
use crate::url::Address;

/// Where a command goes next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// To whoever is in charge of its slot.
    Slot,
    /// To the server that another one named.
    Named(Address),
    /// The same, for this once: the slot is on its way there.
    Asking(Address),
}

/// What became of a command in a round.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The server ran it, or will never.
    Answered(Value),
    /// It did not run: somebody else is in charge.
    Elsewhere(Target),
    /// It did not run, and may later.
    Later(BrokerError),
    /// Perhaps it ran.
    Lost(BrokerError),
    /// It was not sent, and is not sent again.
    Unsent(BrokerError),
}

/// The commands of a request and what became of them so far.
#[derive(Debug)]
pub(super) struct Rounds {
    slots: Vec<Slot>,
    /// `None` while a command is to be sent.
    answers: Vec<Option<Result<Value, BrokerError>>>,
    targets: Vec<Target>,
    /// Why a command was not run the last time.
    reasons: Vec<Option<BrokerError>>,
    /// Of each, whether it may have run although nobody has said so.
    lost: Vec<bool>,
    /// Whether the commands of a slot must run in their order.
    ordered: bool,
}

impl Rounds {
    pub(super) fn new(slots: Vec<Slot>, ordered: bool) -> Self {
        let count = slots.len();
        let (targets, reasons) = (vec![Target::Slot; count], vec![None; count]);
        let (answers, lost) = ((0..count).map(|_| None).collect(), vec![false; count]);
        Self { slots, answers, targets, reasons, lost, ordered }
    }

    /// The commands of the next round, in order, each with its target; empty when all are answered.
    pub(super) fn next(&self) -> Vec<(usize, Target)> {
        let unanswered = (0..self.slots.len()).filter(|index| self.answers[*index].is_none());
        if !self.ordered {
            return unanswered.map(|index| (index, self.targets[index].clone())).collect();
        }
        let mut by_slot: Vec<usize> = unanswered.collect();
        // Stable: in their order within a slot.
        by_slot.sort_by_key(|index| self.slots[*index]);
        let mut round = Vec::with_capacity(by_slot.len());
        for slot in by_slot.chunk_by(|a, b| self.slots[*a] == self.slots[*b]) {
            // One that goes elsewhere than the first waits until it goes the same way.
            let target = &self.targets[slot[0]];
            let together = slot.iter().take_while(|index| self.targets[**index] == *target);
            round.extend(together.map(|index| (*index, target.clone())));
        }
        round.sort_unstable();
        round
    }

    /// Takes down what became of a round's commands, which are in order.
    pub(super) fn take(&mut self, outcomes: Vec<(usize, Outcome)>) {
        for (index, outcome) in outcomes {
            match outcome {
                Outcome::Answered(value) => {
                    self.give_up_before(index);
                    self.answers[index] = Some(Ok(value));
                }
                Outcome::Lost(why) => {
                    self.give_up_before(index);
                    self.give_up_behind(index, &why);
                    self.answers[index] = Some(Err(why));
                    self.lost[index] = true;
                }
                Outcome::Unsent(why) => {
                    self.give_up_before(index);
                    self.give_up_behind(index, &why);
                    self.answers[index] = Some(Err(why));
                }
                Outcome::Elsewhere(target) => self.targets[index] = target,
                Outcome::Later(why) => {
                    self.targets[index] = Target::Slot;
                    self.reasons[index] = Some(why);
                }
            }
        }
    }

    /// Commands of the slot that did not run, ahead of one that did: they are too late.
    fn give_up_before(&mut self, index: usize) {
        if self.ordered {
            for earlier in 0..index {
                if self.slots[earlier] == self.slots[index] && self.answers[earlier].is_none() {
                    self.answers[earlier] = Some(Err(self.reason(earlier)));
                }
            }
        }
    }

    /// Commands of the slot that come after one of which nobody knows.
    fn give_up_behind(&mut self, index: usize, why: &BrokerError) {
        if self.ordered {
            for later in index + 1..self.slots.len() {
                if self.slots[later] == self.slots[index] && self.answers[later].is_none() {
                    self.answers[later] = Some(Err(why.clone()));
                }
            }
        }
    }

    /// Of each, whether it may have run although nobody has said so.
    pub(super) fn lost(&self) -> Vec<bool> {
        self.lost.clone()
    }

    /// What became of each; those that are still to be sent never will be.
    pub(super) fn end(mut self) -> Vec<Result<Value, BrokerError>> {
        let answers = std::mem::take(&mut self.answers).into_iter().enumerate();
        answers.map(|(index, answer)| answer.unwrap_or_else(|| Err(self.reason(index)))).collect()
    }

    fn reason(&self, index: usize) -> BrokerError {
        self.reasons[index].clone().unwrap_or_else(|| {
            BrokerError::Unavailable(
                "the servers of the Redis cluster disagree about who serves a slot".to_owned(),
            )
        })
    }
}

/// What an answer means for its command. `asked` is the server that gave it.
pub(super) fn outcome(answer: Value, asked: &Address) -> Outcome {
    let Value::ServerError(error) = &answer else { return Outcome::Answered(answer) };
    match error.kind() {
        Some(ServerErrorKind::Moved) => match named(error.details(), asked) {
            Some(address) => Outcome::Elsewhere(Target::Named(address)),
            None => Outcome::Later(failure::of_answer(error)),
        },
        Some(ServerErrorKind::Ask) => match named(error.details(), asked) {
            Some(address) => Outcome::Elsewhere(Target::Asking(address)),
            None => Outcome::Later(failure::of_answer(error)),
        },
        Some(
            ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::NoScript,
        ) => Outcome::Later(failure::of_answer(error)),
        _ => Outcome::Answered(answer),
    }
}

/// The server of `<slot> <host>:<port>`; without a host, the one that was asked. A name that the server does not
/// know itself (`?`) leads nowhere: the layout tells the address.
fn named(details: Option<&str>, asked: &Address) -> Option<Address> {
    let (_, place) = details?.split_once(' ')?;
    let (host, port) = place.trim().rsplit_once(':').filter(|(host, _)| *host != "?")?;
    let host = if host.is_empty() { &asked.host } else { host };
    Some(Address { host: host.to_owned(), port: port.parse().ok()? })
}

#[cfg(test)]
mod tests;
