//! One step: publish on schedule, then wait until every stream has everything, then count.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::flow::Flow;
use super::part::Bench;
use crate::checker::Tally;
use crate::clock::{SECOND, monotonic_ns, pause};
use crate::generator::histogram;
use crate::generator::protocol::{Command, Counts, Report, Status};
use crate::measure::cpu_ms;
use crate::publish::Redis;
use crate::results::{Continuity, Latency, RedisCost, ServerCost, StepResult, each};
use crate::scenario::{Group, Opens, Step};

/// How often memory is read.
const SAMPLE_EVERY_NS: u64 = SECOND / 4;
/// How often the tool asks how far the streams are, while it holds back.
const ASK_EVERY_NS: u64 = SECOND / 100;
/// The longest the publisher sleeps, for the sake of the samples.
const SLEEP_NS_MAX: u64 = SECOND / 100;
/// How often the tool looks whether all has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the processes have used, and Redis has done, up to a moment.
struct Meter {
    server_cpu_ms: u64,
    redis_cpu_ms: u64,
    generator_cpu_ms: u64,
    commands: BTreeMap<String, u64>,
}

/// Runs the step. With the first, the groups that open while it publishes begin to connect.
pub(super) fn run(bench: &mut Bench<'_>, step: &Step, first: bool) -> Result<StepResult> {
    bench.fleet.tell(&Command::Last { last: Vec::new() })?;
    bench.fleet.tell(&Command::Begin)?;
    let published_before: u64 = bench.publisher.numbers().iter().sum();
    let rss_before_bytes = bench.server_bytes().unwrap_or(0);
    let before = Meter::read(bench)?;
    let start = bench.fleet.status()?;
    if first {
        bench.fleet.tell(&Command::Open { opens: Opens::During })?;
    }

    let began = monotonic_ns();
    let mut flow = Flow::new(&step.publish, &bench.topics, began)?;
    let rss_published = publish(bench, step, &mut flow, began)?;
    let seconds_published = seconds(monotonic_ns() - began);
    let end = bench.fleet.status()?;
    let (status, settle_s, rss_settled) = settle(bench)?;

    let used = Meter::read(bench)?.since(&before);
    let reports = bench.fleet.reports()?;
    let published = bench.publisher.numbers().iter().sum::<u64>() - published_before;
    let (tally, counts, failures, behind) = add_up(&reports);
    let rss_max_bytes = rss_published.max(rss_settled).max(rss_before_bytes);
    Ok(StepResult {
        step: step.name.clone(),
        seconds: seconds_published,
        offered_per_s: step.publish.iter().map(|publish| publish.per_second).sum(),
        published,
        published_per_s: rate(published, seconds_published),
        withheld: flow.withheld(),
        publish_late_p99_ms: flow.late_p99_ms(),
        deliveries: tally.delivered,
        deliveries_per_s: rate(end.received - start.received, seconds(end.at_ns.saturating_sub(start.at_ns))),
        settle_s,
        waiting: status.waiting,
        continuity: Continuity {
            lost: tally.lost + behind,
            repeated: tally.repeated,
            reordered: tally.reordered,
            foreign: tally.foreign,
            gaps: counts.gaps,
        },
        streams: counts,
        failures,
        latency: latencies(&bench.setting.part.streams, &reports),
        server: ServerCost {
            cpu_ms: used.server_cpu_ms,
            cpu_us_per_delivery: each(used.server_cpu_ms * 1000, tally.delivered)
                .filter(|_| !bench.target.server_pids().is_empty()),
            rss_before_bytes,
            rss_max_bytes,
            rss_growth_bytes: rss_max_bytes - rss_before_bytes,
        },
        redis: used.redis(),
        generator_cpu_ms: used.generator_cpu_ms,
    })
}

/// Publishes for the step's seconds; returns the most memory that the servers were seen with.
fn publish(bench: &mut Bench<'_>, step: &Step, flow: &mut Flow, began: u64) -> Result<u64> {
    let end = began + nanoseconds(step.seconds);
    let streams = u64::from(bench.setting.part.stream_count()).max(1);
    let start = bench.fleet.status()?.received;
    let (mut rss_max, mut sample_at, mut ask_at) = (0, began, began);
    let (mut sent, mut owed_by, mut received) = (0_u64, BTreeMap::new(), start);
    let mut due = Vec::new();
    loop {
        let now = monotonic_ns();
        if now >= end {
            return Ok(rss_max);
        }
        if now >= sample_at {
            rss_max = rss_max.max(bench.server_bytes().unwrap_or(0));
            sample_at = now + SAMPLE_EVERY_NS;
            bench.check()?;
        }
        if step.ahead_max.is_some()
            && now >= ask_at
            && let Some(status) = bench.fleet.poll_status()?
        {
            received = status.received;
            ask_at = now + ASK_EVERY_NS;
        }
        let ahead = sent.saturating_sub(received - start) / streams;
        if step.ahead_max.is_some_and(|max| ahead >= max) {
            flow.withhold_due(now);
        } else {
            flow.take_due(now, &mut due);
            for topic in &due {
                sent += *owed_by.entry(*topic).or_insert_with(|| listeners(bench, *topic));
            }
            if !due.is_empty() {
                bench.publisher.publish(&due)?;
                continue;
            }
        }
        let wait = flow.next_ns(now).min(end).saturating_sub(monotonic_ns()).min(SLEEP_NS_MAX);
        pause(Duration::from_nanos(wait));
    }
}

