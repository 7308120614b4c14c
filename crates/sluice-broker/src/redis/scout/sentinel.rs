//! Finds the primary that sentinels name. Every sentinel that answers is asked each time, since one alone may
//! be cut off from the others; the newest configuration counts, and only if the server that it names says
//! itself that it is a primary. Each sentinel's connection also listens for `+switch-master`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushKind, Value};
use tokio::time::timeout;

use super::{Calls, Look, all_failed};
use crate::BrokerError;
use crate::redis::dial::Dialler;
use crate::redis::layout::Layout;
use crate::redis::role::{Role, role};
use crate::redis::{failure, parse};
use crate::url::Address;

const SWITCHED: &str = "+switch-master";

pub(in crate::redis) struct Sentinels {
    master: String,
    seats: Vec<Seat>,
    servers: Dialler,
    sentinels: Dialler,
    calls: Arc<Calls>,
    /// The primary as it was seen last, with a connection to ask it again.
    primary: Option<(Address, MultiplexedConnection)>,
}

/// A sentinel's place at the table, taken or empty.
struct Seat {
    address: Address,
    connection: Option<MultiplexedConnection>,
}

/// What one sentinel said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    epoch: u64,
    primary: Address,
}

impl Sentinels {
    pub(in crate::redis) fn new(
        master: String,
        addresses: &[Address],
        servers: Dialler,
        sentinels: Dialler,
        calls: Arc<Calls>,
    ) -> Self {
        let seats = addresses.iter().map(|address| Seat { address: address.clone(), connection: None });
        Self { master, seats: seats.collect(), servers, sentinels, calls, primary: None }
    }

    async fn words(&mut self) -> Result<Vec<Word>, BrokerError> {
        let (master, dialler, calls) = (&self.master, &self.sentinels, &self.calls);
        let within = dialler.timeouts().0;
        let asked = self.seats.iter_mut().map(|seat| async move {
            let answer = timeout(within, seat.ask(master, dialler, calls)).await;
            let late = || {
                BrokerError::Unavailable(format!("the sentinel at {} does not answer in time", seat.address))
            };
            let answer = answer.unwrap_or_else(|_| Err(late()));
            answer.inspect_err(|_| seat.connection = None)
        });
        let (mut words, mut silent) = (Vec::new(), Vec::new());
        for answer in join_all(asked).await {
            match answer {
                Ok(word) => words.push(word),
                Err(why) => silent.push(why),
            }
        }
        if words.is_empty() { Err(all_failed("no sentinel can be used", &silent)) } else { Ok(words) }
    }

    /// What the server says that it is.
    async fn role_of(&mut self, address: &Address) -> Result<Role, BrokerError> {
        let mut connection = match self.primary.take() {
            Some((known, connection)) if known == *address => connection,
            _ => self.servers.asking(address).await?,
        };
        let role = role(&mut connection, address).await?;
        self.primary = Some((address.clone(), connection));
        Ok(role)
    }
}

impl Look for Sentinels {
    const EVERY: Duration = Duration::from_secs(1);

    async fn look(&mut self, _: Option<Address>) -> Result<Layout, BrokerError> {
        let words = self.words().await?;
        let known = self.primary.as_ref().map(|(address, _)| address.clone());
        let within = self.servers.timeouts().0;
        let mut refused = Vec::new();
        for candidate in candidates(words, known.as_ref()) {
            match timeout(within, self.role_of(&candidate)).await {
                Ok(Ok(Role::Primary)) => return Ok(Layout::of_one(candidate)),
                Ok(Ok(Role::Replica)) => {
                    refused.push(BrokerError::Unavailable(format!("Redis at {candidate} is a replica")));
                }
                Ok(Err(why)) => refused.push(why),
                Err(_) => {
                    let why = format!("Redis at {candidate} does not answer in time");
                    refused.push(BrokerError::Unavailable(why));
                }
            }
        }
        let what = format!("the sentinels name no primary of {} that can be used", self.master);
        Err(all_failed(&what, &refused))
    }
}

