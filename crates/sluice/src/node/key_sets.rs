//! Gets the key sets of issuers, by the client that the command line has too: TLS by whom the system trusts, no
//! redirects, bounded in bytes. Where it may lead, the configuration has checked; how long it may take, whoever
//! asks knows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, StatusCode, header};
use sluice_access::Fetch;
use tokio_util::task::TaskTracker;

use crate::cli::http::{Client, Target};

/// Longer than any timeout that can be configured.
const HEAD_WITHIN: Duration = Duration::from_secs(60);

/// Whoever fetches sets of at most `bytes_max`.
pub(crate) fn fetch(bytes_max: usize, tracker: &TaskTracker) -> Fetch {
    let tracker = tracker.clone();
    Arc::new(move |url| {
        let tracker = tracker.clone();
        Box::pin(async move { get(&url, bytes_max, tracker).await })
    })
}

async fn get(url: &str, bytes_max: usize, tracker: TaskTracker) -> Result<Vec<u8>, String> {
    let (target, path) = parts(url)?;
    let request = Request::get(path).header(header::ACCEPT, "application/json").body(Bytes::new());
    let request = request.map_err(|error| error.to_string())?;
    let mut client = Client::new(target, tracker);
    let response = client.send(request, HEAD_WITHIN).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let body = Limited::new(response.into_body(), bytes_max).collect().await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

/// The server of a URL, and what to ask it for.
fn parts(url: &str) -> Result<(Target, String), String> {
    let (scheme, rest) = url.split_once("://").ok_or("not a URL")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let target = format!("{scheme}://{authority}").parse().map_err(|_| "not a URL of a server".to_owned())?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((target, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_and_what_it_is_asked_for() {
        for (url, asked) in [
            ("https://idp.example/a/jwks.json?p=b", "/a/jwks.json?p=b"),
            ("http://127.0.0.1:1", "/"),
            ("https://idp.example?p=b", "/?p=b"),
        ] {
            assert_eq!(parts(url).unwrap().1, asked);
        }
        assert!(parts("idp.example").is_err() && parts("ftp://a/b").is_err());
    }
}
