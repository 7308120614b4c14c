//! Results as a table for people.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::results::{PartResult, Results, StepResult};

const MIB: f64 = 1024.0 * 1024.0;

/// Prints results that were written to files before.
pub(crate) fn print_files(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        print(&serde_json::from_slice(&text).with_context(|| format!("{} is no result", path.display()))?)?;
    }
    Ok(())
}

/// Prints one result.
pub(crate) fn print(results: &Results) -> Result<()> {
    std::io::stdout().lock().write_all(render(results)?.as_bytes())?;
    Ok(())
}

fn render(results: &Results) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "\n{}: {}", results.scenario, results.about)?;
    writeln!(text, "{} cores, Linux {}\n", results.machine.cores, results.machine.kernel)?;
    if all_parts(results).next().is_some() {
        writeln!(text, "{}\n\n{}", memory(results).trim_end(), steps(results).trim_end())?;
    }
    for target in &results.targets {
        if let Some(error) = &target.error {
            writeln!(text, "\n{} was given up: {error}", target.target)?;
        }
    }
    for (place, step) in all_steps(results).filter(|(_, step)| !step.failures.is_empty()) {
        writeln!(text, "\n{place}: streams failed: {:?}", step.failures)?;
    }
    text += &goals(results);
    writeln!(text, "\n{}", verdict(results))?;
    Ok(text)
}

fn verdict(results: &Results) -> &'static str {
    if !all_steps(results).all(|(_, step)| step.is_clean()) {
        "CONTINUITY IS BROKEN"
    } else if results.is_clean() {
        "continuity holds"
    } else {
        "NOT EVERY TARGET WAS MEASURED"
    }
}

fn memory(results: &Results) -> String {
    let mut rows = vec![row(&[
        "memory",
        "target",
        "streams",
        "open s",
        "idle MiB",
        "open MiB",
        "B/stream",
        "kernel B/stream",
    ])];
    for (target, part) in all_parts(results) {
        let memory = &part.memory;
        rows.push(vec![
            part.part.clone(),
            target.to_owned(),
            part.streams.to_string(),
            format!("{:.1}", part.open_s),
            mib(memory.idle_bytes),
            mib(memory.open_bytes),
            optional(memory.bytes_per_stream, 0),
            optional(memory.kernel_bytes_per_stream, 0),
        ]);
    }
    align(&rows)
}

fn steps(results: &Results) -> String {
    let mut rows = vec![row(&[
        "step",
        "events/s",
        "deliveries/s",
        "us CPU/del",
        "p50 ms",
        "p99 ms",
        "max ms",
        "late ms",
        "growth MiB",
        "log reads",
        "lost",
        "rep",
        "reord",
        "gaps",
        "not open",
    ])];
    for (place, step) in all_steps(results) {
        for (index, (group, latency)) in step.latency.iter().enumerate() {
            if index > 0 && step.latency.len() == 2 {
                break;
            }
            let head = index == 0;
            let mut cells = if head { figures(&place, step) } else { row(&[""; 15]) };
            if !head {
                cells[0] = format!("  {group}");
            }
            for (cell, ms) in cells[4..7].iter_mut().zip([latency.p50_ms, latency.p99_ms, latency.max_ms]) {
                *cell = format!("{ms:.2}");
            }
            rows.push(cells);
        }
        if step.latency.is_empty() {
            rows.push(figures(&place, step));
        }
    }
    align(&rows)
}

/// A step's row, its latencies left open.
fn figures(place: &str, step: &StepResult) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^53")]
    let growth = step.server.rss_growth_bytes as f64 / MIB;
    let continuity = &step.continuity;
    vec![
        place.to_owned(),
        format!("{:.1}", step.published_per_s),
        format!("{:.0}", step.deliveries_per_s),
        optional(step.server.cpu_us_per_delivery, 2),
        String::new(),
        String::new(),
        String::new(),
        format!("{:.2}", step.publish_late_p99_ms),
        format!("{growth:.2}"),
        step.redis.log_reads.to_string(),
        continuity.lost.to_string(),
        continuity.repeated.to_string(),
        continuity.reordered.to_string(),
        continuity.gaps.to_string(),
        (step.waiting + step.streams.failed).to_string(),
    ]
}

fn goals(results: &Results) -> String {
    if results.goals.is_empty() {
        return String::new();
    }
    let mut rows = vec![row(&["goal", "measured", "limit", ""])];
    for goal in &results.goals {
        let limit = goal
            .at_most
            .map(|limit| format!("<= {limit}"))
            .or(goal.at_least.map(|limit| format!(">= {limit}")));
        let verdict =
            goal.reached.map_or("not measured", |reached| if reached { "reached" } else { "MISSED" });
        rows.push(vec![
            goal.say.clone(),
            optional(goal.value, 2),
            limit.unwrap_or_default(),
            verdict.to_owned(),
        ]);
    }
    format!("\n{}", align(&rows))
}

fn all_parts(results: &Results) -> impl Iterator<Item = (&str, &PartResult)> {
    results.targets.iter().flat_map(|target| target.parts.iter().map(|part| (target.target.as_str(), part)))
}

fn all_steps(results: &Results) -> impl Iterator<Item = (String, &StepResult)> {
    all_parts(results).flat_map(|(target, part)| {
        part.steps.iter().map(move |step| (format!("{target} {}/{}", part.part, step.step), step))
    })
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^53")]
fn mib(bytes: Option<u64>) -> String {
    optional(bytes.map(|bytes| bytes as f64 / MIB), 2)
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Columns as wide as their widest cell; the first to the left, the others to the right.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(
                |(column, (cell, width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let text = align(&[row(&["a", "long head", "x"]), row(&["longer", "1", ""])]);
        assert_eq!(text, "a       long head  x\nlonger          1\n");
    }
}
