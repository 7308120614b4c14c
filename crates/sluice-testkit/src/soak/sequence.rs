//! One sequence, from its first command to the last check.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::act::{Hand, Journal};
use super::checks::{self, Baseline};
use super::command::{self, Beginning, Carrier, Kind};
use super::reader::Reader;
use super::report::Played;
use super::stage::{Place, Stage};
use super::{Soak, writer};
use crate::books::Books;
use crate::deadline::eventually;

/// Gaps of one topic that one client may be told in one sequence: more than its commands can give reason for.
const GAPS_MAX: usize = 60;

/// The clients that stay from one sequence to the next, and the books of all.
pub(super) struct Crowd {
    books: Books,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    moves: watch::Sender<u64>,
    /// Nobody moves those that stay.
    _stays: watch::Sender<u64>,
    baseline: Option<Baseline>,
}

impl Crowd {
    pub(super) fn gather(stage: &Stage) -> Self {
        let (moves, (stays, staying)) = (watch::Sender::new(0), watch::channel(0));
        let mut crowd = Self {
            books: Books::default(),
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            moves,
            _stays: stays,
            baseline: None,
        };
        let all = &stage.topics;
        let sets = [&all[..1], &all[1..2], &all[..2], &all[..]];
        for carrier in Carrier::ALL {
            for topics in sets {
                let name = format!("{carrier:?} stream of {}", topics.join("+"));
                crowd.join(&name, topics, vec![stage.place(carrier)], None, staying.clone());
            }
        }
        let (plain, secure) = (stage.place(Carrier::Plain), stage.place(Carrier::Http2));
        for (number, topics) in sets.iter().enumerate() {
            let mut places = vec![plain.clone(), secure.clone()];
            places.rotate_left(number % 2);
            let name = format!("roaming stream of {}", topics.join("+"));
            let moves = crowd.moves.subscribe();
            crowd.join(&name, topics, places, None, moves);
        }
        crowd
    }

    fn join(
        &mut self,
        name: &str,
        topics: &[String],
        places: Vec<Place>,
        since: Option<String>,
        moves: watch::Receiver<u64>,
    ) -> CancellationToken {
        let book = self.books.client(name, topics);
        let stop = self.stop.child_token();
        let reader = Reader { book, topics: topics.to_vec(), places, since, moves };
        self.tasks.spawn(reader.run(stop.clone()));
        stop
    }

