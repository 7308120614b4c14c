//! What must be true of processes when nothing happens: they live, none is busy, and memory is back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::cpu::Sample;
use super::sequence::QUIET;
use super::stage::Stage;
use crate::deadline::eventually;

/// A busy look is not held against a node that is still at work on the sequence, so there are several.
const QUIET_WITHIN: Duration = Duration::from_secs(20);
/// Time of processors in a quiet second, of one node. Far above what heartbeats and probes take in a debug build.
const CPU_MAX: Duration = Duration::from_millis(350);
/// Commands that all nodes together send to Redis in a quiet second: probes and tail checks.
const COMMANDS_MAX: u64 = 400;
/// What a node may have allocated beyond its first quiet moment: windows and rings that fill up.
const GROWTH_MAX: f64 = 24.0 * 1_048_576.0;
/// Metrics are read while nodes go on.
const COUNTED_WITHIN: Duration = Duration::from_secs(5);
const ALLOCATED: &str = "sluice_allocator_allocated_bytes";

/// Bytes that each gateway had allocated when it was quiet first.
pub(super) type Baseline = [f64; 2];

/// Waits for a quiet second, and returns the most time of processors that a node took in it.
pub(super) async fn well(stage: &mut Stage, baseline: &mut Option<Baseline>) -> Result<Duration> {
    alive(stage)?;
    let mut busiest = Duration::ZERO;
    let quiet = eventually("a quiet second", QUIET_WITHIN, async || {
        busiest = quiet_second(stage).await?;
        Ok::<_, anyhow::Error>(())
    });
    quiet.await.context("a node is busy when nothing happens")?;
    alive(stage)?;
    memory_is_back(stage, baseline).await?;
    Ok(busiest)
}

/// Each process runs, and none has panicked.
fn alive(stage: &mut Stage) -> Result<()> {
    for (name, node) in stage.nodes() {
        if let Some(status) = node.exited()? {
            anyhow::bail!("the {name} ended: {status}");
        }
        let log = node.log();
        let panic = log.lines().find(|line| line.contains("panicked at"));
        ensure!(panic.is_none(), "the {name} panicked: {}", panic.unwrap_or_default());
    }
    Ok(())
}

async fn quiet_second(stage: &mut Stage) -> Result<Duration> {
    let mut before = Vec::new();
    for (_, node) in stage.nodes() {
        before.push(Sample::take(node.pid()?)?);
    }
    let commands = stage.commands_run().await?;
    sleep(QUIET).await;
    let commands = stage.commands_run().await?.saturating_sub(commands);
    let mut busiest = Duration::ZERO;
    for ((name, node), before) in stage.nodes().into_iter().zip(&before) {
        let load = Sample::take(node.pid()?)?.since(before);
        ensure!(load.busy.is_empty(), "threads of the {name} never sleep: {}", load.busy.join("; "));
        ensure!(load.ran <= CPU_MAX, "the {name} took {:?} of a quiet second", load.ran);
        busiest = busiest.max(load.ran);
    }
    ensure!(commands <= COMMANDS_MAX, "nodes sent {commands} commands to Redis in a quiet second");
    Ok(busiest)
}

async fn memory_is_back(stage: &mut Stage, baseline: &mut Option<Baseline>) -> Result<()> {
    let mut now = [0.0; 2];
    for (now, (name, node)) in now.iter_mut().zip(stage.nodes()) {
        *now = node.metric(ALLOCATED).await?.with_context(|| format!("the {name} has no {ALLOCATED}"))?;
    }
    let first = baseline.get_or_insert(now);
    for (now, first) in now.iter().zip(first) {
        let grown = now - *first;
        ensure!(
            grown <= GROWTH_MAX,
            "a gateway allocates {:.1} MiB more than at its first quiet moment",
            grown / 1_048_576.0
        );
    }
    Ok(())
}

/// What each gateway has counted as left out.
pub(super) async fn left_out(stage: &Stage) -> Result<[f64; 2]> {
    let mut counts = [0.0; 2];
    for (count, node) in counts.iter_mut().zip([&stage.plain, &stage.secure]) {
        *count = node.metric("sluice_foreign_messages_total").await?.unwrap_or(0.0);
    }
    Ok(counts)
}

/// Waits until each gateway has counted so many more than `before`.
pub(super) async fn counts_left_out(stage: &Stage, before: [f64; 2], more: u64) -> Result<()> {
    eventually("each gateway to count what it leaves out", COUNTED_WITHIN, async || {
        let now = left_out(stage).await?;
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let counted = now.iter().zip(before).all(|(now, before)| now - before >= more as f64);
        ensure!(counted, "{more} were written, {before:?} were counted before and {now:?} are now");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// The ends of the nodes' logs.
pub(super) fn last_words(stage: &mut Stage) -> Vec<String> {
    const LINES: usize = 12;
    let end = |log: String| {
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n      ")
    };
    stage.nodes().map(|(name, node)| format!("log of the {name}:\n      {}", end(node.log()))).to_vec()
}
