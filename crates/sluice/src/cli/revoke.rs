//! `sluice revoke`: asks a process of the cluster to refuse a subject or a token, to take that back, or to say who is
//! refused. It speaks to the operations listener, which is what writes revocations down.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::http::{Client, EXIT_UNAVAILABLE, Target, refusal, text};
use super::token::TokenArgs;

const PATH: &str = "/v1/revocations";
/// Where the operations listener is when nothing else is said.
const URL_DEFAULT: &str = "http://127.0.0.1:8082";
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// End the streams of a subject or a token on all nodes, and refuse it until a given time
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whom").args(["subject", "token_id", "list"]).required(true))]
#[command(group = clap::ArgGroup::new("time").args(["duration", "until", "lift"]).conflicts_with("list"))]
#[command(group = clap::ArgGroup::new("what").args(["duration", "until", "lift", "issued_before"]).multiple(true))]
pub(crate) struct Args {
    /// Whose tokens are refused: their sub, or key:<name> for an API key
    #[arg(requires = "what")]
    subject: Option<String>,
    /// Refuse one token alone, the one with this jti
    #[arg(long, value_name = "JTI", requires = "what")]
    token_id: Option<String>,
    /// Mean the tokens of this issuer (iss) alone, where several may give out the same names
    #[arg(long, value_name = "ISS", conflicts_with = "list")]
    issuer: Option<String>,
    /// Refuse only what was issued before this moment (by iat): now, or a time in RFC 3339. Who logs in again is let in.
    /// Without --for or --until it lasts as long as a revocation may
    #[arg(long, value_name = "TIME", value_parser = issued_before, conflicts_with = "list")]
    issued_before: Option<String>,
    /// For how long, such as 24h or 7d; take as long as the tokens in question are good
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Until when, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// Take the revocation back
    #[arg(long)]
    lift: bool,
    /// Print who is refused, those whose time ends first first
    #[arg(long)]
    list: bool,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
    /// The operations listener of any publisher, or of a gateway that may append to the log of revocations
    /// [default: $SLUICE_OPS_URL, else http://127.0.0.1:8082]
    #[arg(long)]
    url: Option<String>,
    // For a proxy that guards the operations listener; the listener itself asks for none.
    #[command(flatten)]
    token: TokenArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        Err("no time at all; --lift takes a revocation back".to_owned())
    } else {
        Ok(duration)
    }
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let moment = humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string())?;
    let ahead = moment > SystemTime::now();
    if ahead { Ok(moment) } else { Err("that is over; --lift takes a revocation back".to_owned()) }
}

fn issued_before(text: &str) -> Result<String, String> {
    if text != "now" {
        humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

/// The revocation is written, and a failover may lose it until a process writes it again.
const EXIT_UNCONFIRMED: u8 = 75;

/// Asks; the exit code is 0 when it is done, 1 when it was refused, 2 for a wrong call, 69 when the process, or Redis
/// behind it, is unavailable, 75 when it is done and not every replica has confirmed it.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (mut client, request) = match prepare(&args) {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let response = match client.send(request, ANSWER_WITHIN).await {
        Ok(response) => response,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(EXIT_UNAVAILABLE));
        }
    };
    let status = response.status();
    if !matches!(status, StatusCode::OK | StatusCode::CREATED) {
        eprintln!("error: {}", refusal(status, response.into_body()).await);
        let transient = matches!(status.as_u16(), 408 | 429 | 502..=504);
        return Ok(ExitCode::from(if transient { EXIT_UNAVAILABLE } else { 1 }));
    }
    let answer = text(response.into_body()).await?;
    let Some(revocations) = revocations(&answer, args.list) else {
        eprintln!("error: the answer is not one of Sluice's operations listener");
        return Ok(ExitCode::FAILURE);
    };
    let mut out = io::stdout().lock();
    for revocation in &revocations {
        if args.json {
            writeln!(out, "{revocation}")?;
        } else {
            writeln!(out, "{}", sentence(revocation, args.lift))?;
            for other in revocation.get("also").and_then(Value::as_array).into_iter().flatten() {
                writeln!(out, "{} {}", if args.lift { "but" } else { "and" }, sentence(other, false))?;
            }
        }
    }
    let unconfirmed = revocations.iter().find(|told| told["confirmed"] == json!(false));
    Ok(unconfirmed.map_or(ExitCode::SUCCESS, |told| {
        let replicas = &told["replicas"];
        eprintln!("warning: {}", doubt(replicas["confirmed"].as_u64(), replicas["connected"].as_u64()));
        ExitCode::from(EXIT_UNCONFIRMED)
    }))
}

