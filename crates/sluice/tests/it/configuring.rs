//! Configurations that cannot work: every verb that would run says the same, all at once, and ends with 64.

use std::process::Output;

use sluice_testkit::{Certificates, RedisServer};
use tokio::process::Command;
use tokio::time::timeout;

use crate::stage::{SLUICE, SOON, gateway};

async fn run(verb: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(SLUICE);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SLUICE_")) {
        command.env_remove(name);
    }
    command.args(verb).kill_on_drop(true);
    for (key, value) in settings {
        command.args(["--set", &format!("{key}={value}")]);
    }
    timeout(SOON, command.output()).await.expect("an end").unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_secrets_that_cannot_be_used_end_a_process_with_64() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path()).unwrap();
    let (junk, empty) = (directory.path().join("junk.pem"), directory.path().join("empty.pem"));
    std::fs::write(&junk, "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (junk, empty) = (text(&junk), text(&empty));
    let (cert, key) = (text(&certificates.server_cert_file()), text(&certificates.server_key_file()));
    let other_key = text(&certificates.client_key_file());
    let (tls, plain) = ("rediss://127.0.0.1:1", "redis://127.0.0.1:1");
    let cases: [(&[(&str, &str)], &str); 14] = [
        (&[("auth.jwt.secret", "short")], "auth.jwt.secret = \"***\" (flag): a secret has at least"),
        (
            &[("auth.jwt.secret_file", "/nowhere/s")],
            "auth.jwt.secret_file = \"/nowhere/s\" (flag): no such file",
        ),
        (&[("auth.jwt.secret_file", &empty)], "auth.jwt.secret_file"),
        (
            &[("auth.jwt.key_file", "/nowhere/k"), ("auth.jwt.algorithms", "RS256")],
            "auth.jwt.key_file = \"/nowhere/k\" (flag): no such file",
        ),
        (&[("auth.issuers", "[{ secret = 'short' }]")], "entry 1: secret: a secret has at least"),
        (
            &[("tls.cert_file", "/nowhere/c"), ("tls.key_file", &key)],
            "tls.cert_file = \"/nowhere/c\" (flag): no such file",
        ),
        (&[("tls.cert_file", &junk), ("tls.key_file", &key)], "tls.cert_file"),
        (&[("tls.cert_file", &cert), ("tls.key_file", &other_key)], "tls.key_file"),
        (
            &[("redis.url", tls), ("redis.tls.ca_file", "/nowhere/ca")],
            "redis.tls.ca_file = \"/nowhere/ca\" (flag): no such file",
        ),
        (&[("redis.url", tls), ("redis.tls.ca_file", &junk)], "redis.tls.ca_file"),
        (
            &[("redis.url", tls), ("redis.tls.cert_file", &cert), ("redis.tls.key_file", &other_key)],
            "redis.tls.key_file",
        ),
        (
            &[("redis.url", plain), ("redis.password_file", "/nowhere/p")],
            "redis.password_file = \"/nowhere/p\" (flag): no such file",
        ),
        (&[("redis.url", plain), ("redis.password_file", &empty)], "is empty"),
        (&[("redis.url", "")], "redis.url is empty; set it to redis://host:6379"),
    ];
    for (settings, part) in cases {
        for verb in [&["gateway"][..], &["publisher"], &["dev"], &["config"]] {
            let output = run(verb, settings).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(64), "{verb:?} {settings:?}: {said}");
            assert!(said.contains(part), "{verb:?} {settings:?}: {said}");
        }
    }
    // Whoever only checks what will run elsewhere has no such files.
    let elsewhere =
        run(&["config", "--skip-files"], &[("tls.cert_file", "/c"), ("tls.key_file", "/k")]).await;
    assert_eq!(elsewhere.status.code(), Some(0), "{}", said(&elsewhere));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_files_and_of_keys_are_told_together() {
    let settings = [
        ("auth.jwt.secret", "short"),
        ("tls.cert_file", "/nowhere/c"),
        ("tls.key_file", "/nowhere/k"),
        ("redis.password_file", "/nowhere/p"),
        ("streams.heartbeat_ms", "soon"),
        ("tls.cert", "x"),
    ];
    let output = run(&["gateway"], &settings).await;
    let told = said(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    for part in ["auth.jwt.secret", "tls.cert_file", "redis.password_file", "streams.heartbeat_ms"] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    assert!(told.contains("did you mean tls.cert_file?"), "{told}");
    // The same, for a reader of JSON.
    let json = run(&["gateway"], &[&settings[..], &[("telemetry.log_format", "json")]].concat()).await;
    let told = said(&json);
    assert_eq!(json.status.code(), Some(64), "{told}");
    assert!(told.lines().count() >= 5, "{told}");
    for line in told.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(line["level"], "ERROR", "{line}");
        assert!(
            line["message"].as_str().is_some_and(|text| text.starts_with("the configuration is wrong: ")),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_that_lacks_an_underscore_is_warned_of() {
    let redis = RedisServer::start().await.unwrap();
    let node = gateway(&redis.url()).env("SLUICE_REDIS_URL", "redis://10.0.0.9").spawn().await.unwrap();
    let log = node.log();
    let warned =
        "the environment variable SLUICE_REDIS_URL sets nothing; redis.url is set by SLUICE_REDIS__URL";
    assert!(log.contains(warned), "{log}");
    let output = Command::new(SLUICE)
        .args(["config", "gateway"])
        .env("SLUICE_TLS_CERT_FILE", "/x")
        // As Kubernetes makes them for a service.
        .env("SLUICE_PUBLISHER_SERVICE_HOST", "10.0.0.1")
        .env("SLUICE_PORT", "tcp://10.0.0.1:80")
        .output()
        .await
        .unwrap();
    let told = said(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("SLUICE_TLS__CERT_FILE")
            && !told.contains("SERVICE_HOST")
            && !told.contains("SLUICE_PORT")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_may_leave_the_host_out_or_name_this_machine() {
    for (given, shown) in
        [("localhost:8080", "127.0.0.1:8080"), (":8080", "0.0.0.0:8080"), ("[::1]:8080", "[::1]:8080")]
    {
        for key in ["listen.addr", "publisher.addr", "ops.addr"] {
            let port = if key == "listen.addr" { given.to_owned() } else { given.replace("8080", "8099") };
            let shown = if key == "listen.addr" { shown.to_owned() } else { shown.replace("8080", "8099") };
            let output = run(&["config", "gateway"], &[(key, &port)]).await;
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                printed.contains(&format!("addr = \"{shown}\"")),
                "{key}={port}: {printed}{}",
                said(&output)
            );
        }
    }
    for wrong in ["example.com:8080", "8080", ":", ":x", "localhost"] {
        let output = run(&["config", "gateway"], &[("listen.addr", wrong)]).await;
        assert_eq!(output.status.code(), Some(64), "{wrong}: {}", said(&output));
    }
}
