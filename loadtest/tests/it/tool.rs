//! Runs the built binary on a small scenario.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a run left behind.
pub(crate) struct Outcome {
    /// Whether it ended with exit code 0.
    pub(crate) passed: bool,
    /// The result file.
    pub(crate) json: Value,
    /// Standard output.
    pub(crate) table: String,
}

impl Outcome {
    /// A figure of the first target's first part's first step.
    pub(crate) fn figure(&self, path: &str) -> u64 {
        let step = "/targets/0/parts/0/steps/0";
        self.json
            .pointer(&format!("{step}/{path}"))
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{path}: {}", self.json))
    }
}

/// A scenario of one part with these streams and this much published.
pub(crate) fn scenario(prefill: &str, streams: &str, per_second: u32) -> String {
    format!(
        "name = 'small'\nabout = 'A test.'\ntargets = ['floor', 'floor-passes', 'nchan']\ndeadline_s = 60\n\
         rest_s = 0.05\nwarmup_streams = 5\nsettle_s = 3\n\
         [[parts]]\nname = 'p'\nprefill = [{prefill}]\nstreams = [{streams}]\n\
         steps = [{{ name = 's', seconds = 1, publish = [{{ topic = 'all', per_second = {per_second} }}] }}]\n"
    )
}

/// Runs `scenario` against `target`, the floor breaking its word as `plant` says.
pub(crate) fn run(scenario: &str, target: &str, plant: Option<&str>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (file, json) = (folder.path().join("small.toml"), folder.path().join("results/small.json"));
    std::fs::write(&file, scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice-loadtest"));
    command.arg("run").arg(&file).args(["--target", target]).arg("--json").arg(&json);
    if let Some(plant) = plant {
        command.env("LOADTEST_FLOOR_PLANT", plant);
    }
    let output = command.output().unwrap();
    let json =
        read_json(&json).unwrap_or_else(|| panic!("no result: {}", String::from_utf8_lossy(&output.stderr)));
    Outcome { passed: output.status.success(), json, table: String::from_utf8(output.stdout).unwrap() }
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
