//! What happens when a stream's socket is ready: its bytes go through its reader, and every event through the
//! checker and its group's histogram. This is the tool's hot path.

use std::ops::Range;

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::Generator;
use super::group::RunningGroup;
use super::protocol::Counts;
use super::stream::State;
use crate::checker::Checker;
use crate::clock::monotonic_ns;
use crate::payload::Stamp;
use crate::reader::{Event, Sink};

/// What control events of Sluice begin with.
const CONTROL: &[u8] = b"sluice.";

impl Generator {
    /// The poller says that the stream's socket is ready.
    pub(super) fn stream_ready(&mut self, index: u32, flags: EventFlags) {
        let Some(stream) = self.streams.get(index as usize) else { return };
        match stream.state {
            State::Connecting if flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) => {
                self.connected(index);
            }
            State::Asked | State::Open => self.receive(index, READ_ALL),
            _ => {}
        }
    }

    /// Takes at most `bytes_max` bytes from the stream. One read and no more: the poller is level-triggered, so
    /// that what is left comes up again behind the other streams.
    pub(super) fn receive(&mut self, index: u32, bytes_max: usize) {
        let stream = &mut self.streams[index as usize];
        let Some(socket) = &stream.socket else { return };
        let room = bytes_max.min(self.buffer.len());
        let read = match recv(socket, &mut self.buffer[..room], RecvFlags::DONTWAIT) {
            Ok((read, _)) if read > 0 => read,
            Ok(_) => return self.ended(index, "the server closed the connection"),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(fault) => return self.ended(index, &format!("read: {fault}")),
        };
        let mut receipt = Receipt {
            now: monotonic_ns(),
            lanes: stream.lanes(),
            checker: &mut self.checker,
            group: &mut self.groups[usize::from(stream.group)],
            counts: &mut self.counts,
            last_id: &mut stream.last_id,
            retry_ms: &mut stream.retry_ms,
            status: None,
        };
        let mut bytes = &self.buffer[..read];
        if stream.reader.is_between_chunks() {
            let heard = self.echo.hear(bytes, |stamp| receipt.take(stamp));
            if heard.bytes > 0 {
                receipt.remember(&bytes[heard.id]);
                bytes = &bytes[heard.bytes..];
            }
        }
        let outcome = stream.reader.feed(bytes, &mut receipt);
        let status = receipt.status;
        match (outcome, status) {
            (Err(fault), _) => self.failed(index, &fault.to_string()),
            (Ok(()), Some(200)) => self.opened(index),
            (Ok(()), Some(status)) => return self.failed(index, &format!("status {status}")),
            (Ok(()), None) => {}
        }
        if self.streams[index as usize].reader.is_over() {
            self.ended(index, "the server ended the stream");
        }
    }

    /// The head came.
    fn opened(&mut self, index: u32) {
        let stream = &mut self.streams[index as usize];
        stream.state = State::Open;
        stream.opened = true;
        self.connecting -= 1;
        self.counts.opened += 1;
        if self.groups[usize::from(stream.group)].slow_bytes_per_second.is_some() {
            if let Some(socket) = &stream.socket {
                let _ = epoll::delete(&self.poller, socket);
            }
            self.slow.push(index);
        }
    }
}

/// No limit but the buffer's.
const READ_ALL: usize = usize::MAX;

/// Takes what one read completed.
struct Receipt<'a> {
    now: u64,
    lanes: Range<usize>,
    checker: &'a mut Checker,
    group: &'a mut RunningGroup,
    counts: &'a mut Counts,
    last_id: &'a mut Vec<u8>,
    retry_ms: &'a mut u32,
    status: Option<u16>,
}

impl Sink for Receipt<'_> {
    fn head(&mut self, status: u16) {
        self.status = Some(status);
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        if let Some(id) = event.id {
            self.remember(id);
        }
        if let Some(ms) = event.retry_ms {
            *self.retry_ms = ms;
        }
        let Some(data) = event.data else { return };
        match Stamp::read(data) {
            Some(stamp) if event.kind.is_none() => self.take(stamp),
            _ => self.other(event),
        }
    }
}

impl Receipt<'_> {
    /// An event of a load.
    #[inline]
    fn take(&mut self, stamp: Stamp) {
        self.checker.see(self.lanes.clone(), stamp.topic, stamp.number);
        self.group.record(self.now.saturating_sub(stamp.at_ns));
    }

    /// The stream's cursor moved.
    #[inline]
    fn remember(&mut self, id: &[u8]) {
        self.last_id.clear();
        self.last_id.extend_from_slice(id);
    }

    #[cold]
    fn other(&mut self, event: &Event<'_>) {
        match event.kind {
            Some(b"sluice.shed") => self.counts.sheds += 1,
            Some(b"sluice.gap") => self.counts.gaps += 1,
            Some(kind) if kind.starts_with(CONTROL) => self.counts.controls += 1,
            _ => self.checker.foreign(),
        }
    }
}
