//! `sluice publish`: one event from the command line, or many from the standard input, through a node or
//! straight into Redis. Ids go to the standard output in the order of the input, one a line; everything else
//! goes to the standard error with the number of its line.

use std::io::{self, Write};
use std::process::ExitCode;

use sluice_wire::{EventType, IdempotencyKey, NewEvent, Topic};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::http::{EXIT_UNAVAILABLE, url_or_default};
use super::token::TokenArgs;
use destination::{Destination, Failure};
use input::{Form, Read};

mod destination;
mod input;

const BATCH_EVENTS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Publish one event, or one per line of the standard input
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The topic; with --ndjson, the one for lines that name none
    #[arg(required_unless_present = "ndjson", value_parser = Topic::parse)]
    topic: Option<Topic>,
    /// The data; if not given, all of the standard input is one event
    #[arg(conflicts_with_all = ["lines", "ndjson"])]
    data: Option<String>,
    /// The type, which browsers listen to; `message` if not given
    #[arg(long = "type", value_parser = event_type, conflicts_with = "ndjson")]
    event_type: Option<EventType>,
    /// An idempotency key: publishing again with the same key answers the first id
    #[arg(long, value_parser = key, conflicts_with_all = ["lines", "ndjson"])]
    key: Option<IdempotencyKey>,
    /// Each line of the standard input is the data of an event
    #[arg(long)]
    lines: bool,
    /// Each line of the standard input is {"topic"?, "data", "type"?, "key"?}
    #[arg(long, conflicts_with = "lines")]
    ndjson: bool,
    /// A node or publisher (http[s]://host:port) or Redis itself (redis://..) [default: $SLUICE_URL, else
    /// http://127.0.0.1:8080]
    #[arg(long)]
    url: Option<String>,
    /// The first part of every key, as in the nodes' redis.prefix; for redis:// only
    #[arg(long, default_value = "sluice")]
    prefix: String,
    #[command(flatten)]
    token: TokenArgs,
}

fn event_type(text: &str) -> Result<EventType, sluice_wire::EventTypeError> {
    EventType::parse(text)
}

fn key(text: &str) -> Result<IdempotencyKey, sluice_wire::IdempotencyKeyError> {
    IdempotencyKey::parse(text)
}

/// Publishes; the exit code is 0 when everything was, 1 when something was refused, 2 for a wrong call, 69
/// when the destination is unavailable.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let tracker = TaskTracker::new();
    let opened = args.token.authorization().and_then(|authorization| {
        Destination::open(&url_or_default(args.url.clone()), &args.prefix, authorization, &tracker)
    });
    let mut destination = match opened {
        Ok(destination) => destination,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(2));
        }
    };
    let mut events = read(args);
    let mut tally = Tally::default();
    let mut gathered = Vec::new();
    while !tally.stopped && events.recv_many(&mut gathered, BATCH_EVENTS_MAX).await > 0 {
        let mut rest = gathered.drain(..).peekable();
        while !tally.stopped && rest.peek().is_some() {
            let batch = tally.take_batch(&mut rest);
            tally.publish(&mut destination, batch).await?;
        }
    }
    destination.close().await;
    Ok(tally.code())
}

fn read(args: Args) -> mpsc::Receiver<Read> {
    let one = |topic, data: String| {
        let mut event = NewEvent::new(topic, data);
        event.event_type.clone_from(&args.event_type);
        event.key.clone_from(&args.key);
        event
    };
    match (args.topic, args.data) {
        (Some(topic), Some(data)) => input::given(one(topic, data)),
        (topic, None) if args.ndjson => input::standard(Form::Json { topic }),
        (Some(topic), None) if args.lines => input::standard(Form::Lines(one(topic, String::new()))),
        (Some(topic), None) => input::standard(Form::Whole(one(topic, String::new()))),
        // The command line's rules leave nothing else.
        (None, _) => input::standard(Form::Json { topic: None }),
    }
}

/// What became of the input so far.
#[derive(Debug, Default)]
struct Tally {
    refused: bool,
    unavailable: bool,
    /// Nothing more can be published.
    stopped: bool,
}

impl Tally {
    /// As many events as go into one request; lines that are no events are told on the way.
    fn take_batch(
        &mut self,
        input: &mut std::iter::Peekable<impl Iterator<Item = Read>>,
    ) -> Vec<(usize, NewEvent)> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(read) = input.next_if(|read| {
            bytes += read.event.as_ref().map_or(0, |event| event.data.len());
            batch.is_empty() || bytes <= BATCH_BYTES_MAX
        }) {
            match read.event {
                Ok(event) => batch.push((read.line, event)),
                Err(why) => self.failed(read.line, &Failure::refused(why)),
            }
        }
        batch
    }

    async fn publish(
        &mut self,
        destination: &mut Destination,
        batch: Vec<(usize, NewEvent)>,
    ) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (lines, events): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match destination.publish(events).await {
            Ok(results) => self.results(&lines, results),
            Err(failure) => {
                self.failed(lines[0], &failure);
                eprintln!("nothing from line {} on was acknowledged", lines[0]);
                self.stopped = true;
                Ok(())
            }
        }
    }

    fn results(&mut self, lines: &[usize], results: Vec<Result<String, Failure>>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (line, result) in lines.iter().zip(results) {
            match result {
                Ok(id) => writeln!(out, "{id}")?,
                Err(failure) => self.failed(*line, &failure),
            }
        }
        out.flush()
    }

    fn failed(&mut self, line: usize, failure: &Failure) {
        eprintln!("line {line}: {}", failure.why);
        if failure.transient {
            self.unavailable = true;
        } else {
            self.refused = true;
        }
    }

    /// What can be tried again outweighs what cannot: a script that retries on 69 with keys loses nothing.
    fn code(&self) -> ExitCode {
        match (self.unavailable, self.refused) {
            (true, _) => ExitCode::from(EXIT_UNAVAILABLE),
            (false, true) => ExitCode::FAILURE,
            (false, false) => ExitCode::SUCCESS,
        }
    }
}
