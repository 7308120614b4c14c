//! `sluice tail`: prints the events of topics as they come. Its cursor moves only past what was printed, so
//! that a reconnect neither loses nor repeats a line.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, StatusCode, header};
use sluice_wire::sse::{Decoder, Item, Received};
use sluice_wire::{Since, Topic};
use tokio_util::task::TaskTracker;

use super::http::{
    Client, EXIT_UNAVAILABLE, RETRY_MAX, Target, backoff, query_value, refusal, url_or_default,
};
use super::token::TokenArgs;

/// Heartbeats come every 15 s; a stream that is silent for longer than some of them is dead.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Until the server says otherwise.
const RETRY_DEFAULT: Duration = Duration::from_secs(2);

/// Print the events of topics as they are published
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The topics to follow
    #[arg(required = true, value_parser = Topic::parse)]
    topics: Vec<Topic>,
    /// Where to begin: earliest, last:<n>, an event id, an RFC 3339 time or a duration such as 5m; from now on
    /// if not given
    #[arg(long, value_parser = checked_since)]
    since: Option<String>,
    /// Print a JSON object a line, with id, type and data, instead of the data alone
    #[arg(long)]
    json: bool,
    /// The node, http[s]://host:port [default: $SLUICE_URL, else http://127.0.0.1:8080]
    #[arg(long)]
    url: Option<String>,
    /// End after so many events
    #[arg(long)]
    count: Option<u64>,
    /// Resume behind this cursor, as printed by --json or at the end of an earlier run
    #[arg(long, conflicts_with = "since")]
    last_event_id: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

/// The server reads it again; here it is only checked, so that a mistake is told at once.
fn checked_since(text: &str) -> Result<String, sluice_wire::SinceError> {
    text.parse::<Since>().map(|_| text.to_owned())
}

