//! The HTTP client of the verbs that talk to a node: one connection, HTTP/1.1, plain or by TLS. Everything that can go
//! wrong on the way to a response is one error, [`Unreachable`]; what a response says is the caller's.

mod target;
mod tls;

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use sluice_diagnostics::explain;
use sluice_failure::{Place, contain};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub(crate) use self::target::Target;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A response that is read whole has at most this many bytes.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The longest wait between two connections that the server did not ask for.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where a node or publisher listens when nothing else is said.
pub(crate) const URL_DEFAULT: &str = "http://127.0.0.1:8080";

/// The exit code of a verb whose server could not be reached (`EX_UNAVAILABLE` of sysexits.h).
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;

/// No response came.
#[derive(Debug, thiserror::Error)]
#[error("{authority} cannot be reached: {why}")]
pub(crate) struct Unreachable {
    authority: String,
    why: String,
}

impl Target {
    async fn connect(&self) -> Result<TcpStream, String> {
        let connecting = timeout(CONNECT_WITHIN, TcpStream::connect((self.bare_host(), self.port)));
        let stream = connecting.await.map_err(|_| format!("no connection within {CONNECT_WITHIN:?}"))?;
        let stream = stream.map_err(|error| explain(&error, "SSL_CERT_FILE"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }

    /// The protocol that the server chooses when it is offered HTTP/2 and HTTP/1.1, as a browser offers them;
    /// `None` where it does not choose.
    pub(crate) async fn negotiated(&self) -> Result<Option<String>, String> {
        let stream = self.connect().await?;
        let shaking = tls::shake_hands(stream, self.bare_host(), &["h2", "http/1.1"]);
        let shaken = timeout(CONNECT_WITHIN, shaking).await;
        let stream = shaken.map_err(|_| format!("TLS: no answer within {CONNECT_WITHIN:?}"))??;
        let chosen = stream.get_ref().1.alpn_protocol();
        Ok(chosen.map(|protocol| String::from_utf8_lossy(protocol).into_owned()))
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
        let answer = timeout(within, self.try_send(request)).await;
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
        let mut fresh = self.dial().await?;
        let response = fresh.send_request(request).await.map_err(|error| error.to_string())?;
        self.connection = Some(fresh);
        Ok(response)
    }

    async fn dial(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = self.target.connect().await?;
        if self.target.tls {
            let stream = tls::shake_hands(stream, self.target.bare_host(), &["http/1.1"]).await?;
            return self.begin(stream).await;
        }
        self.begin(stream).await
    }

    async fn begin(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, String> {
        let (fresh, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        self.tracker.spawn(async move {
            // Its errors reach whoever waits for the response or reads its body.
            let _ = contain(Place::Upkeep, connection).await;
        });
        Ok(fresh)
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
