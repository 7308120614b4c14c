//! `[auth]` as far as it can be judged from outside a node: what lets in more than was meant, and what will let in
//! nobody.

mod proxies;

use sluice_runtime::config::{Auth, Config, Issuer, IssuerKeys};
use tokio_util::task::TaskTracker;

use super::finding::Finding;
use crate::node::key_sets;

const EVERYTHING: &str = "**";

/// Looks at the rules, and fetches key sets once.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let auth = &config.auth;
    let mut findings = judge(auth);
    findings.extend(proxies::judge(&config.listen));
    for issuer in &auth.issuers {
        let IssuerKeys::JwksUrl(url) = &issuer.keys else { continue };
        let fetch = key_sets::fetch(auth.jwks.bytes_max, &TaskTracker::new());
        let fetched = tokio::time::timeout(auth.jwks.timeout, fetch(url.clone())).await;
        findings.push(match fetched.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(_) => Finding::ok("access.jwks", format!("{url} answers")),
            Err(error) => Finding::error("access.jwks", format!("{url} cannot be fetched: {error}"))
                .why("a node that starts without keys can judge no token of this issuer, and sheds who brings one")
                .fix("let this machine reach it by https with a certificate that the system trusts; SSL_CERT_FILE adds others"),
        });
    }
    findings
}

fn judge(auth: &Auth) -> Vec<Finding> {
    let credentials = !auth.issuers.is_empty() || !auth.api_keys.is_empty();
    let open = |patterns: &[sluice_wire::TopicPattern]| patterns.iter().any(|p| p.as_str() == EVERYTHING);
    let mut findings = Vec::new();
    let opened = [("subscribe", &auth.anonymous.subscribe), ("publish", &auth.anonymous.publish)];
    for (what, _) in opened.iter().filter(|(_, patterns)| credentials && open(patterns)) {
        findings.push(
            Finding::warning(
                "access.open",
                format!("auth.anonymous.{what} opens every topic although tokens are configured"),
            )
            .why("whoever has no token may do what tokens are meant to grant")
            .fix(format!("list in auth.anonymous.{what} what is public, or nothing")),
        );
    }
    if auth.query_token {
        findings.push(
            Finding::note("access.query", "auth.query_token reads tokens from addresses")
                .why("proxies, browsers and analytics write addresses down"),
        );
    }
    findings.extend(auth.issuers.iter().filter_map(short_secret));
    if findings.is_empty() {
        let nothing =
            auth.anonymous.subscribe.is_empty() && auth.anonymous.publish.is_empty() && !credentials;
        findings.push(if nothing {
            Finding::note("access.rules", "nobody may do anything")
                .why("every request will be answered 401")
                .fix("open topics by auth.anonymous, or configure auth.jwt or auth.api_keys")
        } else {
            let (issuers, keys) = (auth.issuers.len(), auth.api_keys.len());
            Finding::ok("access.rules", format!("{issuers} issuers and {keys} API keys"))
        });
    }
    findings
}

/// A secret shorter than the hash that it is used with. Source: RFC 7518, section 3.2.
fn short_secret(issuer: &Issuer) -> Option<Finding> {
    let bytes = match &issuer.keys {
        IssuerKeys::Secret(secret) => secret.expose().trim().len(),
        IssuerKeys::SecretFile(file) => std::fs::read_to_string(file).ok()?.trim().len(),
        IssuerKeys::Key(_) | IssuerKeys::KeyFile(_) | IssuerKeys::JwksUrl(_) => return None,
    };
    let wanted = match issuer.algorithms.first() {
        Some(&"HS384") => 48,
        Some(&"HS512") => 64,
        _ => 32,
    };
    let name = issuer.issuer.as_deref().unwrap_or("without a name");
    (bytes < wanted).then(|| {
        Finding::warning(
            "access.secret",
            format!("the secret of issuer {name} has {bytes} bytes, not {wanted}"),
        )
        .why("a secret that can be guessed from one token signs any other")
        .fix("openssl rand -base64 48, or 64 for HS384 and HS512")
    })
}

#[cfg(test)]
mod tests {
    use sluice_runtime::config::{Layers, Role};

    use super::*;

    fn found(flags: &[(&str, &str)]) -> Vec<&'static str> {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config::load(Role::Gateway, &Layers { flags, ..Layers::default() }).unwrap();
        let findings = judge(&config.auth);
        for finding in &findings {
            assert!(!finding.seen.contains("sixteen"), "{}", finding.seen);
        }
        findings.iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn what_opens_too_much_or_nothing_is_told() {
        let short = ("auth.jwt.secret", "sixteen bytes, 16");
        let long = ("auth.jwt.secret", "a secret of thirty-two characters");
        assert_eq!(found(&[]), ["access.rules"]);
        assert_eq!(found(&[short]), ["access.secret"]);
        assert_eq!(found(&[long, ("auth.jwt.algorithms", "HS512")]), ["access.secret"]);
        assert_eq!(found(&[long]), ["access.rules"]);
        assert_eq!(found(&[long, ("auth.anonymous.publish", "**")]), ["access.open"]);
        assert_eq!(found(&[("auth.anonymous.publish", "**")]), ["access.rules"]);
        assert_eq!(found(&[long, ("auth.query_token", "true")]), ["access.query"]);
    }
}
