//! The HTTP client of the verbs that talk to a node: one connection, HTTP/1.1, plain. Everything that can go
//! wrong on the way to a response is one error, [`Unreachable`]; what a response says is the caller's.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A response that is read whole has at most this many bytes.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The longest wait between two connections that the server did not ask for.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where a node or publisher listens when nothing else is said.
pub(crate) const URL_DEFAULT: &str = "http://127.0.0.1:8080";

/// The exit code of a verb whose server could not be reached (`EX_UNAVAILABLE` of sysexits.h).
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;

/// The address of a node: `http://host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: u16,
    prefix: String,
}

/// Why a text is no address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("https:// is not supported yet; use http://, through a proxy that ends TLS if need be")]
    Https,
    #[error("{0:?} is not of the form http://host:port")]
    Form(String),
}

/// No response came.
#[derive(Debug, thiserror::Error)]
#[error("{authority} cannot be reached: {why}")]
pub(crate) struct Unreachable {
    authority: String,
    why: String,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let form = || TargetError::Form(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| form())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(TargetError::Https),
            _ => return Err(form()),
        }
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(form)?;
        if uri.query().is_some() || authority.host().is_empty() {
            return Err(form());
        }
        // Not `Uri::port`, which takes a port that is no number for none at all.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(form)?,
            None => return Err(form()),
        };
        Ok(Self {
            host: authority.host().to_owned(),
            port,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl Target {
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        // Brackets belong to an IPv6 address in a URL, not to the address.
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let connecting = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect((host, self.port)));
        let stream = connecting.await.map_err(|_| format!("no connection within {CONNECT_WITHIN:?}"))?;
        let stream = stream.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }
}

/// A client that keeps its connection between requests.
pub(crate) struct Client {
    target: Target,
    tracker: TaskTracker,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(target: Target, tracker: TaskTracker) -> Self {
        Self { target, tracker, connection: None }
    }

    /// Sends `request`, whose URI is a path, and answers the response's head as soon as it is there. The wait for
    /// it is `within`.
    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
        within: Duration,
    ) -> Result<Response<Incoming>, Unreachable> {
        let answer = tokio::time::timeout(within, self.try_send(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {within:?}")));
        answer.map_err(|why| {
            self.connection = None;
            Unreachable { authority: self.target.authority(), why }
        })
    }

    async fn try_send(&mut self, request: Request<Bytes>) -> Result<Response<Incoming>, String> {
        let mut request = self.complete(request)?;
        if let Some(mut kept) = self.connection.take()
            && kept.ready().await.is_ok()
        {
            match kept.try_send_request(request).await {
                Ok(response) => {
                    self.connection = Some(kept);
                    return Ok(response);
                }
                // The server closed an idle connection: nothing was sent, so nothing is sent twice.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().to_string()),
                },
            }
        }
        let stream = self.target.connect().await?;
        let (mut fresh, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        self.tracker.spawn(async move {
            // Its errors reach whoever waits for the response or reads its body.
            let _ = connection.await;
        });
        let response = fresh.send_request(request).await.map_err(|error| error.to_string())?;
        self.connection = Some(fresh);
        Ok(response)
    }

    fn complete(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, String> {
        let (mut head, body) = request.into_parts();
        let path = format!("{}{}", self.target.prefix, head.uri);
        head.uri = path.parse().map_err(|_| format!("{path:?} is not a path"))?;
        let host =
            self.target.authority().parse().map_err(|_| "the host is not a header value".to_owned())?;
        head.headers.insert(header::HOST, host);
        Ok(Request::from_parts(head, Full::new(body)))
    }
}

/// The whole body of a response as text.
pub(crate) async fn text(body: Incoming) -> anyhow::Result<String> {
    let body =
        Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// What a refusing response says, in a line: the `detail` of its problem, else its status and first line.
pub(crate) async fn refusal(status: StatusCode, body: Incoming) -> String {
    let text = text(body).await.unwrap_or_default();
    problem_detail(&text).unwrap_or_else(|| format!("{status} {}", text.lines().next().unwrap_or_default()))
}

fn problem_detail(json: &str) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_str(json).ok()?;
    Some(format!("{}: {}", problem.get("title")?.as_str()?, problem.get("detail")?.as_str()?))
}

/// `text` as a value in a query.
pub(crate) fn query_value(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// The address to use: what the user gave, else `SLUICE_URL`, else [`URL_DEFAULT`].
pub(crate) fn url_or_default(given: Option<String>) -> String {
    given.or_else(|| std::env::var("SLUICE_URL").ok()).unwrap_or_else(|| URL_DEFAULT.to_owned())
}

/// How long to wait before the next connection: `retry`, doubled with every failure in a row, between half and
/// the whole of it by `chance` (0.0 to 1.0).
pub(crate) fn backoff(retry: Duration, failures: u32, chance: f64) -> Duration {
    let longest = retry.saturating_mul(1 << failures.min(5)).clamp(Duration::from_millis(100), RETRY_MAX);
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let target =
            |host: &str, port, prefix: &str| Target { host: host.into(), port, prefix: prefix.into() };
        assert_eq!("http://localhost:8080".parse(), Ok(target("localhost", 8080, "")));
        assert_eq!("http://a.example/sluice/".parse(), Ok(target("a.example", 80, "/sluice")));
        assert_eq!("http://[::1]:1".parse(), Ok(target("[::1]", 1, "")));
        assert_eq!("https://a.example".parse::<Target>(), Err(TargetError::Https));
        for text in [
            "",
            "localhost:8080",
            "http://",
            "ftp://a",
            "http://u:p@a",
            "http://a?b=c",
            "http://a:99999",
            "http://a:",
        ] {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Form(text.into())), "{text}");
        }
    }

    #[test]
    fn waits_grow_to_a_limit_and_are_spread() {
        let second = Duration::from_secs(1);
        assert_eq!(backoff(second, 0, 1.0), second);
        assert_eq!(backoff(second, 0, 0.0), second / 2);
        assert_eq!(backoff(second, 3, 1.0), second * 8);
        assert_eq!(backoff(second, 99, 1.0), RETRY_MAX);
        assert_eq!(backoff(Duration::ZERO, 0, 1.0), Duration::from_millis(100));
    }

    #[test]
    fn a_query_value_holds_no_delimiter() {
        assert_eq!(query_value("a/b:c@d e&f=g%é"), "a%2Fb%3Ac%40d%20e%26f%3Dg%25%C3%A9");
    }

    #[test]
    fn a_problem_is_told_in_a_line() {
        let json = r#"{"type":"x","title":"Too large","detail":"send less"}"#;
        assert_eq!(problem_detail(json).as_deref(), Some("Too large: send less"));
        assert_eq!(problem_detail("<html>"), None);
    }
}
