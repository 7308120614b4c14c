//! What TOML alone cannot say about a scenario: names that must exist, and bounds. All faults are found at once.

use std::collections::HashSet;

use sluice_wire::Topic;

use super::topics::STREAM;
use super::{Part, Place, Scenario, Topics};
use crate::payload;

/// Bounds of any run.
const STREAMS_MAX: u32 = 200_000;
const PER_SECOND_MAX: f64 = 100_000.0;
const DEADLINE_S_MAX: u64 = 3600;

/// Everything that is wrong with `scenario`, a sentence each.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let mut faults = Vec::new();
    let mut require = |holds: bool, fault: &dyn Fn() -> String| {
        if !holds {
            faults.push(fault());
        }
    };
    require((1..=DEADLINE_S_MAX).contains(&scenario.deadline_s), &|| {
        format!("deadline_s must be 1 to {DEADLINE_S_MAX}")
    });
    require(scenario.nodes >= 1 && scenario.generators >= 1, &|| {
        "nodes and generators must be at least 1".into()
    });
    require(is_rate(scenario.open_per_second), &|| {
        format!("open_per_second must be above 0, at most {PER_SECOND_MAX}")
    });
    require(scenario.payload_bytes >= payload::SIZE_MIN, &|| {
        format!("payload_bytes must be at least {}", payload::SIZE_MIN)
    });
    require(scenario.rest_s >= 0.0 && scenario.settle_s >= 0.0, &|| {
        "rest_s and settle_s must not be negative".into()
    });
    require(!scenario.targets.is_empty(), &|| "targets must not be empty".into());
    require(!scenario.parts.is_empty(), &|| "a scenario needs at least one part".into());
    for (index, part) in scenario.parts.iter().enumerate() {
        require(is_first(&scenario.parts, index, |part| &part.name), &|| {
            format!("there are two parts {:?}", part.name)
        });
        require(
            part.streams.iter().all(|group| group.held_by.is_none_or(|by| by < scenario.generators)),
            &|| format!("part {:?}: held_by must be below the number of generators", part.name),
        );
        part_faults(part, &mut |holds, fault| {
            require(holds, &|| format!("part {:?}: {}", part.name, fault()));
        });
    }
    for goal in &scenario.goals {
        for place in std::iter::once(&goal.value).chain(&goal.over) {
            match place.parse::<Place>() {
                Ok(place) => require(exists(scenario, &place), &|| {
                    format!("goal {:?}: there is no such part or step as in {:?}", goal.say, goal.value)
                }),
                Err(fault) => require(false, &|| format!("goal {:?}: {fault}", goal.say)),
            }
        }
        require(goal.at_most.is_some() != goal.at_least.is_some(), &|| {
            format!("goal {:?} needs either at_most or at_least", goal.say)
        });
    }
    faults
}

type Require<'a> = &'a mut dyn FnMut(bool, &dyn Fn() -> String);

fn part_faults(part: &Part, require: Require<'_>) {
    let count: u64 = part.streams.iter().map(|group| u64::from(group.count)).sum();
    require((1..=u64::from(STREAMS_MAX)).contains(&count), &|| {
        format!("{count} streams; allowed are 1 to {STREAMS_MAX}")
    });
    require(!part.steps.is_empty(), &|| "it needs at least one step".into());
    let mut own = HashSet::new();
    for (index, group) in part.streams.iter().enumerate() {
        let about = |fault: &str| format!("streams {:?}: {fault}", group.name);
        require(is_first(&part.streams, index, |group| &group.name), &|| {
            about("there are two groups of this name")
        });
        require(!group.topics.is_empty(), &|| about("topics must not be empty"));
        for topic in &group.topics {
            if let Err(fault) = Topic::parse(&topic.replace(STREAM, "0")) {
                require(false, &|| about(&format!("topic {topic:?}: {fault}")));
            }
            let once = !topic.contains(STREAM) || own.insert(topic);
            require(once, &|| about(&format!("{topic:?} is in another group already")));
        }
        require(group.churn_per_second.is_none_or(is_rate), &|| about("churn_per_second is out of range"));
        require(group.read_bytes_per_second != Some(0), &|| {
            about("read_bytes_per_second must be at least 1")
        });
        if let Some(back) = group.resume_back {
            let single = group.topics.len() == 1 && !group.topics[0].contains(STREAM);
            require(single, &|| about("resume_back needs exactly one topic, the same for all"));
            let there = group.topics.first().is_some_and(|topic| part.prefilled(topic) > back);
            require(there, &|| about(&format!("resume_back {back} needs more prefilled events than that")));
        }
    }
    let topics = Topics::of(part);
    let mut known = |topic: &str| {
        require(topics.indexes(topic).is_some(), &|| {
            format!("no stream has the topic {topic:?} that is published to")
        });
    };
    part.prefill.iter().for_each(|prefill| known(&prefill.topic));
    part.steps.iter().flat_map(|step| &step.publish).for_each(|publish| known(&publish.topic));
    for (index, step) in part.steps.iter().enumerate() {
        let about = |fault: &str| format!("step {:?}: {fault}", step.name);
        require(is_first(&part.steps, index, |step| &step.name), &|| {
            about("there are two steps of this name")
        });
        require(step.seconds > 0.0, &|| about("seconds must be above 0"));
        require(step.ahead_max != Some(0), &|| about("ahead_max must be at least 1"));
        require(step.publish.iter().all(|publish| is_rate(publish.per_second)), &|| {
            about("per_second is out of range")
        });
    }
}

fn is_rate(per_second: f64) -> bool {
    per_second > 0.0 && per_second <= PER_SECOND_MAX
}

fn is_first<T>(items: &[T], index: usize, name: impl Fn(&T) -> &str) -> bool {
    !items[..index].iter().any(|earlier| name(earlier) == name(&items[index]))
}

fn exists(scenario: &Scenario, place: &Place) -> bool {
    scenario.parts.iter().any(|part| {
        part.name == place.part
            && place.step.as_ref().is_none_or(|step| part.steps.iter().any(|other| other.name == *step))
    })
}
