//! Layers, errors and rendering.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use sluice_runtime::config::{Config, ConfigErrors, Layers, LogFormat, OnLag, Origins, Role};
use sluice_wire::Topic;
use tempfile::NamedTempFile;

pub(crate) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

pub(crate) fn layers(file: Option<&Path>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Layers {
    Layers {
        file: file.map(Path::to_owned),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
    }
}

fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let file = file(text);
    Config::load(Role::Gateway, &layers(Some(file.path()), environment, flags))
}

fn lines(errors: &ConfigErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::load(Role::Gateway, &Layers::default()).unwrap();
    assert_eq!(config.listen.addr, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.publisher.addr, "0.0.0.0:8081".parse().unwrap());
    assert_eq!(config.ops.addr, "0.0.0.0:8082".parse().unwrap());
    assert_eq!(config.redis.url.expose(), "redis://127.0.0.1:6379");
    assert_eq!(config.redis.prefix, "sluice");
    assert_eq!(config.topics.retention.events_max, Some(10_000));
    assert_eq!(config.topics.retention.age_max, Some(Duration::from_secs(24 * 3_600)));
    assert_eq!(config.topics.retention.idle_expiry, None);
    assert_eq!(config.topics.event_bytes_max, 256 << 10);
    assert_eq!((config.topics.window_events_max, config.topics.window_bytes_max), (1_024, 1 << 20));
    assert_eq!((config.topics.windows_bytes_max, config.streams.catch_up_bytes_max), (64 << 20, 64 << 20));
    assert_eq!(config.streams.heartbeat, Duration::from_secs(15));
    assert_eq!((config.streams.retry, config.streams.retry_jitter_percent), (Duration::from_secs(2), 50));
    assert_eq!(
        (config.streams.max_age, config.streams.on_lag),
        (Some(Duration::from_secs(3_600)), OnLag::CatchUp)
    );
    assert_eq!(config.limits.accept_per_second, 5_000);
    assert_eq!(config.drain.delay, Duration::from_secs(5));
    assert_eq!(config.drain.window, Duration::from_secs(20));
    assert_eq!(config.auth.anonymous.subscribe, []);
    assert_eq!(config.cors.origins, Origins::Listed(Vec::new()));
    assert_eq!(config.telemetry.log_format, LogFormat::Text);

    let dev = Config::load(Role::Dev, &Layers::default()).unwrap();
    assert_eq!(dev.listen.addr, "127.0.0.1:8080".parse().unwrap());
    assert!(dev.redis.url.is_memory());
    assert_eq!(dev.auth.anonymous.publish[0].as_str(), "**");
}

#[test]
fn each_layer_overrides_the_one_below() {
    let text = "[redis]\nprefix = 'file'\npool_size = 3\n[streams]\nheartbeat_ms = 1000\n";
    let environment = [("SLUICE_REDIS__PREFIX", "variable"), ("SLUICE_STREAMS__HEARTBEAT_MS", "2000")];
    let config = load(text, &environment, &[("streams.heartbeat_ms", "3000")]).unwrap();
    assert_eq!(config.redis.pool_size, 3);
    assert_eq!(config.redis.prefix, "variable");
    assert_eq!(config.streams.heartbeat, Duration::from_secs(3));
}

#[test]
fn variables_have_the_type_of_their_key() {
    let environment = [
        ("SLUICE_REDIS__PREFIX", "12345"),
        ("SLUICE_STREAMS__PIN_CPUS", "true"),
        ("SLUICE_TOPICS__EVENT_BYTES_MAX", "64KiB"),
        ("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", "public/**, news/*"),
        ("SLUICE_CORS__ORIGINS", r#"["https://a.example", "http://localhost:3000"]"#),
        ("SLUICE_TOPICS__RULES", "[{ pattern = 'chat/**', retention_events_max = 5 }]"),
    ];
    let config = load("", &environment, &[]).unwrap();
    assert_eq!(config.redis.prefix, "12345");
    assert!(config.streams.pin_cpus);
    assert_eq!(config.topics.event_bytes_max, 65_536);
    let patterns: Vec<&str> =
        config.auth.anonymous.subscribe.iter().map(sluice_wire::TopicPattern::as_str).collect();
    assert_eq!(patterns, ["public/**", "news/*"]);
    let origins = vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()];
    assert_eq!(config.cors.origins, Origins::Listed(origins));
    assert_eq!(config.topics.rules[0].retention.events_max, Some(5));
}

