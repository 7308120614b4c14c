//! `[auth]` as access takes it.

use anyhow::{Context as _, anyhow};
use sluice_access::{
    Access, AccessSettings, Algorithm, ApiKeySettings, Fetch, Grants, IssuerSettings, JwksSettings,
    KeySource, SecretText,
};
use sluice_runtime::config::{self, Config, IssuerKeys, Origins};

/// Who is let in, with the keys that can be had at once.
pub(crate) fn access(config: &Config, fetch: &Fetch) -> anyhow::Result<Access> {
    let settings = settings(config)?;
    Access::new(settings, fetch).map_err(|(at, error)| {
        let issuer = config.auth.issuers.get(at).and_then(|issuer| issuer.issuer.clone());
        let name = issuer.unwrap_or_else(|| format!("number {}", at + 1));
        anyhow!("auth: the key of issuer {name} cannot be used: {error}")
    })
}

pub(super) fn settings(config: &Config) -> anyhow::Result<AccessSettings> {
    let auth = &config.auth;
    let api_keys = auth.api_keys.iter().map(api_key).collect::<anyhow::Result<_>>()?;
    Ok(AccessSettings {
        anonymous: Grants {
            subscribe: auth.anonymous.subscribe.clone(),
            publish: auth.anonymous.publish.clone(),
            revoke: false,
        },
        subject_subscribe: auth.subject.subscribe.clone(),
        subject_publish: auth.subject.publish.clone(),
        cookie: auth.cookie.clone(),
        cookie_origins: match &config.cors.origins {
            // A cookie is never for everybody.
            Origins::Any => Vec::new(),
            Origins::Listed(origins) => origins.clone(),
        },
        query_token: auth.query_token,
        leeway: auth.leeway,
        grants_claim: auth.grants_claim.clone(),
        scope_prefix: auth.scope_prefix.clone(),
        issuers: auth.issuers.iter().map(issuer).collect::<anyhow::Result<_>>()?,
        api_keys,
        jwks: JwksSettings {
            refresh: auth.jwks.refresh,
            unknown_key_interval: auth.jwks.unknown_key_interval,
            timeout: auth.jwks.timeout,
            bytes_max: auth.jwks.bytes_max,
        },
        await_revocations: !auth.issuers.is_empty() || !auth.api_keys.is_empty(),
        ..AccessSettings::default()
    })
}

fn issuer(configured: &config::Issuer) -> anyhow::Result<IssuerSettings> {
    let algorithm =
        |name: &&str| name.parse::<Algorithm>().with_context(|| format!("auth: algorithm {name}"));
    Ok(IssuerSettings {
        issuer: configured.issuer.clone(),
        audience: configured.audience.clone(),
        algorithms: configured.algorithms.iter().map(algorithm).collect::<anyhow::Result<_>>()?,
        kid: configured.kid.clone(),
        keys: match &configured.keys {
            IssuerKeys::Secret(secret) => KeySource::Secret(SecretText(secret.expose().to_owned())),
            IssuerKeys::SecretFile(file) => KeySource::SecretFile(file.clone()),
            IssuerKeys::Key(text) => KeySource::Public(text.clone()),
            IssuerKeys::KeyFile(file) => KeySource::PublicFile(file.clone()),
            IssuerKeys::JwksUrl(url) => KeySource::Jwks(url.clone()),
        },
    })
}

fn api_key(configured: &config::ApiKey) -> anyhow::Result<ApiKeySettings> {
    Ok(ApiKeySettings {
        name: configured.name.clone(),
        hash: configured.hash.parse().with_context(|| format!("auth: API key {}", configured.name))?,
        grants: Grants {
            subscribe: configured.subscribe.clone(),
            publish: configured.publish.clone(),
            revoke: configured.revoke,
        },
    })
}
