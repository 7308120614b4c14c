//! Certificates, keys and secrets that are files: whether they can be served with, when they end, and who else may read
//! or write them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use sluice_gateway::{Tls, TlsSettings};
use sluice_runtime::config::{Config, IssuerKeys};

use super::finding::Finding;

const DAY_S: i64 = 86_400;
/// Below which somebody should have renewed a certificate; the alert says the same.
const DAYS_LEFT: i64 = 7;

/// A file that the configuration names.
struct Named<'a> {
    /// Where it is named.
    key: String,
    path: &'a Path,
    /// Whoever reads it can be somebody else.
    secret: bool,
}

/// Looks at the files; nothing of what they hold is told.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tls = &config.tls;
    if let Some((cert, key)) = tls.cert_file.as_deref().zip(tls.key_file.as_deref()) {
        findings.push(certificate("files.certificate", "[tls]", cert, key, tls.client_ca_file.as_deref()));
    }
    let redis = &config.redis;
    if let Some((cert, key)) = redis.tls_cert_file.as_deref().zip(redis.tls_key_file.as_deref()) {
        findings.push(certificate("files.redis-certificate", "redis.tls", cert, key, None));
    }
    let named = named(config);
    findings.extend(named.iter().filter_map(unreadable));
    let modes: Vec<(&Named<'_>, u32)> = named
        .iter()
        .filter_map(|file| Some((file, fs::metadata(file.path).ok()?.permissions().mode())))
        .collect();
    let before = findings.len();
    findings.extend(modes.iter().filter_map(|(file, mode)| too_open(file, *mode)));
    if findings.len() == before && !modes.is_empty() {
        findings.push(Finding::ok("files.modes", "nobody else may read a secret or write a key"));
    }
    findings
}

fn named(config: &Config) -> Vec<Named<'_>> {
    let (tls, redis) = (&config.tls, &config.redis);
    let certificates = [
        ("tls.cert_file", &tls.cert_file, false),
        ("tls.key_file", &tls.key_file, true),
        ("tls.client_ca_file", &tls.client_ca_file, false),
        ("redis.tls.ca_file", &redis.tls_ca_file, false),
        ("redis.tls.cert_file", &redis.tls_cert_file, false),
        ("redis.tls.key_file", &redis.tls_key_file, true),
        ("redis.username_file", &redis.login.username_file, false),
        ("redis.password_file", &redis.login.password_file, true),
        ("redis.sentinel.username_file", &redis.sentinel_login.username_file, false),
        ("redis.sentinel.password_file", &redis.sentinel_login.password_file, true),
    ];
    let certificates = certificates.into_iter().filter_map(|(key, path, secret)| {
        Some(Named { key: key.to_owned(), path: path.as_deref()?, secret })
    });
    let issuers = config.auth.issuers.iter().filter_map(|issuer| {
        let name = issuer.issuer.as_deref().unwrap_or("without a name");
        match &issuer.keys {
            IssuerKeys::SecretFile(path) => {
                Some(Named { key: format!("secret_file of issuer {name}"), path, secret: true })
            }
            IssuerKeys::KeyFile(path) => {
                Some(Named { key: format!("key_file of issuer {name}"), path, secret: false })
            }
            IssuerKeys::Secret(_) | IssuerKeys::Key(_) | IssuerKeys::JwksUrl(_) => None,
        }
    });
    certificates.chain(issuers).collect()
}

fn unreadable(file: &Named<'_>) -> Option<Finding> {
    let error = File::open(file.path).err()?;
    Some(
        Finding::error(
            "files.readable",
            format!("{}, {}, cannot be read: {error}", file.key, file.path.display()),
        )
        .why("a process that cannot read it ends at its start")
        .fix("run doctor as the user that Sluice runs as; give the file to that user's group: chmod 0640, chgrp"),
    )
}

/// Whether a pair can be served with, and for how long.
fn certificate(
    id: &'static str,
    of: &str,
    cert: &Path,
    key: &Path,
    client_ca_file: Option<&Path>,
) -> Finding {
    let settings = TlsSettings {
        cert_file: cert.to_owned(),
        key_file: key.to_owned(),
        client_ca_file: client_ca_file.map(Path::to_owned),
        reload_interval: Duration::from_secs(10),
    };
    match Tls::load(settings) {
        Ok(tls) => {
            let now_s = i64::try_from(sluice_broker::now_ms() / 1_000).unwrap_or(i64::MAX);
            time_left(id, of, tls.status().expires_at_s, now_s)
        }
        Err(error) => Finding::error(id, format!("the certificate of {of} cannot be used: {error}"))
            .why("a process ends at its start with it, and one that runs keeps the last that was good")
            .fix("openssl x509 -pubkey -noout -in CERT and openssl pkey -pubout -in KEY must print the same"),
    }
}

fn time_left(id: &'static str, of: &str, expires_at_s: i64, now_s: i64) -> Finding {
    let left_s = expires_at_s.saturating_sub(now_s);
    let fix = "renew it: new files in the place of the old ones are taken without a restart";
    if left_s <= 0 {
        let days = left_s.saturating_neg() / DAY_S;
        let seen = format!("the certificate of {of} ended {days} days ago");
        return Finding::error(id, seen).why("whoever checks it refuses to connect").fix(fix);
    }
    let seen = format!("the certificate of {of} ends in {} days", left_s / DAY_S);
    if left_s >= DAYS_LEFT * DAY_S {
        return Finding::ok(id, seen);
    }
    Finding::warning(id, seen).why("whatever renews it should have done so by now").fix(fix)
}

/// Rights of those who are neither the file's owner nor of its group.
fn too_open(file: &Named<'_>, mode: u32) -> Option<Finding> {
    let (readable, writable) = (mode & 0o004 != 0, mode & 0o002 != 0);
    let (may, why) = match (writable, readable && file.secret) {
        (true, _) => ("write", "whoever writes it chooses whom this process trusts, or who it is"),
        (false, true) => ("read", "whoever reads it can be this server, or sign tokens for anybody"),
        (false, false) => return None,
    };
    let path = file.path.display();
    let seen =
        format!("every user of the machine may {may} {}, {path} (mode {:04o})", file.key, mode & 0o7777);
    Some(Finding::warning("files.modes", seen).why(why).fix(format!("chmod o= {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_certificate_is_told_a_week_before_it_ends() {
        for (days, level) in [(-1, Level::Error), (0, Level::Error), (6, Level::Warning), (7, Level::Ok)] {
            let found = time_left("files.certificate", "[tls]", 1_000_000_000 + days * DAY_S, 1_000_000_000);
            assert_eq!(found.level, level, "{days} days: {}", found.seen);
        }
    }

    #[test]
    fn secrets_are_for_few_and_keys_are_written_by_few() {
        let file = |secret| Named { key: "tls.key_file".to_owned(), path: Path::new("/k"), secret };
        for (mode, secret, open) in [
            (0o100_600, true, false),
            (0o100_640, true, false),
            (0o100_644, true, true),
            (0o100_644, false, false),
            (0o100_662, true, true),
            (0o100_666, false, true),
        ] {
            assert_eq!(too_open(&file(secret), mode).is_some(), open, "{mode:o}");
        }
    }
}