#[test]
fn variables_of_others_are_ignored() {
    let environment = [
        ("SLUICE_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("SLUICE_PORT", "tcp://x"),
        ("OTHER__KEY", "1"),
        ("SLUICE", ""),
    ];
    assert_eq!(load("", &environment, &[]).unwrap(), load("", &[], &[]).unwrap());
}

#[test]
fn an_unknown_key_says_what_it_may_have_meant() {
    let text = "[redis]\npol_size = 4\nheartbeat_ms = 5\n[kafka]\nbrokers = ['x']\n";
    let errors =
        load(text, &[("SLUICE_STREAM__HEARTBEAT_MS", "1")], &[("auth.anonymus.subscribe", "a")]).unwrap_err();
    let text = errors.to_string();
    for expected in [
        "redis.pol_size (file ",
        "did you mean redis.pool_size?",
        "redis.heartbeat_ms (file ",
        "stream.heartbeat_ms (environment variable SLUICE_STREAM__HEARTBEAT_MS): there is no such key; did you mean \
         streams.heartbeat_ms?",
        "auth.anonymus.subscribe (flag): there is no such key; did you mean auth.anonymous.subscribe?",
        "): there is no such key; `sluice config` prints all",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    assert_eq!(errors.iter().count(), 5, "{text}");
}

#[test]
fn a_quoted_dotted_name_is_not_silently_ignored() {
    let errors = load("'redis.prefix' = 'x'\n", &[], &[]).unwrap_err();
    assert!(errors.to_string().contains("redis.prefix is one quoted name: "), "{errors}");
}

#[test]
fn all_errors_are_told_at_once_with_their_sources() {
    let text = "[streams]\nheartbeat_ms = 'soon'\non_lag = 'drop'\n[topics]\nwindow_bytes_max = '1KiB'\n\
                rules = [{ retention_events_max = 5 }]\n";
    let environment = [("SLUICE_LISTEN__ADDR", "localhost"), ("SLUICE_REDIS__READ_FROM", "replica")];
    let flags = [
        ("auth.anonymous.publish", "a,b*"),
        ("telemetry.log_level", "inof"),
        ("ops.unready_on_redis_loss", "2"),
    ];
    let errors = load(text, &environment, &flags).unwrap_err();
    let lines = lines(&errors);
    for (key, source, right) in [
        ("listen.addr = \"localhost\"", "(environment variable SLUICE_LISTEN__ADDR)", "address:port"),
        ("redis.read_from = \"replica\"", "SLUICE_REDIS__READ_FROM", "not built yet; must be \"primary\""),
        ("streams.heartbeat_ms = \"soon\"", "(file ", "a whole number from 100 to 600000"),
        ("streams.on_lag = \"drop\"", "(file ", "\"catch-up\" or \"disconnect\""),
        ("topics.window_bytes_max = 1024", "(file ", "topics.event_bytes_max, 262144"),
        ("topics.rules = ", "(file ", "entry 1: it has no pattern"),
        ("auth.anonymous.publish = \"a,b*\"", "(flag)", "segment \"b*\""),
        ("telemetry.log_level = \"inof\"", "(flag)", "\"inof\" is no level"),
        ("ops.unready_on_redis_loss = \"2\"", "(flag)", "true or false"),
    ] {
        let found =
            lines.iter().any(|line| line.starts_with(key) && line.contains(source) && line.contains(right));
        assert!(found, "{key} / {source} / {right} is not in:\n{errors}");
    }
    assert_eq!(lines.len(), 9, "{errors}");
    assert!(errors.to_string().starts_with("9 errors in the configuration:\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_one_error_among_others() {
    let missing = layers(Some(Path::new("/nowhere/sluice.toml")), &[("SLUICE_REDIS__X", "1")], &[]);
    let errors = Config::load(Role::Gateway, &missing).unwrap_err();
    assert_eq!(errors.iter().count(), 2);
    assert!(errors.to_string().contains("--config (file /nowhere/sluice.toml): cannot be read"), "{errors}");

    let errors = load("[redis]\nurl = 'a'\nurl = 'b'\n", &[], &[]).unwrap_err();
    assert!(errors.to_string().contains("line 3: duplicate key"), "{errors}");
    let yaml = layers(Some(Path::new("sluice.yaml")), &[], &[]);
    assert!(Config::load(Role::Gateway, &yaml).unwrap_err().to_string().contains("must be TOML"));
    let errors = load("redis = 5", &[], &[]).unwrap_err();
    assert!(errors.to_string().contains("redis is a section: give its keys (file "), "{errors}");
}

#[test]
fn rules_between_keys_are_checked() {
    let flags = [
        ("cors.origins", "*"),
        ("cors.credentials", "true"),
        ("redis.probe_deadline_ms", "500"),
        ("ops.addr", "0.0.0.0:8080"),
        ("topics.windows_bytes_max", "512KiB"),
    ];
    let errors = load("", &[], &flags).unwrap_err();
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["topics.windows_bytes_max", "redis.probe_deadline_ms", "cors.credentials", "ops.addr"]);
}

#[test]
fn whatever_holds_events_has_room_for_one() {
    let flags = [("topics.event_bytes_max", "2MiB"), ("streams.catch_up_bytes_max", "1MiB")];
    let errors = load("", &[], &flags).unwrap_err();
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    let streams = ["streams.ring_bytes_max", "streams.catch_up_bytes_max"];
    let publisher = ["publisher.body_bytes_max", "publisher.line_bytes_max"];
    assert_eq!(keys, [&["topics.window_bytes_max"][..], &streams, &publisher].concat());
}

#[test]
fn the_first_rule_that_matches_decides_what_a_topic_keeps() {
    let text = "[topics]\nretention_events_max = 7\n[[topics.rules]]\npattern = 'chat/*'\nidle_expiry_s = 60\n\
                [[topics.rules]]\npattern = 'chat/**'\nretention_events_max = 0\nretention_age_max_s = 0\n";
    let topics = load(text, &[], &[]).unwrap().topics;
    let retention = |name: &str| topics.retention_of(&Topic::parse(name).unwrap());
    assert_eq!(retention("chat/1").idle_expiry, Some(Duration::from_secs(60)));
    assert_eq!(retention("chat/1").events_max, Some(7));
    assert_eq!((retention("chat/1/x").events_max, retention("chat/1/x").age_max), (None, None));
    assert_eq!(retention("orders"), topics.retention);
}

#[test]
fn what_is_rendered_reads_back_as_the_same() {
    let text =
        "[topics]\nrules = [{ pattern = 'a/**', retention_age_max_s = 60 }]\n[cors]\norigins = ['*']\n";
    let config = load(text, &[("SLUICE_STREAMS__RETRY_MS", "100")], &[("redis.prefix", "p")]).unwrap();
    let rendered = config.render();
    assert!(
        rendered.contains("retry_ms = 100 # environment variable SLUICE_STREAMS__RETRY_MS\n"),
        "{rendered}"
    );
    assert!(rendered.contains("prefix = \"p\" # flag\n"), "{rendered}");
    assert!(rendered.contains("heartbeat_ms = 15000\n"), "{rendered}");
    let again = load(&rendered, &[], &[]).unwrap();
    assert_eq!(again.topics, config.topics);
    assert_eq!((again.streams, again.redis, again.cors), (config.streams, config.redis, config.cors));
    assert_eq!(load(Config::DEFAULTS, &[], &[]).unwrap().streams, load("", &[], &[]).unwrap().streams);
}

#[test]
fn a_mistake_is_one_line_whatever_its_key_and_value_hold() {
    let text = "\"a\\nb\\u001b[31m\" = 1\n[redis]\nprefix = \"x\\ny {z}\"\n";
    let said = load(text, &[], &[]).unwrap_err().to_string();
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("a b [31m") && !said.contains('\u{1b}'), "{said}");
}