    pub(super) async fn leave(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Soak {
    /// Plays one sequence. Whatever is wrong is in the answer.
    pub(super) async fn play(&self, stage: &mut Stage, crowd: &mut Crowd, sequence: u64) -> Played {
        let (journal, began) = (Journal::new(), Instant::now());
        let drawn = command::draw(self.seed, sequence, stage.topics.len());
        let commands = &drawn.commands;
        let mut played = Played {
            sequence,
            commands: commands.len(),
            variant: format!("{:?}", stage.variant),
            ..Played::default()
        };
        let mut visitors = Vec::new();
        let done = self.strike(stage, crowd, &drawn, &journal, &mut visitors, &mut played).await;
        if let Err(error) = done {
            played.faults.push(format!("{error:#}"));
        }
        let quiet = !commands.iter().any(command::Command::disturbs);
        if quiet && played.gaps > 0 {
            played.faults.push(format!("{} gaps were told, although nothing was taken away", played.gaps));
        }
        match checks::well(stage, &mut crowd.baseline).await {
            Ok(busiest) => played.busiest = busiest,
            Err(error) => played.faults.push(format!("{error:#}")),
        }
        visitors.iter().for_each(CancellationToken::cancel);
        if !played.faults.is_empty() {
            played.faults.extend(checks::last_words(stage));
        }
        played.journal =
            commands.iter().map(|command| format!("drawn: {command}")).chain(journal.lines()).collect();
        played.took = began.elapsed();
        played
    }

    /// The commands beside honest publishers, then one last event to each topic, then the books.
    async fn strike(
        &self,
        stage: &Stage,
        crowd: &mut Crowd,
        drawn: &command::Sequence,
        journal: &Journal,
        visitors: &mut Vec<CancellationToken>,
        played: &mut Played,
    ) -> Result<()> {
        let books = crowd.books.clone();
        let door = stage.publisher.publisher_addr();
        let (mut lanes, stop) = (JoinSet::new(), CancellationToken::new());
        let _stop = stop.clone().drop_guard();
        for (topic, _) in stage.topics.iter().zip(&drawn.published).filter(|(_, published)| **published) {
            lanes.spawn(writer::keep_publishing(books.clone(), door, topic.clone(), stop.clone()));
        }
        let hand = Hand {
            stage,
            books: &books,
            journal,
            binary: &self.binary,
            script: &self.script,
            left_out: AtomicU64::new(0),
        };
        let counted = checks::left_out(stage).await?;
        for command in &drawn.commands {
            match command.kind {
                Kind::Open(carrier, beginning) => {
                    visitors.push(visit(stage, crowd, command.topic, carrier, beginning, journal));
                }
                Kind::Roam => {
                    journal.say("roaming streams move on");
                    crowd.moves.send_modify(|visits| *visits += 1);
                }
                _ => {
                    if let Err(error) = hand.act(command).await {
                        played.faults.push(format!("{error:#}"));
                    }
                }
            }
        }
        stage.make_sane().await.context("making keys sane again")?;
        journal.say("keys are sane again");
        stop.cancel();
        while let Some(ended) = lanes.join_next().await {
            ended?.context("an honest publisher")?;
        }
        let last = stage.topics.iter().map(async |topic| {
            Ok::<_, anyhow::Error>((topic.clone(), writer::publish(&books, door, topic).await?))
        });
        let last: HashMap<_, _> = try_join_all(last).await.context("the last event")?.into_iter().collect();
        journal.say(&format!("last events: {last:?}"));
        let acknowledged = Instant::now();
        let arrived = eventually("the last event to reach every stream", self.arrives_within, async || {
            let lacking = books.lacking(&last);
            anyhow::ensure!(lacking.is_empty(), "{} lack it: {}", lacking.len(), lacking.join("; "));
            Ok(())
        });
        if let Err(error) = arrived.await {
            played.faults.push(format!("{error:#}"));
        }
        played.arrived = acknowledged.elapsed();
        self.judge(stage, &books, played).await?;
        let cut_off = drawn.commands.iter().any(|command| matches!(command.kind, Kind::KillClients(_)));
        if !(cut_off || drawn.commands.iter().any(command::Command::disturbs)) {
            let expected = hand.left_out.load(Ordering::Relaxed);
            checks::counts_left_out(stage, counted, expected).await?;
        }
        Ok(())
    }

    async fn judge(&self, stage: &Stage, books: &Books, played: &mut Played) -> Result<()> {
        let mut kept = HashMap::new();
        for (index, topic) in stage.topics.iter().enumerate() {
            kept.insert(
                topic.clone(),
                stage.ids(index).await.with_context(|| format!("the log of {topic}"))?,
            );
        }
        let verdict = books.close(&kept);
        played.faults.extend(verdict.faults);
        (played.delivered, played.gaps) = (verdict.delivered, verdict.gaps);
        if verdict.most_gaps > GAPS_MAX {
            let most = verdict.most_gaps;
            played.faults.push(format!("one client was told {most} gaps of one topic, more than {GAPS_MAX}"));
        }
        Ok(())
    }
}

/// A client that comes for this sequence alone: of one topic, or of all by HTTP/2.
fn visit(
    stage: &Stage,
    crowd: &mut Crowd,
    topic: usize,
    carrier: Carrier,
    beginning: Beginning,
    journal: &Journal,
) -> CancellationToken {
    let topics = match carrier {
        Carrier::Http2 => stage.topics.clone(),
        _ => vec![stage.topics[topic].clone()],
    };
    let since = match beginning {
        Beginning::Now => None,
        Beginning::Since(since) => Some(since.to_owned()),
    };
    let name = format!("{carrier:?} visitor of {}, since {since:?}", topics.join("+"));
    journal.say(&format!("comes: {name}"));
    let moves = crowd.moves.subscribe();
    crowd.join(&name, &topics, vec![stage.place(carrier)], since, moves)
}

/// So long nothing happens, once for each look at how busy processes are.
pub(super) const QUIET: Duration = Duration::from_secs(1);