/// How many streams have the topic.
fn listeners(bench: &Bench<'_>, topic: u32) -> u64 {
    let groups = bench.setting.part.streams.iter().filter(|group| group.read_bytes_per_second.is_none());
    let of_group = |group: &Group| {
        let texts = group
            .topics
            .iter()
            .filter(|text| bench.topics.indexes(text).is_some_and(|range| range.contains(&topic)));
        texts.map(|text| if bench.topics.is_shared(text) { u64::from(group.count) } else { 1 }).sum::<u64>()
    };
    groups.map(of_group).sum()
}

/// Waits until every stream has everything, at most the scenario's `settle_s`.
fn settle(bench: &mut Bench<'_>) -> Result<(Status, f64, u64)> {
    let last = bench.publisher.numbers().to_vec();
    bench.fleet.tell(&Command::Last { last })?;
    let began = monotonic_ns();
    let limit = nanoseconds(bench.setting.scenario.settle_s);
    let mut rss_max = 0;
    loop {
        let status = bench.fleet.status()?;
        rss_max = rss_max.max(bench.server_bytes().unwrap_or(0));
        let waited = monotonic_ns() - began;
        if (status.behind == 0 && status.waiting == 0) || waited > limit {
            return Ok((status, seconds(waited), rss_max));
        }
        bench.check()?;
        pause(LOOK_EVERY);
    }
}

impl Meter {
    fn read(bench: &Bench<'_>) -> Result<Self> {
        let commands = match bench.target.redis {
            Some(redis) => Redis::connect(redis)?.command_counts()?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            server_cpu_ms: cpu_ms(&bench.target.server_pids()),
            redis_cpu_ms: cpu_ms(&bench.target.redis_pids()),
            generator_cpu_ms: cpu_ms(&bench.fleet.pids()),
            commands,
        })
    }

    fn since(mut self, earlier: &Self) -> Self {
        for (command, calls) in &mut self.commands {
            *calls -= earlier.commands.get(command).copied().unwrap_or(0);
        }
        self.commands.retain(|_, calls| *calls > 0);
        Self {
            server_cpu_ms: self.server_cpu_ms - earlier.server_cpu_ms,
            redis_cpu_ms: self.redis_cpu_ms - earlier.redis_cpu_ms,
            generator_cpu_ms: self.generator_cpu_ms - earlier.generator_cpu_ms,
            commands: self.commands,
        }
    }

    fn redis(&self) -> RedisCost {
        let reads = ["xrange", "xrevrange", "xread"].iter().filter_map(|command| self.commands.get(*command));
        RedisCost { cpu_ms: self.redis_cpu_ms, log_reads: reads.sum(), commands: self.commands.clone() }
    }
}

type Sums = (Tally, Counts, BTreeMap<String, u64>, u64);

fn add_up(reports: &[Report]) -> Sums {
    let mut sums = Sums::default();
    for report in reports {
        sums.0.add(&report.tally);
        sums.1.add(report.counts);
        for (why, count) in &report.failures {
            *sums.2.entry(why.clone()).or_default() += count;
        }
        sums.3 += report.behind;
    }
    sums
}

/// Quantiles for each group that received something, and for all.
fn latencies(groups: &[Group], reports: &[Report]) -> BTreeMap<String, Latency> {
    let mut all = histogram();
    let mut latencies = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        let mut of_group: Histogram<u64> = histogram();
        for (us, count) in
            reports.iter().filter_map(|report| report.groups.get(index)).flat_map(|group| &group.latencies_us)
        {
            of_group.saturating_record_n(*us, *count);
            all.saturating_record_n(*us, *count);
        }
        if !of_group.is_empty() {
            latencies.insert(group.name.clone(), Latency::of(&of_group));
        }
    }
    if !all.is_empty() {
        latencies.insert("all".to_owned(), Latency::of(&all));
    }
    latencies
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a run lasts far less than 2^53 ns")]
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND as f64
}

fn nanoseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
