//! Goals against results.

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::results::{GoalResult, Results};
use crate::scenario::{Goal, Place};

/// Finds every goal's number in the results.
pub(super) fn evaluate(goals: &[Goal], results: &Results) -> Result<Vec<GoalResult>> {
    let results = serde_json::to_value(results)?;
    goals.iter().map(|goal| one(goal, &results)).collect()
}

fn one(goal: &Goal, results: &Value) -> Result<GoalResult> {
    let number = |text: &str| -> Result<Option<f64>> {
        Ok(find(&text.parse().map_err(|fault: String| anyhow!(fault))?, results))
    };
    let mut value = number(&goal.value)?;
    if let Some(over) = &goal.over {
        value = value.zip(number(over)?).filter(|(_, over)| *over != 0.0).map(|(value, over)| value / over);
    }
    let reached = value.map(|value| {
        goal.at_most.is_none_or(|limit| value <= limit) && goal.at_least.is_none_or(|limit| value >= limit)
    });
    Ok(GoalResult { say: goal.say.clone(), value, at_most: goal.at_most, at_least: goal.at_least, reached })
}

fn find(place: &Place, results: &Value) -> Option<f64> {
    let mut value = item(results.get("targets")?, "target", place.target.as_str())?;
    value = item(value.get("parts")?, "part", &place.part)?;
    if let Some(step) = &place.step {
        value = item(value.get("steps")?, "step", step)?;
    }
    place.path.iter().try_fold(value, |value, key| value.get(key))?.as_f64()
}

/// The element of an array that has this name.
fn item<'a>(array: &'a Value, key: &str, name: &str) -> Option<&'a Value> {
    array.as_array()?.iter().find(|item| item.get(key).and_then(Value::as_str) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, over: Option<&str>, at_most: f64) -> GoalResult {
        let results = serde_json::json!({ "targets": [
            { "target": "sluice", "parts": [{ "part": "p", "steps": [{ "step": "s", "a": { "b": 6.0 } }] }] },
            { "target": "nchan", "parts": [{ "part": "p", "c": 2, "steps": [] }] },
        ]});
        let goal = Goal {
            say: "g".into(),
            value: value.into(),
            over: over.map(str::to_owned),
            at_most: Some(at_most),
            at_least: None,
        };
        one(&goal, &results).unwrap()
    }

    #[test]
    fn numbers_and_ratios_are_found() {
        assert_eq!(
            (check("p/s:a.b", None, 6.0).value, check("p/s:a.b", None, 6.0).reached),
            (Some(6.0), Some(true))
        );
        let ratio = check("p/s:a.b", Some("nchan@p:c"), 2.9);
        assert_eq!((ratio.value, ratio.reached), (Some(3.0), Some(false)));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        assert_eq!(check("floor@p/s:a.b", None, 1.0).reached, None);
        assert_eq!(check("p/s:a.c", None, 1.0).reached, None);
    }
}