/// Follows the topics until it is told to stop.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target: Target = match url_or_default(args.url.clone()).parse() {
        Ok(target) => target,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(2));
        }
    };
    if args.count == Some(0) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut tail = Tail {
        client: Client::new(target, TaskTracker::new()),
        cursor: args.last_event_id.clone(),
        printer: Printer { out: BufWriter::new(io::stdout()), json: args.json, left: args.count },
        retry: RETRY_DEFAULT,
        args,
    };
    let ended = tokio::select! {
        ended = tail.follow() => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    match ended {
        Some(code) => Ok(code),
        None => {
            if let Some(cursor) = &tail.cursor {
                eprintln!("stopped; go on with --last-event-id '{cursor}'");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

struct Tail {
    client: Client,
    args: Args,
    cursor: Option<String>,
    printer: Printer,
    retry: Duration,
}

/// Why a connection to the server is over.
enum End {
    /// There is nothing more to do.
    Done(ExitCode),
    /// A stream was there and ended.
    Closed(String),
    /// There was no stream; the server may have said when to come again.
    Failed { why: String, wait: Option<Duration> },
}

impl Tail {
    async fn follow(&mut self) -> ExitCode {
        let mut connected = false;
        let mut failures = 0;
        loop {
            let wait = match self.connection().await {
                End::Done(code) => return code,
                End::Closed(why) => {
                    (connected, failures) = (true, 0);
                    eprintln!("stream ended ({why}); reconnecting");
                    backoff(self.retry, 0, fastrand::f64())
                }
                End::Failed { why, .. } if !connected => {
                    eprintln!("error: {why}");
                    return ExitCode::from(EXIT_UNAVAILABLE);
                }
                End::Failed { why, wait } => {
                    failures += 1;
                    eprintln!("{why}; trying again");
                    wait.unwrap_or_default().max(backoff(self.retry, failures, fastrand::f64()))
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, from request to end.
    async fn connection(&mut self) -> End {
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => {
                eprintln!("error: {error}");
                return End::Done(ExitCode::from(2));
            }
        };
        let response = match self.client.send(request, ANSWER_WITHIN).await {
            Ok(response) => response,
            Err(error) => return End::Failed { why: error.to_string(), wait: None },
        };
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if status == StatusCode::OK && !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            eprintln!(
                "error: the answer is not an event stream but {}; is this a node?",
                kind.unwrap_or("untyped")
            );
            return End::Done(ExitCode::FAILURE);
        }
        if status == StatusCode::OK {
            return self.stream(response.into_body()).await;
        }
        let wait =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let why = refusal(status, response.into_body()).await;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return End::Failed { why, wait: wait.map(Duration::from_secs) };
        }
        eprintln!("error: {why}");
        End::Done(ExitCode::FAILURE)
    }

    fn request(&self) -> anyhow::Result<Request<Bytes>> {
        let topics = self.args.topics.iter().map(|topic| format!("topic={}", query_value(topic.as_str())));
        let mut query: Vec<String> = topics.chain(["errors=status".to_owned()]).collect();
        if self.cursor.is_none() {
            query.extend(self.args.since.iter().map(|since| format!("since={}", query_value(since))));
        }
        let mut request = Request::get(format!("/v1/events?{}", query.join("&")))
            .header(header::ACCEPT, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-cache");
        if let Some(cursor) = &self.cursor {
            request = request.header("last-event-id", cursor.as_str());
        }
        if let Some(authorization) = self.args.token.authorization()? {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request.body(Bytes::new())?)
    }

    async fn stream(&mut self, mut body: Incoming) -> End {
        let mut decoder = Decoder::new();
        let mut items = Vec::new();
        loop {
            let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
                Err(_) => return End::Closed(format!("nothing came for {SILENCE_MAX:?}")),
                Ok(None) => return End::Closed("by the server".to_owned()),
                Ok(Some(Err(error))) => return End::Closed(error.to_string()),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(part) = frame.into_data() else { continue };
            decoder.feed(&part, &mut items);
            for item in items.drain(..) {
                match self.item(item) {
                    Ok(true) => {}
                    Ok(false) => return End::Done(ExitCode::SUCCESS),
                    Err(error) => return End::Done(output_ended(&error)),
                }
            }
            if let Err(error) = self.printer.out.flush() {
                return End::Done(output_ended(&error));
            }
        }
    }

    /// Answers whether to go on.
    fn item(&mut self, item: Item) -> io::Result<bool> {
        match item {
            Item::Event(event) => {
                if event.event_type.starts_with("sluice.") {
                    eprintln!("{} {}", event.event_type, event.data);
                    return Ok(true);
                }
                let more = self.printer.print(&event)?;
                if !event.last_event_id.is_empty() {
                    self.cursor = Some(event.last_event_id);
                }
                return Ok(more);
            }
            Item::Retry(ms) => self.retry = Duration::from_millis(ms).min(RETRY_MAX),
            Item::Id(cursor) => self.cursor = Some(cursor),
            Item::Overlong => {
                eprintln!("an event was passed over: it is larger than {} bytes", Decoder::BYTES_MAX);
            }
            Item::Comment(_) => {}
        }
        Ok(true)
    }
}

/// A reader that has seen enough (`| head`) is no failure.
fn output_ended(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: writing the output: {error}");
    ExitCode::FAILURE
}

struct Printer {
    out: BufWriter<io::Stdout>,
    json: bool,
    left: Option<u64>,
}

impl Printer {
    /// Answers whether more events are wanted.
    fn print(&mut self, event: &Received) -> io::Result<bool> {
        if self.json {
            writeln!(self.out, "{}", json_line(event))?;
        } else {
            writeln!(self.out, "{}", event.data)?;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.left == Some(0) {
            self.out.flush()?;
            return Ok(false);
        }
        Ok(true)
    }
}

fn json_line(event: &Received) -> String {
    let text = |text: &str| serde_json::Value::from(text);
    format!(
        "{{\"id\":{},\"type\":{},\"data\":{}}}",
        text(&event.last_event_id),
        text(&event.event_type),
        text(&event.data)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_stay_lines() {
        let event = Received { event_type: "a".into(), data: "x\n\"y\"".into(), last_event_id: "1-0".into() };
        assert_eq!(json_line(&event), r#"{"id":"1-0","type":"a","data":"x\n\"y\""}"#);
    }
}
