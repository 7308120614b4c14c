use super::*;

const SMALL: &str = r#"
name = "small"
about = "A test."
deadline_s = 60

[[parts]]
name = "main"
prefill = [{ topic = "all", events = 10 }]
streams = [
    { name = "many", count = 3, topics = ["own/{stream}", "all"] },
    { name = "lone", count = 2, topics = ["all"], resume_back = 4 },
]
steps = [{ name = "flow", seconds = 1, publish = [{ topic = "own/{stream}", per_second = 5 }] }]

[[goals]]
say = "quick"
value = "main/flow:latency.all.p99_ms"
at_most = 5
"#;

/// The whole chain of what is wrong, as a user sees it.
fn fault(text: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    format!("{:#}", Scenario::parse(text, &overrides).expect_err("it is refused"))
}

#[test]
fn a_small_scenario_has_the_defaults() {
    let scenario = Scenario::parse(SMALL, &[]).unwrap();
    assert_eq!((scenario.nodes, scenario.payload_bytes, scenario.targets[0]), (1, 64, TargetName::Sluice));
    assert_eq!(scenario.parts[0].stream_count(), 5);
    assert_eq!(scenario.parts[0].prefilled("all"), 10);
}

#[test]
fn topics_are_numbered_once_for_all_groups() {
    let part = Scenario::parse(SMALL, &[]).unwrap().parts.remove(0);
    let topics = Topics::of(&part);
    assert_eq!(topics.indexes("own/{stream}"), Some(0..3));
    assert_eq!((topics.name(2).as_deref(), topics.name(3).as_deref()), (Some("own/2"), Some("all")));
    assert_eq!(topics.name(4), None);
    let of = |group: usize, number| {
        topics.of_stream(&part.streams[group], number).map(|(index, _)| index).collect()
    };
    let (first, second): (Vec<u32>, Vec<u32>) = (of(0, 1), of(1, 1));
    assert_eq!((first, second), (vec![1, 3], vec![3]));
}

#[test]
fn overrides_reach_every_value() {
    let overrides =
        ["nodes=3", "parts.main.streams.lone.count=7", "parts.0.streams.0.count=8", "publish_via=http"];
    let scenario = Scenario::parse(SMALL, &overrides.map(str::to_owned)).unwrap();
    assert_eq!((scenario.nodes, scenario.publish_via), (3, Via::Http));
    assert_eq!(scenario.parts[0].stream_count(), 15);
}

#[test]
fn unknown_keys_are_errors_with_their_name() {
    assert!(fault(&SMALL.replace("deadline_s", "dedline_s"), &[]).contains("dedline_s"));
    assert!(fault(&SMALL.replace("seconds", "secnds"), &[]).contains("secnds"));
    assert!(fault(SMALL, &["node=3"]).contains("node"));
    assert!(fault(SMALL, &["parts.other.name=x"]).contains("there is no \"other\""));
    assert!(fault(SMALL, &["nodes"]).contains("write key=value"));
    assert!(fault(SMALL, &["nodes=many"]).contains("after the overrides"));
}

#[test]
fn all_faults_are_told_at_once() {
    let text = SMALL
        .replace("deadline_s = 60", "deadline_s = 0\npayload_bytes = 3")
        .replace("per_second = 5", "per_second = -1")
        .replace("resume_back = 4", "resume_back = 10");
    let fault = fault(&text, &[]);
    for part in ["deadline_s", "payload_bytes", "per_second", "resume_back 10"] {
        assert!(fault.contains(part), "{part} in {fault}");
    }
}

#[test]
fn names_must_exist() {
    assert!(
        fault(&SMALL.replace("topic = \"all\"", "topic = \"al\""), &[])
            .contains("no stream has the topic \"al\"")
    );
    assert!(fault(&SMALL.replace("main/flow:", "main/flaw:"), &[]).contains("no such part or step"));
    assert!(fault(&SMALL.replace("main/flow:", "ngin@main:"), &[]).contains("no target \"ngin\""));
    assert!(fault(&SMALL.replace("[\"all\"]", "[\"a b\"]"), &[]).contains("' '"));
}

#[test]
fn places_are_read() {
    let place: Place = "nchan@main/flow:latency.all.p99_ms".parse().unwrap();
    assert_eq!((place.target, place.step.as_deref()), (TargetName::Nchan, Some("flow")));
    assert_eq!(place.path, ["latency", "all", "p99_ms"]);
    assert_eq!("main:x".parse::<Place>().unwrap().step, None);
    assert!("main".parse::<Place>().is_err());
}

#[test]
fn all_scenarios_of_the_repository_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::load(&path, &[]).unwrap_or_else(|fault| panic!("{fault:#}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(scenario.name.as_str()));
        seen += 1;
    }
    assert!(seen >= 8, "{seen} scenarios");
}