/// Whom the sentinels name, the most likely first: by the newest configuration, and in one configuration the
/// one that was not known before, since a failover tells its leader first.
fn candidates(mut words: Vec<Word>, known: Option<&Address>) -> Vec<Address> {
    words.sort_by_key(|word| (std::cmp::Reverse(word.epoch), Some(&word.primary) == known));
    let mut named = Vec::new();
    for word in words {
        if !named.contains(&word.primary) {
            named.push(word.primary);
        }
    }
    named
}

impl Seat {
    async fn ask(
        &mut self,
        master: &str,
        dialler: &Dialler,
        calls: &Arc<Calls>,
    ) -> Result<Word, BrokerError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(sit_down(&self.address, dialler, Arc::clone(calls)).await?),
        };
        let mut questions = Pipeline::with_capacity(2);
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        questions.cmd("SENTINEL").arg("MASTER").arg(master);
        let answers = connection.send_packed_commands(&questions, 0, 2).await;
        let answers = answers.map_err(|error| failure::of(&error, &self.address))?;
        let odd = || failure::odd("SENTINEL GET-MASTER-ADDR-BY-NAME", "address");
        let [address, details] = <[Value; 2]>::try_from(answers).map_err(|_| odd())?;
        let address = failure::checked(address)?;
        if address == Value::Nil {
            // It may be told of it yet.
            return Err(BrokerError::Unavailable(format!(
                "the sentinel at {} watches no master called {master}; correct the name in redis.url",
                self.address
            )));
        }
        let primary = named(&address).ok_or_else(odd)?;
        // Without the right to see it, all configurations count alike.
        Ok(Word { epoch: epoch(&details).unwrap_or_default(), primary })
    }
}

async fn sit_down(
    address: &Address,
    dialler: &Dialler,
    calls: Arc<Calls>,
) -> Result<MultiplexedConnection, BrokerError> {
    let heard = dialler.listening(address, move |push| {
        if push.kind == PushKind::Message {
            calls.make(None);
        }
    });
    let mut connection = heard.await?;
    // Asking from time to time does as well, only later.
    drop(connection.subscribe(SWITCHED).await);
    Ok(connection)
}

fn named(answer: &Value) -> Option<Address> {
    let Value::Array(parts) = answer else { return None };
    let [host, port] = parts.as_slice() else { return None };
    Some(Address { host: parse::text(host)?.to_owned(), port: parse::text(port)?.parse().ok()? })
}

fn epoch(details: &Value) -> Option<u64> {
    let fields = parse::fields(details)?;
    let (_, value) = fields.into_iter().find(|(name, _)| parse::text(name) == Some("config-epoch"))?;
    parse::text(value)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn word(epoch: u64, port: u16) -> Word {
        Word { epoch, primary: Address { host: "h".to_owned(), port } }
    }

    #[test]
    fn answers_of_both_protocols_are_read() {
        let address = named(&Value::Array(vec![bulk("10.0.0.1"), bulk("6379")])).unwrap();
        assert_eq!(address.to_string(), "10.0.0.1:6379");
        assert_eq!(named(&Value::Nil), None);
        let flat = Value::Array(vec![bulk("name"), bulk("m"), bulk("config-epoch"), bulk("7")]);
        let map = Value::Map(vec![(bulk("name"), bulk("m")), (bulk("config-epoch"), bulk("7"))]);
        assert_eq!((epoch(&flat), epoch(&map), epoch(&Value::Nil)), (Some(7), Some(7), None));
    }

    #[test]
    fn the_newest_configuration_comes_first_and_then_news() {
        let ports = |words: Vec<Word>, known: Option<u16>| {
            let known = known.map(|port| word(0, port).primary);
            candidates(words, known.as_ref()).into_iter().map(|address| address.port).collect::<Vec<_>>()
        };
        assert_eq!(ports(vec![word(1, 1), word(2, 2), word(1, 1)], Some(1)), [2, 1]);
        assert_eq!(ports(vec![word(1, 1), word(1, 2), word(1, 1)], Some(1)), [2, 1]);
        assert_eq!(ports(vec![word(1, 1), word(1, 2)], None), [1, 2]);
    }
}
