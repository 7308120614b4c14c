//! How each command is done, and the journal of what was really sent and answered.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_wire::EventId;
use tokio::time::sleep;

use super::command::{Command, Entry, Id, Kind, MALFORMED, Message, Odd, Previous, Type};
use super::stage::Stage;
use super::writer;
use crate::books::{Books, Duty};
use crate::http::get;

/// What was done, a line a command. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    began: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), lines: Arc::default() }
    }

    pub(super) fn say(&self, line: &str) {
        let line = format!("{:7.3} {}", self.began.elapsed().as_secs_f64(), line.escape_debug());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who writes to Redis beside the honest publishers.
pub(super) struct Hand<'a> {
    pub(super) stage: &'a Stage,
    pub(super) books: &'a Books,
    pub(super) journal: &'a Journal,
    pub(super) binary: &'a Path,
    pub(super) script: &'a PathBuf,
    /// Messages and entries that every gateway must leave out and count.
    pub(super) left_out: AtomicU64,
}

impl Hand<'_> {
    /// Does what a command says, except what clients do. Errors are faults of Sluice; refusals of Redis are answers.
    pub(super) async fn act(&self, command: &Command) -> Result<()> {
        let topic = command.topic;
        let (log, spare) = (self.stage.key(topic, "log"), self.stage.key(topic, "spare"));
        match command.kind {
            Kind::Entry(entry, id) => self.add(topic, &log, entry, id, false).await,
            Kind::FillSpare(id) => {
                self.redis(topic, &["DEL", &spare], None).await;
                self.add(topic, &spare, Entry::Event, id, true).await;
                self.add(topic, &spare, Entry::Event, Id::SameMillisecond, true).await;
            }
            Kind::Remove(place) => self.remove(topic, place).await,
            Kind::Script(odd) => return self.odd_script(topic, odd).await,
            Kind::HonestScript => self.honest_script(topic).await,
            Kind::HonestProgram => {
                let (door, name) = (self.stage.publisher.publisher_addr(), &self.stage.topics[topic]);
                let said = writer::publish_by_program(self.books, self.binary, door, name).await?;
                self.journal.say(&format!("sluice publish {name} -> {said}"));
            }
            Kind::Publish(message) => self.announce(topic, message).await,
            Kind::SetLastId(id) => {
                let id = self.id(topic, &log, id).await;
                self.redis(topic, &["XSETID", &log, &id], None).await;
            }
            Kind::WrongType(of) => {
                let put = match of {
                    Type::Text => "redis.call('SET', KEYS[1], 'text')",
                    Type::List => "redis.call('LPUSH', KEYS[1], 'text')",
                    Type::Hash => "redis.call('HSET', KEYS[1], 'field', 'text')",
                };
                self.redis(
                    topic,
                    &["EVAL", &format!("redis.call('DEL', KEYS[1]) return {put}"), "1", &log],
                    None,
                )
                .await;
            }
            Kind::FlushAll | Kind::FlushScripts => {
                let words: &[&str] =
                    if command.kind == Kind::FlushAll { &["FLUSHALL"] } else { &["SCRIPT", "FLUSH"] };
                for cli in &self.stage.primaries {
                    let answer = cli.run(words).await;
                    self.journal.say(&format!("{} -> {answer:?}", words.join(" ")));
                }
            }
            Kind::Busy(ms) => self.occupy(topic, ms).await,
            Kind::Full(ms) => {
                self.redis(topic, &["CONFIG", "SET", "maxmemory", "1"], None).await;
                sleep(Duration::from_millis(ms)).await;
                self.redis(topic, &["CONFIG", "SET", "maxmemory", "0"], None).await;
            }
            Kind::Wait(ms) => sleep(Duration::from_millis(ms)).await,
            Kind::ReadHistory => return self.read_history(topic).await,
            Kind::Open(..) | Kind::Roam => {}
            _ => self.key_command(command, &log, &spare).await,
        }
        Ok(())
    }

    /// Commands that need nothing but the names of keys.
    async fn key_command(&self, command: &Command, log: &str, spare: &str) {
        const RESTORE: &str = "local dump = redis.call('DUMP', KEYS[1]) \
             if not dump then return 'nothing to restore' end \
             return redis.call('RESTORE', KEYS[2], 0, dump, 'REPLACE')";
        const TO_NEWEST: &str = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1) \
             if not last[1] then return 'empty' end \
             return redis.call('XTRIM', KEYS[1], 'MINID', last[1][1])";
        const FUTURE: &str = "9999999999999-0";
        let number = |number: u64| number.to_string();
        let words = match command.kind {
            Kind::Trim(keep) => {
                vec!["XTRIM".to_owned(), log.to_owned(), "MAXLEN".to_owned(), keep.to_string()]
            }
            Kind::Expire(ms) => vec!["PEXPIRE".to_owned(), log.to_owned(), number(ms)],
            kind => {
                let words: &[&str] = match kind {
                    Kind::TrimToNewest => &["EVAL", TO_NEWEST, "1", log],
                    Kind::Delete => &["DEL", log],
                    Kind::RenameAway => &["RENAME", log, spare],
                    Kind::RenameBack => &["RENAME", spare, log],
                    Kind::CopyAway => &["COPY", log, spare, "REPLACE"],
                    Kind::CopyBack => &["COPY", spare, log, "REPLACE"],
                    Kind::Restore => &["EVAL", RESTORE, "2", spare, log],
                    Kind::SetDeletedId => {
                        &["XSETID", log, FUTURE, "ENTRIESADDED", "100000", "MAXDELETEDID", FUTURE]
                    }
                    Kind::Group => &["XGROUP", "CREATE", log, "readers", "0", "MKSTREAM"],
                    Kind::KillClients(kind) => &["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"],
                    _ => return,
                };
                words.iter().map(|word| (*word).to_owned()).collect()
            }
        };
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.redis(command.topic, &words, None).await;
    }

    /// Runs redis-cli; what it printed, or `None` where Redis refused.
    async fn redis(&self, topic: usize, args: &[&str], input: Option<&[u8]>) -> Option<String> {
        let cli = self.stage.cli(topic);
        let answer = match input {
            Some(input) => cli.run_with_stdin(&[&["-x"], args].concat(), input).await,
            None => cli.run(args).await,
        };
        let input = input.map_or_else(String::new, |input| format!(" <{}>", input.escape_ascii()));
        let said = answer.as_ref().map_or_else(|error| format!("{error:#}"), Clone::clone);
        let said = said.lines().last().unwrap_or_default();
        self.journal.say(&format!("{}{input} -> {said}", args.join(" ")));
        answer.ok()
    }

    async fn add(&self, topic: usize, key: &str, entry: Entry, id: Id, spare: bool) {
        let old = matches!(id, Id::Beginning) || spare && matches!(id, Id::SameMillisecond);
        let duty = match entry {
            // Older than retention by age may be left out.
            Entry::Event if old => Duty::Optional,
            // Nobody is told of it: what is gone again before anybody looks was never there.
            Entry::Event => Duty::DeliverIfKept,
            Entry::TypeWithLineEnd => Duty::Optional,
            Entry::WithoutData | Entry::NotUtf8 | Entry::ReservedType => Duty::Skip,
        };
        let name = &self.stage.topics[topic];
        let id = if id == Id::Automatic { "*".to_owned() } else { self.id(topic, key, id).await };
        let (number, payload) = self.books.write(name, duty);
        self.books.attempt(name, number);
        let mut args = vec!["XADD", key, &id];
        let mut bytes = None;
        match entry {
            Entry::Event => args.extend(["data", &payload]),
            Entry::WithoutData => args.extend(["foo", &payload]),
            Entry::NotUtf8 => {
                args.push("data");
                bytes = Some([payload.as_bytes(), b"\xff\xfe"].concat());
            }
            Entry::ReservedType => args.extend(["data", &payload, "type", "sluice.expired"]),
            Entry::TypeWithLineEnd => args.extend(["data", &payload, "type", "line\nbreak"]),
        }
        let answer = self.redis(topic, &args, bytes.as_deref()).await;
        if let Some(id) = answer.and_then(|answer| answer.parse().ok()) {
            self.books.acknowledge(name, number, id);
            if duty == Duty::Skip {
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn remove(&self, topic: usize, place: usize) {
        const NTH: &str = "local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1]) \
             local entry = newest[#newest] \
             return entry and entry[1] or ''";
        let log = self.stage.key(topic, "log");
        let found = self.redis(topic, &["EVAL", NTH, "1", &log, &(place + 1).to_string()], None).await;
        let Some(id) = found.and_then(|found| found.parse::<EventId>().ok()) else { return };
        self.books.remove(&self.stage.topics[topic], id);
        self.redis(topic, &["XDEL", &log, &id.to_string()], None).await;
    }

    /// An id as text, as of now.
    async fn id(&self, topic: usize, key: &str, id: Id) -> String {
        const LAST: &str = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1) \
             return last[1] and last[1][1] or '0-0'";
        const HOUR_MS: u64 = 3_600_000;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or_default();
        match id {
            Id::Beginning => EventId::new(5, 1),
            Id::HourAgo => EventId::new(now_ms - HOUR_MS, 1),
            Id::HourAhead => EventId::new(now_ms + HOUR_MS, 1),
            Id::FarFuture => EventId::at(9_999_999_999_999),
            Id::Huge => EventId::new(u64::MAX, 1),
            Id::Greatest => EventId::MAX,
            Id::SameMillisecond | Id::Automatic => {
                let last = self.stage.cli(topic).run(&["EVAL", LAST, "1", key]).await;
                last.ok().and_then(|last| last.parse().ok()).unwrap_or(EventId::ZERO).after()
            }
        }
        .to_string()
    }

    async fn announce(&self, topic: usize, message: Message) {
        let message = match message {
            Message::Text => b"plain text".to_vec(),
            Message::Malformed(index) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                MALFORMED[index].to_vec()
            }
            Message::Forged(id, previous) => {
                let log = self.stage.key(topic, "log");
                let last: EventId =
                    self.id(topic, &log, Id::SameMillisecond).await.parse().unwrap_or_default();
                let previous = match previous {
                    Previous::None => String::new(),
                    Previous::Last => format!(" prev={}", last.before()),
                    Previous::Wrong => format!(" prev={}", last.before().before()),
                };
                format!("\x01v=1 id={}{previous}\nforged", self.id(topic, &log, id).await).into_bytes()
            }
        };
        let channel = self.stage.key(topic, "live");
        self.redis(topic, &[self.stage.publish_command(), &channel], Some(&message)).await;
    }

    /// What is answered with an error must not be in the log, and what a node would skip must not be accepted.
    async fn odd_script(&self, topic: usize, odd: Odd) -> Result<()> {
        const HAS: &str = "for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do \
             if entry[2][2] == ARGV[1] then return entry[1] end end return ''";
        let script = std::fs::read_to_string(self.script).context("reading publish.lua")?;
        let (name, log) = (&self.stage.topics[topic], self.stage.key(topic, "log"));
        let once = self.stage.key(topic, "once:odd");
        let (number, payload) = self.books.write(name, Duty::Deliver);
        self.books.attempt(name, number);
        let mut arguments = vec![payload.as_str(), "", "", "", "", "", "", "", ""];
        let mut input = None;
        let (count, mut key) = (if matches!(odd, Odd::Argument(7, _)) { "2" } else { "1" }, log.as_str());
        match odd {
            Odd::Argument(place, text) => arguments[place - 1] = text,
            Odd::NotUtf8 => {
                (arguments, input) = (Vec::new(), Some([payload.as_bytes(), b"\xff\xfe"].concat()));
            }
            Odd::WrongKey => key = "sluice:not-a-log",
        }
        let mut words = vec!["EVAL", &script, count, key];
        if count == "2" {
            words.push(&once);
        }
        words.extend(arguments);
        let cli = self.stage.cli(topic);
        let answer = match &input {
            Some(input) => cli.run_with_stdin(&[&["-x"], &words[..]].concat(), input).await,
            None => cli.run(&words).await,
        };
        let id = answer.as_ref().ok().and_then(|answer| answer.lines().next()?.parse::<EventId>().ok());
        self.journal.say(&format!("publish.lua for {name} {number} with {odd:?} -> {id:?}"));
        if let Some(id) = id {
            self.books.acknowledge(name, number, id);
            let never = matches!(odd, Odd::NotUtf8 | Odd::WrongKey | Odd::Argument(2, _));
            ensure!(!never, "publish.lua accepted {odd:?}, which nodes skip");
        } else {
            let found = cli.run(&["EVAL", HAS, "1", &log, &payload]).await.unwrap_or_default();
            let error = answer.err().map_or_else(String::new, |error| error.to_string());
            let error = error.lines().last().unwrap_or_default().to_owned();
            ensure!(
                found.is_empty(),
                "publish.lua answered {odd:?} with an error, and {found} is in the log: {error}"
            );
        }
        Ok(())
    }

    async fn honest_script(&self, topic: usize) {
        let name = &self.stage.topics[topic];
        let (number, payload) = self.books.write(name, Duty::Deliver);
        self.books.attempt(name, number);
        let script = self.script.display().to_string();
        let log = self.stage.key(topic, "log");
        let answer = self.redis(topic, &["--eval", &script, &log, ",", &payload], None).await;
        if let Some(id) = answer.as_ref().and_then(|answer| answer.lines().next()?.parse().ok()) {
            self.books.acknowledge(name, number, id);
        }
    }

    async fn occupy(&self, topic: usize, ms: u64) {
        self.redis(topic, &["CONFIG", "SET", "busy-reply-threshold", "50"], None).await;
        let endless = self.redis(topic, &["EVAL", "while true do end", "0"], None);
        let end = async {
            sleep(Duration::from_millis(ms)).await;
            self.redis(topic, &["SCRIPT", "KILL"], None).await
        };
        tokio::join!(endless, end);
    }

    /// Pages must end, and ids must grow. A key that is no log, or a server that is away, may refuse.
    async fn read_history(&self, topic: usize) -> Result<()> {
        const PAGES_MAX: usize = 2_000;
        let name = &self.stage.topics[topic];
        let (mut since, mut last) = ("earliest".to_owned(), None);
        for page in 0.. {
            ensure!(page < PAGES_MAX, "the history of {name} has no end: page {page} since {since}");
            let path = format!("/v1/topics/{name}/events?since={since}&limit=100");
            let response = get(self.stage.plain.addr(), &path).await.context("reading history")?;
            if matches!(response.status, 502 | 503) {
                self.journal.say(&format!("history of {name} -> {}", response.status));
                return Ok(());
            }
            let answer = response.expect_status(200)?.json()?;
            let events = answer.get("events").and_then(Value::as_array).context("history without events")?;
            for event in events {
                let id = event.get("id").and_then(Value::as_str).context("an event without an id")?;
                let id: EventId = id.parse()?;
                ensure!(last.is_none_or(|last| last < id), "history of {name}: {id} after {last:?}");
                last = Some(id);
            }
            let next = answer.get("next").and_then(Value::as_str).context("history without next")?;
            if events.is_empty() || next == since {
                self.journal.say(&format!("history of {name} -> {} pages, to {next}", page + 1));
                return Ok(());
            }
            next.clone_into(&mut since);
        }
        Ok(())
    }
}
