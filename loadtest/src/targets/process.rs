//! A child process that ends with the run, whatever ends the run: it is stopped on drop, and the kernel ends it
//! when the tool is killed. The latter takes a step between (`bound`), which asks for that signal and then
//! becomes the program.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use crate::clock::wait_until;

/// How long a process may take to end before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How much of a log is told when its process failed.
const LAST_WORDS_BYTES: usize = 2000;

/// A running child.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says goes to `<name>.log` in `folder`, except standard output where the command
    /// has a place for it.
    pub(crate) fn spawn(name: &str, mut command: Command, folder: &Path, piped: bool) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stderr(file.try_clone()?);
        if piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(file);
        }
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The name of the process.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its pipes, where it was spawned with them and they were not taken before.
    pub(crate) fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout)> {
        let pipes = self.child.stdin.take().zip(self.child.stdout.take());
        pipes.with_context(|| format!("{} has no pipes", self.name))
    }

    /// Gives back the input, so that the process sees it end when it is dropped and not before.
    pub(crate) fn with_stdin(mut self, stdin: ChildStdin) -> Self {
        self.child.stdin = Some(stdin);
        self
    }

    /// An error, with the end of its log, if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.last_words()),
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(LAST_WORDS_BYTES)..]).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended =
            wait_until(ENDS_WITHIN, Duration::from_millis(5), || !matches!(self.child.try_wait(), Ok(None)));
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A command for `program` that ends with this process.
pub(crate) fn bound(program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
    let mut command = own(&["bound", "--parent", &std::process::id().to_string()])?;
    command.arg("--").arg(program);
    Ok(command)
}

/// A command for this very program.
pub(crate) fn own(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's file")?);
    command.args(arguments);
    Ok(command)
}

/// Becomes `program`, to be ended when `parent` ends.
pub(crate) fn become_bound(parent: u32, program: &[String]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let alive = getppid().is_some_and(|pid| pid.as_raw_nonzero().get().cast_unsigned() == parent);
    ensure!(alive, "the tool that started this has ended");
    let (name, arguments) = program.split_first().context("there is no program to become")?;
    let fault = Command::new(name).args(arguments).exec();
    Err(fault).with_context(|| format!("cannot run {name}"))
}
