//! What is wrong with a configuration beyond its own keys: files that are not there or hold something else, keys and
//! secrets that cannot be used. Found by doing what a process does at its start, without a connection.

use std::path::Path;
use std::sync::Arc;

use sluice_access::{Access, Fetch};
use sluice_broker::{BrokerUrlError, SettingsFault, settings_faults};
use sluice_gateway::TlsError;
use sluice_runtime::config::{Config, ConfigError, IssuerKeys};
use sluice_runtime::telemetry::Traces;

/// All of it, in the order of the sections.
pub(crate) fn faults(config: &Config) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    if let Err(error) = super::tls(&config.tls) {
        faults.push(of_tls(config, &error));
    }
    match super::broker(config) {
        Ok(settings) => {
            faults.extend(settings_faults(&settings).iter().map(|fault| of_broker(config, fault)));
        }
        Err(error) => faults.push(of_url(config, &error)),
    }
    faults.extend(of_issuers(config));
    if let Err(error) = Traces::check(&config.telemetry) {
        faults.push(config.fault(error.key(), error.to_string()));
    }
    faults
}

fn of_broker(config: &Config, fault: &SettingsFault) -> ConfigError {
    config.fault(fault.key, fault.problem.clone())
}

fn of_url(config: &Config, error: &BrokerUrlError) -> ConfigError {
    config.fault("redis.url", error.to_string())
}

fn of_tls(config: &Config, error: &TlsError) -> ConfigError {
    let key_of = |file: &Path| {
        let named = |key: &Option<std::path::PathBuf>| key.as_deref() == Some(file);
        if named(&config.tls.key_file) {
            "tls.key_file"
        } else if named(&config.tls.client_ca_file) {
            "tls.client_ca_file"
        } else {
            "tls.cert_file"
        }
    };
    match error {
        TlsError::Unreadable(file, why) => config.fault(key_of(file), unreadable(why)),
        TlsError::Empty(file, what) => config.fault(key_of(file), format!("holds no {what} in PEM form")),
        TlsError::Pair(_, _, rustls::Error::InconsistentKeys(_)) => {
            config.fault("tls.key_file", "is not the key of the certificate in tls.cert_file")
        }
        TlsError::Pair(_, _, why) => {
            config.fault("tls.key_file", format!("cannot be used with tls.cert_file: {why}"))
        }
        TlsError::Authorities(_, why) => {
            config.fault("tls.client_ca_file", format!("names no usable authority: {why}"))
        }
        TlsError::Certificate(_) => {
            config.fault("tls.cert_file", "begins with a certificate that cannot be read")
        }
        TlsError::Tickets(_) => config.fault("tls.cert_file", error.to_string()),
    }
}

/// Each issuer for itself, so that all faults are found.
fn of_issuers(config: &Config) -> Vec<ConfigError> {
    let settings = match super::access::settings(config) {
        Ok(settings) => settings,
        Err(error) => return vec![config.fault("auth.issuers", format!("{error:#}"))],
    };
    // Keys are only read here, never fetched.
    let fetch: Fetch = Arc::new(|_| Box::pin(async { Err("not fetched".to_owned()) }));
    let flat = config.auth.flat_issuer;
    let mut faults = Vec::new();
    for (at, issuer) in settings.issuers.iter().enumerate() {
        let mut alone = settings.clone();
        alone.issuers = vec![issuer.clone()];
        alone.api_keys.clear();
        let Err((_, error)) = Access::new(alone, &fetch) else { continue };
        let configured = config.auth.issuers.get(at);
        let key = configured.map_or("issuers", |issuer| key_of(&issuer.keys));
        let name = configured.and_then(|issuer| issuer.issuer.clone());
        if flat && at == 0 {
            faults.push(config.fault(&format!("auth.jwt.{key}"), error.to_string()));
        } else {
            let entry = at + 1 - usize::from(flat);
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            let problem = format!("entry {entry}{name}: {key}: {error}");
            faults.push(ConfigError { value: None, ..config.fault("auth.issuers", problem) });
        }
    }
    faults
}

fn key_of(keys: &IssuerKeys) -> &'static str {
    match keys {
        IssuerKeys::Secret(_) => "secret",
        IssuerKeys::SecretFile(_) => "secret_file",
        IssuerKeys::Key(_) => "key",
        IssuerKeys::KeyFile(_) => "key_file",
        IssuerKeys::JwksUrl(_) => "jwks_url",
    }
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this process may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory, not a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
