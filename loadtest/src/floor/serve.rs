//! The floor's sockets.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::log::{Log, Position};
use super::{Plant, Ready, Sending};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
    transfer-encoding: chunked\r\n\r\n";
/// Poller tokens that are no slot.
const STREAMS: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;
const PUBLISHER: u64 = u64::MAX - 2;
const STDIN: u64 = u64::MAX - 3;
/// Events kept for streams that resume.
const KEPT_EVENTS: u64 = 4096;
/// The number of the event that a planted fault befalls.
const PLANTED: u64 = 4;

/// One stream.
struct Slot {
    socket: OwnedFd,
    greeted: bool,
    blocked: bool,
    position: Position,
    sent_bytes: u64,
}

const _: () = assert!(size_of::<Option<Slot>>() <= 48, "a slot has at most 48 bytes");

/// The floor.
pub(super) struct Server {
    poller: OwnedFd,
    streams: OwnedFd,
    control: OwnedFd,
    publisher: Option<OwnedFd>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    log: Log,
    sending: Sending,
    plant: Option<Plant>,
    buffer: Vec<u8>,
}

impl Server {
    /// Listens on two free ports of the loopback.
    pub(super) fn bind(sending: Sending, plant: Option<Plant>) -> Result<Self> {
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        let (streams, control) = (listen()?, listen()?);
        for (socket, token) in [(&streams, STREAMS), (&control, CONTROL)] {
            epoll::add(&poller, socket, EventData::new_u64(token), EventFlags::IN)?;
        }
        epoll::add(&poller, std::io::stdin(), EventData::new_u64(STDIN), EventFlags::IN)?;
        let buffer = vec![0; 256 * 1024];
        let (line, slots, free, log) = (Vec::new(), Vec::new(), Vec::new(), Log::default());
        Ok(Self { poller, streams, control, publisher: None, line, slots, free, log, sending, plant, buffer })
    }

    /// Where it listens.
    pub(super) fn ready(&self) -> Result<Ready> {
        let at = |socket: &OwnedFd| -> Result<SocketAddr> { Ok(net::getsockname(socket)?.try_into()?) };
        Ok(Ready { streams: at(&self.streams)?, control: at(&self.control)? })
    }

    /// Serves until standard input ends.
    pub(super) fn serve(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(1024);
        loop {
            events.clear();
            match epoll::wait(&self.poller, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
            for event in &events {
                match event.data.u64() {
                    STREAMS => self.accept_streams()?,
                    CONTROL => self.accept_publisher()?,
                    PUBLISHER => self.take_events(),
                    STDIN => return Ok(()),
                    slot => self.slot_ready(usize::try_from(slot)?, event.flags),
                }
            }
        }
    }

    fn accept_streams(&mut self) -> Result<()> {
        while let Ok(socket) = net::accept_with(&self.streams, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            let index = self.free.pop().unwrap_or(self.slots.len());
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.poller, &socket, EventData::new_u64(index as u64), flags)?;
            if index == self.slots.len() {
                self.slots.push(None);
            }
            let position = Position { event: self.log.next(), part: 0 };
            self.slots[index] =
                Some(Slot { socket, greeted: false, blocked: false, position, sent_bytes: 0 });
        }
        Ok(())
    }

    fn accept_publisher(&mut self) -> Result<()> {
        let socket = net::accept_with(&self.control, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        epoll::add(&self.poller, &socket, EventData::new_u64(PUBLISHER), EventFlags::IN)?;
        self.publisher = Some(socket);
        Ok(())
    }

    fn take_events(&mut self) {
        let Some(publisher) = &self.publisher else { return };
        let read = match net::recv(publisher, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((read, _)) if read > 0 => read,
            Err(Errno::AGAIN | Errno::INTR) => return,
            _ => return self.publisher = None,
        };
        self.line.extend_from_slice(&self.buffer[..read]);
        let whole = memchr::memrchr(b'\n', &self.line).map_or(0, |at| at + 1);
        for line in self.line[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.log.push(line);
        }
        self.line.drain(..whole);
        for index in 0..self.slots.len() {
            self.send(index);
        }
        self.log.trim(self.oldest_needed());
    }

    /// Streams that are behind need their events; streams that resume may ask for the last [`KEPT_EVENTS`].
    fn oldest_needed(&self) -> u64 {
        let kept = self.log.next().saturating_sub(KEPT_EVENTS);
        self.slots.iter().flatten().map(|slot| slot.position.event).min().map_or(kept, |slot| slot.min(kept))
    }

    fn slot_ready(&mut self, index: usize, flags: EventFlags) {
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            match net::recv(&slot.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((read, _)) if read > 0 => {
                    if !slot.greeted {
                        // A request this small comes in one piece over the loopback.
                        greet(slot, &self.log, &self.buffer[..read]);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                _ => return self.close(index),
            }
        }
        if flags.contains(EventFlags::OUT) {
            slot.blocked = false;
        }
        self.send(index);
    }

    /// Sends what the stream lacks, until it is done or would block.
    fn send(&mut self, index: usize) {
        let plant = self.plant.filter(|_| index == 0);
        let Some(slot) = self.slots[index].as_mut().filter(|slot| slot.greeted && !slot.blocked) else {
            return;
        };
        while slot.position.event < self.log.next() {
            if let (Some(plant), PLANTED) = (plant, slot.position.event) {
                if self.log.next() <= PLANTED + 1 {
                    return;
                }
                plant_fault(slot, &self.log, plant);
                continue;
            }
            let bytes = match self.sending {
                Sending::Single => self.log.event(slot.position),
                Sending::Joined => self.log.rest(slot.position),
            };
            match net::send(&slot.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => {
                    slot.position = self.log.advance(slot.position, sent);
                    slot.sent_bytes += sent as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return slot.blocked = true,
                Err(_) => return self.close(index),
            }
        }
    }

    fn close(&mut self, index: usize) {
        self.slots[index] = None;
        self.free.push(index);
    }
}

fn listen() -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    net::listen(&socket, 4096)?;
    Ok(socket)
}

/// Answers the request: head, the cursor as the first frame, and the position that the client asks for.
fn greet(slot: &mut Slot, log: &Log, request: &[u8]) {
    if let Some(event) = last_event_id(request) {
        slot.position.event = event.clamp(log.first(), log.next());
    }
    let id = format!("id: {}-0\n\n", slot.position.event);
    let mut text = HEAD.to_vec();
    text.extend_from_slice(format!("{:x}\r\n{id}\r\n", id.len()).as_bytes());
    // A fresh socket takes so few bytes at once.
    let _ = net::send(&slot.socket, &text, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    slot.greeted = true;
}

/// The id of the last event seen, which is the number of the next.
fn last_event_id(request: &[u8]) -> Option<u64> {
    let request = std::str::from_utf8(request).ok()?;
    let (_, value) = request
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| *name == "last-event-id")?;
    value.split_once('-')?.0.parse().ok()
}

/// Breaks continuity at the slot's position, as told.
fn plant_fault(slot: &mut Slot, log: &Log, plant: Plant) {
    let (this, next) = (Position { event: PLANTED, part: 0 }, Position { event: PLANTED + 1, part: 0 });
    let (events, behind): (&[Position], u64) = match plant {
        Plant::Loss => (&[next], 2),
        Plant::Repeat => (&[this, this], 1),
        Plant::Reorder => (&[next, this], 2),
    };
    for event in events {
        let _ = net::send(&slot.socket, log.event(*event), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
    slot.position.event = PLANTED + behind;
}
