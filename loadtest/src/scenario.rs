//! A scenario: what is opened, published and measured, read from TOML. Everything that bounds a run stands in
//! it, so that a scenario that was accepted ends in a known time with a known number of streams and events.

mod check;
mod goal;
mod overrides;
mod topics;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) use goal::{Goal, Place};
pub(crate) use topics::Topics;

/// A whole scenario file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// One sentence: what is measured and why.
    pub(crate) about: String,
    /// What `--target all` runs; the first is the default.
    #[serde(default = "defaults::targets")]
    pub(crate) targets: Vec<TargetName>,
    /// When the run of one target is given up, whatever it is doing.
    pub(crate) deadline_s: u64,
    /// Gateway processes.
    #[serde(default = "defaults::one")]
    pub(crate) nodes: u32,
    /// Generator processes.
    #[serde(default = "defaults::one")]
    pub(crate) generators: u32,
    /// How events reach the gateway.
    #[serde(default)]
    pub(crate) publish_via: Via,
    /// Streams opened a second, by all generators together.
    #[serde(default = "defaults::open_per_second")]
    pub(crate) open_per_second: f64,
    /// The gateway's own admission rate.
    #[serde(default = "defaults::accept_per_second")]
    pub(crate) accept_per_second: u32,
    /// Bytes of an event's data.
    #[serde(default = "defaults::payload_bytes")]
    pub(crate) payload_bytes: usize,
    /// Streams opened and closed before the idle memory is read, so that one-time costs are not charged to streams.
    #[serde(default = "defaults::warmup_streams")]
    pub(crate) warmup_streams: u32,
    /// Rest before memory is read.
    #[serde(default = "defaults::rest_s")]
    pub(crate) rest_s: f64,
    /// How long the last events may take to arrive after the last publish of a step.
    #[serde(default = "defaults::settle_s")]
    pub(crate) settle_s: f64,
    /// More environment for the gateway (`SLUICE_..`).
    #[serde(default)]
    pub(crate) gateway_env: BTreeMap<String, String>,
    pub(crate) parts: Vec<Part>,
    #[serde(default)]
    pub(crate) goals: Vec<Goal>,
}

/// What a scenario can be run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TargetName {
    /// `sluice gateway` behind a Redis.
    Sluice,
    /// nginx with the nchan module.
    Nchan,
    /// A bare poller that does one `send` for each stream and event.
    Floor,
    /// The same poller doing one `send` for all that a stream lacks.
    FloorPasses,
}

impl TargetName {
    /// The name as it is written in scenarios and results.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sluice => "sluice",
            Self::Nchan => "nchan",
            Self::Floor => "floor",
            Self::FloorPasses => "floor-passes",
        }
    }
}

/// The way from the tool to a gateway's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Via {
    /// The publish script, straight to Redis.
    #[default]
    Redis,
    /// `POST` to the publisher service.
    Http,
}

/// A set of streams and what happens to them; every part gets servers of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) streams: Vec<Group>,
    /// Published before any stream is opened.
    #[serde(default)]
    pub(crate) prefill: Vec<Prefill>,
    pub(crate) steps: Vec<Step>,
}

/// Streams that are alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) count: u32,
    /// The set of topics of each; `{stream}` stands for the stream's number in the group.
    pub(crate) topics: Vec<String>,
    /// Before the first step, or while it publishes.
    #[serde(default)]
    pub(crate) opens: Opens,
    /// Connect with a `Last-Event-ID` that many events back in the prefilled topic.
    pub(crate) resume_back: Option<u64>,
    /// Close and reopen that many streams a second, each with its own cursor, while a step publishes.
    pub(crate) churn_per_second: Option<f64>,
    /// Read that many bytes a second and no more; such streams are not waited for.
    pub(crate) read_bytes_per_second: Option<u32>,
    /// The one generator that holds all of them, from 0, so that what others have to read does not delay them.
    pub(crate) held_by: Option<u32>,
}

/// When a group's streams connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Opens {
    /// Before the first step; its time is not measured.
    #[default]
    Before,
    /// While the first step publishes.
    During,
}

/// Events that are in a topic before anybody listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prefill {
    pub(crate) topic: String,
    pub(crate) events: u64,
}

/// A span of publishing that is measured by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// None leaves the streams idle.
    #[serde(default)]
    pub(crate) publish: Vec<Publish>,
    /// Hold back while that many events a stream are on their way (mean over the streams): the offered rate is
    /// then a ceiling and the step measures what the server can take.
    pub(crate) ahead_max: Option<u64>,
}

/// A steady flow of events.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    /// One of the groups' topics as it is written there; with `{stream}`, each of its topics in turn.
    pub(crate) topic: String,
    pub(crate) per_second: f64,
}

mod defaults {
    use super::TargetName;

    pub(super) fn targets() -> Vec<TargetName> {
        vec![TargetName::Sluice]
    }
    pub(super) fn one() -> u32 {
        1
    }
    pub(super) fn open_per_second() -> f64 {
        4000.0
    }
    pub(super) fn accept_per_second() -> u32 {
        5000
    }
    pub(super) fn payload_bytes() -> usize {
        64
    }
    pub(super) fn warmup_streams() -> u32 {
        100
    }
    pub(super) fn rest_s() -> f64 {
        2.0
    }
    pub(super) fn settle_s() -> f64 {
        20.0
    }
}

impl Scenario {
    /// Reads a scenario file, with `key=value` overrides laid over it.
    pub(crate) fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, overrides).with_context(|| format!("{} is no valid scenario", path.display()))
    }

    /// Reads a scenario from its text.
    pub(crate) fn parse(text: &str, overrides: &[String]) -> Result<Self> {
        let mut scenario: Self = toml::from_str(text)?;
        if !overrides.is_empty() {
            let mut value = toml::Value::Table(toml::from_str(text)?);
            for assignment in overrides {
                overrides::apply(&mut value, assignment)?;
            }
            scenario = value.try_into().context("after the overrides")?;
        }
        let faults = check::faults(&scenario);
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        Ok(scenario)
    }
}

impl Part {
    /// All streams of the part.
    pub(crate) fn stream_count(&self) -> u32 {
        self.streams.iter().map(|group| group.count).sum()
    }

    /// How many events of the topic (as written in the scenario) are there before any stream.
    pub(crate) fn prefilled(&self, topic: &str) -> u64 {
        self.prefill.iter().filter(|prefill| prefill.topic == topic).map(|prefill| prefill.events).sum()
    }
}

#[cfg(test)]
mod tests;
