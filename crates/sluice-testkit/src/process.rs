//! A child process that cannot outlive its owner.
//!
//! Dropping kills with SIGKILL and reaps, so that a port or directory is free again when the drop returns.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::eventually;

pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    pub(crate) fn spawn(name: &str, command: &mut Command) -> std::io::Result<Self> {
        Ok(Self { name: name.to_owned(), child: command.spawn()? })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if the process has ended.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking whether {} has ended", self.name))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("sending {signal:?} to {} (pid {})", self.name, self.pid()))
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.child.wait().with_context(|| format!("reaping {}", self.name))?;
        Ok(())
    }

    /// SIGTERM; waits for the end and returns how it ended.
    pub(crate) async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        let what = format!("the end of {} (pid {}) after SIGTERM", self.name, self.pid());
        // A failure to ask is not "not yet": it ends the wait and is told by the second `?`.
        eventually(&what, within, async || self.exited().transpose()).await?
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell; a process that has ended already is the usual "failure".
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit code, or the shell's `128 + signal` where a signal ended the process.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
