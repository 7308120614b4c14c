//! Publishing: numbered, timed events to whatever is measured, by the way that it offers. A publisher waits for
//! the answers to each batch, so an event that it counts as published was accepted.

mod control;
mod http;
mod redis;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use self::control::Control;
use self::http::Http;
pub(crate) use self::redis::Redis;
use self::redis::Script;
use crate::clock::monotonic_ns;
use crate::payload::Stamp;

/// Where and how to publish.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// By the publish script (the repository's, or a file) to the Redis at this address.
    Redis(SocketAddr, Option<PathBuf>),
    /// By `POST /v1/topics/<topic>/events`.
    Sluice(SocketAddr),
    /// By `POST /pub/<topic>`.
    Nchan(SocketAddr),
    /// By lines on the floor's control connection.
    Floor(SocketAddr),
}

/// An event ready to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) data: &'a [u8],
}

enum Link {
    Redis(Script),
    Http(Http),
    Floor(Control),
}

/// Publishes to the topics of one part, numbering the events of each from 1.
pub(crate) struct Publisher {
    link: Link,
    names: Vec<String>,
    numbers: Vec<u64>,
    size: usize,
    text: Vec<u8>,
}

impl Publisher {
    /// Connects. `names` are the topics by index, `size` the bytes of each event's data.
    pub(crate) fn connect(way: &Way, names: Vec<String>, size: usize) -> Result<Self> {
        let link = match way {
            Way::Redis(address, script) => Link::Redis(Script::load(*address, script.as_deref())?),
            Way::Sluice(address) => Link::Http(Http::connect(*address, http::SLUICE)?),
            Way::Nchan(address) => Link::Http(Http::connect(*address, http::NCHAN)?),
            Way::Floor(address) => Link::Floor(Control::connect(*address)?),
        };
        let numbers = vec![0; names.len()];
        Ok(Self { link, names, numbers, size, text: Vec::new() })
    }

    /// The last number of each topic.
    pub(crate) fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Publishes the next event of each of `topics`, as one batch; returns their ids.
    pub(crate) fn publish(&mut self, topics: &[u32]) -> Result<Vec<String>> {
        self.text.clear();
        let mut ends = Vec::with_capacity(topics.len());
        for topic in topics {
            let number = &mut self.numbers[*topic as usize];
            *number += 1;
            Stamp { topic: *topic, number: *number, at_ns: monotonic_ns() }.write(self.size, &mut self.text);
            ends.push(self.text.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let events: Vec<Outgoing<'_>> = topics
            .iter()
            .zip(starts.zip(&ends))
            .map(|(topic, (start, end))| Outgoing {
                topic: &self.names[*topic as usize],
                data: &self.text[start..*end],
            })
            .collect();
        let ids = match &mut self.link {
            Link::Redis(link) => link.publish(&events)?,
            Link::Http(link) => link.publish(&events)?,
            Link::Floor(link) => link.publish(&events)?,
        };
        ensure!(
            ids.len() == events.len(),
            "{} events were published, {} acknowledged",
            events.len(),
            ids.len()
        );
        Ok(ids)
    }
}