/// Why a revocation that is written is not safe yet.
fn doubt(confirmed: Option<u64>, connected: Option<u64>) -> String {
    let have = match (confirmed, connected) {
        (Some(confirmed), Some(connected)) => {
            format!("{confirmed} of {connected} replicas have confirmed it")
        }
        _ => "it is not known whether any replica has it".to_owned(),
    };
    format!(
        "the revocation is in force, but {have}; a failover may take it back for some seconds. Run the command again"
    )
}

fn prepare(args: &Args) -> anyhow::Result<(Client, Request<Bytes>)> {
    let url = args.url.clone().or_else(|| std::env::var("SLUICE_OPS_URL").ok());
    let target: Target = url.unwrap_or_else(|| URL_DEFAULT.to_owned()).parse()?;
    let mut request = if args.list {
        Request::get(PATH).body(Bytes::new())?
    } else {
        let json = (header::CONTENT_TYPE, "application/json");
        Request::post(PATH).header(json.0, json.1).body(Bytes::from(wanted(args).to_string()))?
    };
    if let Some(authorization) = args.token.authorization()? {
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
    }
    Ok((Client::new(target, TaskTracker::new()), request))
}

/// The body of the request.
fn wanted(args: &Args) -> Value {
    let mut wanted = json!({});
    if let Some(subject) = &args.subject {
        wanted["subject"] = json!(subject);
    }
    if let Some(token_id) = &args.token_id {
        wanted["token_id"] = json!(token_id);
    }
    if let Some(issuer) = &args.issuer {
        wanted["issuer"] = json!(issuer);
    }
    if let Some(issued_before) = &args.issued_before {
        wanted["issued_before"] = json!(issued_before);
        if args.duration.is_none() && args.until.is_none() && !args.lift {
            return wanted;
        }
    }
    if let Some(until) = args.until {
        wanted["until"] = json!(humantime::format_rfc3339_millis(until).to_string());
    } else {
        // Rather a moment longer than one too short. Nothing is what lifts.
        let duration = args.duration.unwrap_or_default();
        wanted["for_s"] = json!(duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)));
    }
    wanted
}

/// The revocations that an answer tells.
fn revocations(answer: &str, list: bool) -> Option<Vec<Value>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let told = if list { answer.get("revocations")?.as_array()?.clone() } else { vec![answer] };
    let whole = |one: &Value| one.get("until").is_some() && named(one).is_some();
    told.iter().all(whole).then_some(told)
}

/// What is revoked, and its name.
fn named(revocation: &Value) -> Option<(&'static str, &str)> {
    let name = |key| revocation.get(key).and_then(Value::as_str);
    name("subject").map(|name| ("subject", name)).or_else(|| name("token_id").map(|name| ("token", name)))
}

fn sentence(revocation: &Value, lifted: bool) -> String {
    let (what, name) = named(revocation).unwrap_or_default();
    let issuer = revocation.get("issuer").and_then(Value::as_str);
    let mut of = issuer.map(|issuer| format!(" of issuer {issuer:?}")).unwrap_or_default();
    let issued_before = revocation.get("issued_before").and_then(Value::as_str);
    if let Some(moment) = issued_before.filter(|_| !lifted) {
        of.push_str(&format!(", as issued before {moment},"));
    }
    if lifted {
        return format!("{what} {name:?}{of} is let in again");
    }
    match revocation.get("until").and_then(Value::as_str) {
        Some(until) => format!("{what} {name:?}{of} is refused until {until}"),
        None => format!("{what} {name:?}{of} is refused until after the year 9999"),
    }
}
