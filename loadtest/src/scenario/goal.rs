//! Goals: numbers of the result that are held against a limit, or against the same number elsewhere.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TargetName;

/// A number to reach. It is reported as reached or not, and fails a run only with `--strict`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Goal {
    /// The goal in words.
    pub(crate) say: String,
    /// Where the number stands, see [`Place`].
    pub(crate) value: String,
    /// The number that it is divided by, for a ratio.
    pub(crate) over: Option<String>,
    pub(crate) at_most: Option<f64>,
    pub(crate) at_least: Option<f64>,
}

/// Where a number of the result stands: `[target@]part[/step]:path`, the path being that of the JSON result of
/// the part or step. Without a target it is `sluice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) target: TargetName,
    pub(crate) part: String,
    pub(crate) step: Option<String>,
    pub(crate) path: Vec<String>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} names no number; write [target@]part[/step]:path");
        let (place, path) = text.split_once(':').ok_or_else(fault)?;
        let (target, place) = place.split_once('@').unwrap_or(("sluice", place));
        let target = <TargetName as clap::ValueEnum>::from_str(target, false)
            .map_err(|_| format!("{text:?}: there is no target {target:?}"))?;
        let (part, step) =
            place.split_once('/').map_or((place, None), |(part, step)| (part, Some(step.to_owned())));
        if part.is_empty() || path.is_empty() {
            return Err(fault());
        }
        Ok(Self { target, part: part.to_owned(), step, path: path.split('.').map(str::to_owned).collect() })
    }
}
