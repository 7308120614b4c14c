//! The generators of a run, as one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::deadline::Deadline;
use crate::generator::protocol::{Answer, Command, Report, Status};
use crate::targets::process::{Process, own};

/// One generator process.
struct Worker {
    process: Process,
    stdin: Option<ChildStdin>,
    answers: Receiver<Answer>,
}

/// All generators. Commands go to all, answers are gathered from all.
pub(super) struct Fleet {
    workers: Vec<Worker>,
    deadline: Deadline,
    /// Statuses that have come of those asked for without waiting; `None` when none was asked for.
    asked: Option<Vec<Status>>,
}

impl Fleet {
    /// Starts `count` generators.
    pub(super) fn start(count: u32, folder: &Path, deadline: Deadline) -> Result<Self> {
        let workers = (0..count).map(|index| Worker::start(index, folder)).collect::<Result<_>>()?;
        Ok(Self { workers, deadline, asked: None })
    }

    /// The generators' processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.process.pid()).collect()
    }

    /// Gives each generator its own command, by its index.
    pub(super) fn tell_each(&mut self, command: impl Fn(u32) -> Command) -> Result<Vec<Answer>> {
        self.finish_asking()?;
        for (index, worker) in (0..).zip(&mut self.workers) {
            worker.tell(&command(index))?;
        }
        let deadline = self.deadline;
        self.workers.iter_mut().map(|worker| worker.answer(deadline)).collect()
    }

    /// Gives all generators the same command.
    pub(super) fn tell(&mut self, command: &Command) -> Result<Vec<Answer>> {
        self.tell_each(|_| command.clone())
    }

    /// How far all are together.
    pub(super) fn status(&mut self) -> Result<Status> {
        let answers = self.tell(&Command::Status)?;
        Ok(sum(answers
            .iter()
            .filter_map(|answer| if let Answer::Status(status) = answer { Some(status) } else { None })))
    }

    /// What the step brought, by generator.
    pub(super) fn reports(&mut self) -> Result<Vec<Report>> {
        let answers = self.tell(&Command::Report)?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| if let Answer::Report(report) = answer { Some(*report) } else { None })
            .collect())
    }

    /// The status once all have answered an earlier call; asks anew otherwise. Never waits.
    pub(super) fn poll_status(&mut self) -> Result<Option<Status>> {
        let Some(mut statuses) = self.asked.take() else {
            self.workers.iter_mut().try_for_each(|worker| worker.tell(&Command::Status))?;
            self.asked = Some(Vec::new());
            return Ok(None);
        };
        while let Some(worker) = self.workers.get_mut(statuses.len()) {
            match worker.answers.try_recv() {
                Ok(Answer::Status(status)) => statuses.push(status),
                Ok(_) => bail!("a generator answers something else than its status"),
                Err(TryRecvError::Disconnected) => return Err(worker.gone()),
                Err(TryRecvError::Empty) => {
                    self.asked = Some(statuses);
                    return Ok(None);
                }
            }
        }
        Ok(Some(sum(statuses.iter())))
    }

    /// Takes the answers that are still on their way.
    fn finish_asking(&mut self) -> Result<()> {
        let Some(statuses) = self.asked.take() else { return Ok(()) };
        let deadline = self.deadline;
        self.workers[statuses.len()..].iter_mut().try_for_each(|worker| worker.answer(deadline).map(drop))
    }
}

impl Worker {
    fn start(index: u32, folder: &Path) -> Result<Self> {
        let mut process = Process::spawn(&format!("generator-{index}"), own(&["generator"])?, folder, true)?;
        let (stdin, stdout) = process.pipes()?;
        Ok(Self { process, stdin: Some(stdin), answers: listen(stdout) })
    }

    fn tell(&mut self, command: &Command) -> Result<()> {
        let mut text = serde_json::to_vec(command)?;
        text.push(b'\n');
        let stdin = self.stdin.as_mut().context("the generator has no input")?;
        stdin.write_all(&text).map_err(|_| self.gone())
    }

    fn answer(&mut self, deadline: Deadline) -> Result<Answer> {
        match self.answers.recv_timeout(deadline.left()) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => {
                deadline.check()?;
                bail!("{} does not answer", self.process.name())
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
        }
    }

    /// Why it is gone.
    fn gone(&mut self) -> anyhow::Error {
        let ended = crate::clock::wait_until(Duration::from_secs(1), Duration::from_millis(5), || {
            self.process.check_alive().is_err()
        });
        let name = self.process.name().to_owned();
        let why = if ended { self.process.check_alive().err() } else { None };
        why.unwrap_or_else(|| anyhow::anyhow!("{name} broke off"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input is what ends a generator.
        drop(self.stdin.take());
    }
}

/// Reads answers as they come, so that a generator never waits for the tool.
fn listen(stdout: ChildStdout) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(answer) = serde_json::from_str(&line) else { break };
            if sender.send(answer).is_err() {
                break;
            }
        }
    });
    receiver
}

fn sum<'a>(statuses: impl Iterator<Item = &'a Status>) -> Status {
    statuses.fold(Status::default(), |sum, one| Status {
        at_ns: sum.at_ns.max(one.at_ns),
        open: sum.open + one.open,
        waiting: sum.waiting + one.waiting,
        failed: sum.failed + one.failed,
        received: sum.received + one.received,
        behind: sum.behind + one.behind,
    })
}
