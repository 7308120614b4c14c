//! The credentials that verbs send: what the command line says, else a file, else `SLUICE_TOKEN`.

use std::path::PathBuf;

use anyhow::Context as _;
use hyper::header::HeaderValue;
use sluice_runtime::config::Secret;

/// Who to be
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// A token or an API key to send as Authorization: Bearer; others on this machine may see it, unlike
    /// --token-file and the variable [default: $SLUICE_TOKEN, else none]
    #[arg(long, conflicts_with = "token_file")]
    token: Option<Secret>,
    /// A file that holds it, read again for each connection
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// The value of the `Authorization` header, if there is anything to send.
    pub(crate) fn authorization(&self) -> anyhow::Result<Option<HeaderValue>> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.expose().to_owned()),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file);
                Some(text.with_context(|| format!("--token-file {} cannot be read", file.display()))?)
            }
            (None, None) => std::env::var("SLUICE_TOKEN").ok(),
        };
        let Some(token) = token.map(|text| text.trim().to_owned()).filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        // Not the error of the parse itself, which might show what it could not read.
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| anyhow::anyhow!("the token holds characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}
