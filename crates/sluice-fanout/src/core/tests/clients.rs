//! The clients of a core under test: sockets with so much room, and what came through them.

use std::collections::HashMap;

use sluice_wire::sse::{Decoder, Item};

use crate::core::{Output, Sent};
use crate::ring::Framing;

/// The client's end of a stream.
#[derive(Default)]
pub(super) struct Client {
    pub(super) feed: u32,
    pub(super) framing: Framing,
    pub(super) received: Vec<u8>,
    /// Bytes that its socket takes before it is full.
    pub(super) room: usize,
    pub(super) gone: bool,
    /// Where it stood when it joined for the first time.
    pub(super) joined_at: Vec<u64>,
    pub(super) ended: bool,
}

#[derive(Default)]
pub(super) struct Clients(pub(super) HashMap<u32, Client>);

impl Output<u32> for Clients {
    fn send(&mut self, socket: &u32, bytes: &[u8]) -> Sent {
        let client = self.0.get_mut(socket).unwrap();
        if client.gone {
            return Sent::Gone;
        }
        let taken = bytes.len().min(client.room);
        client.room -= taken;
        client.received.extend_from_slice(&bytes[..taken]);
        Sent::Bytes(taken)
    }
}

impl Client {
    pub(super) fn numbers_received(&self, topic: u32) -> Vec<u64> {
        let mut items = Vec::new();
        match self.framing {
            Framing::Raw => Decoder::new().feed(&self.received, &mut items),
            Framing::Chunked => Decoder::new().feed(&unchunked(&self.received), &mut items),
        }
        let data = items.iter().filter_map(|item| match item {
            Item::Event(event) => Some(event.data.as_str()),
            _ => None,
        });
        data.filter_map(|data| {
            let mut parts = data.split(':');
            (parts.next()?.parse() == Ok(topic)).then(|| parts.next().unwrap().parse().unwrap())
        })
        .collect()
    }
}

/// The payloads of the chunks; the last may be cut off.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line]).unwrap();
        let len = usize::from_str_radix(size, 16).expect("a chunk begins here");
        let chunk = &bytes[line + 2..];
        payload.extend_from_slice(&chunk[..len.min(chunk.len())]);
        bytes = chunk.get(len + 2..).unwrap_or_default();
    }
    payload
}
