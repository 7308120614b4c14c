//! What a sequence does, drawn from a seed alone: the same seed gives the same commands on every machine.

use std::fmt;

use fastrand::Rng;

/// One command of a sequence, and the topic that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Index of the topic.
    pub(super) topic: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `XADD`.
    Entry(Entry, Id),
    /// `XDEL` of the newest entry but so many.
    Remove(usize),
    /// `XTRIM MAXLEN`.
    Trim(usize),
    /// `XTRIM MINID` of the newest entry.
    TrimToNewest,
    /// `DEL` of the log.
    Delete,
    /// `PEXPIRE` of the log.
    Expire(u64),
    /// `RENAME` of the log to a spare key.
    RenameAway,
    /// `RENAME` of the spare key to the log.
    RenameBack,
    /// `COPY` of the log to a spare key.
    CopyAway,
    /// `COPY .. REPLACE` of the spare key to the log.
    CopyBack,
    /// `RESTORE` of a `DUMP` of the spare key in place of the log.
    Restore,
    /// A spare key with entries of its own, from this id on.
    FillSpare(Id),
    /// `XSETID`.
    SetLastId(Id),
    /// `XSETID .. MAXDELETEDID` of the far future.
    SetDeletedId,
    /// A key of another type in place of the log.
    WrongType(Type),
    /// `XGROUP CREATE .. MKSTREAM`.
    Group,
    /// A message on the live channel.
    Publish(Message),
    /// `publish.lua` with arguments that no publisher of Sluice sends.
    Script(Odd),
    /// `publish.lua` as the documentation shows it.
    HonestScript,
    /// `sluice publish`.
    HonestProgram,
    FlushAll,
    FlushScripts,
    /// A script that does not end for so many milliseconds.
    Busy(u64),
    /// A memory limit that refuses every write for so many milliseconds.
    Full(u64),
    /// `CLIENT KILL TYPE`.
    KillClients(&'static str),
    Wait(u64),
    /// A client opens a stream.
    Open(Carrier, Beginning),
    /// Clients that come and go leave and come back on the other gateway.
    Roam,
    /// The history of the topic is read to its end.
    ReadHistory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Event,
    WithoutData,
    NotUtf8,
    ReservedType,
    TypeWithLineEnd,
}

/// The id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    /// As Redis gives it.
    Automatic,
    /// In the millisecond of the last entry.
    SameMillisecond,
    /// `5-1`.
    Beginning,
    HourAgo,
    HourAhead,
    /// `9999999999999-0`.
    FarFuture,
    /// `18446744073709551615-1`.
    Huge,
    /// The greatest that there is, after which a log takes nothing.
    Greatest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    List,
    Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Text,
    /// Of a list of malformed envelopes.
    Malformed(usize),
    /// An envelope of an event that no log holds.
    Forged(Id, Previous),
}

/// What a forged envelope says of the event before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Previous {
    None,
    Last,
    Wrong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    /// This argument is the text.
    Argument(usize, &'static str),
    NotUtf8,
    /// The first key is not a log.
    WrongKey,
}

/// The protocol of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Plain,
    Tls,
    Http2,
}

/// Where a client without a cursor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    Now,
    Since(&'static str),
}

impl Carrier {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Http2];
}

const IDS: [Id; 7] =
    [Id::SameMillisecond, Id::Beginning, Id::HourAgo, Id::HourAhead, Id::FarFuture, Id::Huge, Id::Greatest];
const BEGINNINGS: [Beginning; 8] = [
    Beginning::Now,
    Beginning::Now,
    Beginning::Since("last:0"),
    Beginning::Since("last:3"),
    Beginning::Since("last:10000"),
    Beginning::Since("earliest"),
    Beginning::Since("5s"),
    Beginning::Since("1h"),
];
const ODD: [Odd; 18] = [
    Odd::Argument(2, "sluice.expired"),
    Odd::Argument(2, "line\nbreak"),
    Odd::Argument(3, "not a traceparent\n"),
    Odd::Argument(4, "many"),
    Odd::Argument(4, "-1"),
    Odd::Argument(5, "old"),
    Odd::Argument(5, "-1"),
    Odd::Argument(5, "1e300"),
    Odd::Argument(6, "never"),
    Odd::Argument(6, "0"),
    Odd::Argument(6, "-5"),
    Odd::Argument(7, "soon"),
    Odd::Argument(8, "SAY"),
    Odd::Argument(9, "later"),
    Odd::Argument(9, "1e300"),
    Odd::Argument(9, "99999999999999"),
    Odd::NotUtf8,
    Odd::WrongKey,
];
/// Begin like an envelope and are none.
pub(super) const MALFORMED: [&[u8]; 8] = [
    b"\x01",
    b"\x01garbage",
    b"\x01v=1 id=abc prev=0-0\ndata",
    b"\x01v=1 id=1-1 prev=0-0 type=a%0Aid: 9-9\ndata",
    b"\x01v=2 id=1-1 prev=0-0\ndata",
    b"\x01v=1 id=1-1 prev=0-0\n\xff\xfe",
    b"\x01v=1 id=99999999999999999999-1 prev=0-0\ndata",
    b"\xff\xfe not text",
];

/// One sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) commands: Vec<Command>,
    /// By topic, whether honest publishers are at work meanwhile. Otherwise the last entry of its log is a foreign one.
    pub(super) published: Vec<bool>,
}

/// The sequence with this number.
pub(super) fn draw(seed: u64, number: u64, topics: usize) -> Sequence {
    // Any odd factor does: neighbouring sequences are to have nothing in common.
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number));
    let published: Vec<_> = (0..topics).map(|_| rng.bool()).collect();
    let count = rng.usize(1..=8);
    // Few topics at a time, so that commands meet.
    let focus = rng.usize(..topics);
    let mut commands = Vec::new();
    for _ in 0..count {
        let topic = if rng.u8(..4) == 0 { rng.usize(..topics) } else { focus };
        commands.push(Command { topic, kind: kind(&mut rng) });
        if rng.bool() {
            // Beyond the period of tail checks now and then, and beyond the shortest expiry of a variant.
            let wait = match rng.u8(..24) {
                0 => 6_000,
                1..7 => 1_200,
                _ => rng.u64(1..60),
            };
            commands.push(Command { topic, kind: Kind::Wait(wait) });
        }
    }
    Sequence { commands, published }
}

fn kind(rng: &mut Rng) -> Kind {
    match rng.usize(..64) {
        0..8 => Kind::Entry(entry(rng), Id::Automatic),
        8..16 => Kind::Entry(entry(rng), any(rng, &IDS)),
        16..19 => Kind::Remove(rng.usize(..4)),
        19..21 => Kind::Trim(rng.usize(..4)),
        21 => Kind::TrimToNewest,
        22..26 => Kind::Delete,
        26 => Kind::Expire(rng.u64(1..300)),
        27 => Kind::RenameAway,
        28 => Kind::RenameBack,
        29 => Kind::CopyAway,
        30 => Kind::CopyBack,
        31 => Kind::Restore,
        32 => Kind::FillSpare(any(rng, &IDS)),
        33 => Kind::SetLastId(any(rng, &IDS)),
        34 => Kind::SetDeletedId,
        35 => Kind::WrongType(any(rng, &[Type::Text, Type::List, Type::Hash])),
        36 => Kind::Group,
        37 => Kind::Publish(Message::Text),
        38..40 => Kind::Publish(Message::Malformed(rng.usize(..MALFORMED.len()))),
        40..43 => {
            let previous = any(rng, &[Previous::None, Previous::Last, Previous::Wrong]);
            Kind::Publish(Message::Forged(any(rng, &IDS), previous))
        }
        43..47 => Kind::Script(any(rng, &ODD)),
        47 => Kind::HonestScript,
        48 => Kind::HonestProgram,
        49 => Kind::FlushAll,
        50 => Kind::FlushScripts,
        51 => Kind::Busy(rng.u64(200..1_500)),
        52 => Kind::Full(rng.u64(200..1_500)),
        53 => Kind::KillClients(any(rng, &["pubsub", "normal"])),
        54..60 => Kind::Open(any(rng, &Carrier::ALL), any(rng, &BEGINNINGS)),
        60..62 => Kind::Roam,
        _ => Kind::ReadHistory,
    }
}

fn entry(rng: &mut Rng) -> Entry {
    let all = [Entry::Event, Entry::WithoutData, Entry::NotUtf8, Entry::ReservedType, Entry::TypeWithLineEnd];
    any(rng, &all)
}

fn any<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

impl Command {
    /// Whether it may take events from streams or from logs: only behind one that does may a gap be told.
    pub(super) fn disturbs(&self) -> bool {
        match self.kind {
            Kind::Entry(_, id) => id != Id::Automatic,
            Kind::Publish(Message::Forged(..)) => true,
            Kind::Publish(_)
            | Kind::Script(Odd::NotUtf8 | Odd::WrongKey | Odd::Argument(2 | 3 | 7 | 8, _))
            | Kind::HonestScript
            | Kind::HonestProgram
            | Kind::FlushScripts
            | Kind::Busy(_)
            | Kind::Full(_)
            | Kind::KillClients(_)
            | Kind::Wait(_)
            | Kind::Open(..)
            | Kind::Roam
            | Kind::Group
            | Kind::ReadHistory => false,
            _ => true,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t/{}: {:?}", self.topic, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn a_seed_draws_the_same_commands_again_and_every_kind_in_the_end() {
        assert_eq!(draw(7, 3, 3), draw(7, 3, 3));
        assert_ne!(draw(7, 3, 3), draw(7, 4, 3));
        assert_ne!(draw(7, 3, 3), draw(8, 3, 3));
        let commands = (0..2_000).flat_map(|number| draw(1, number, 3).commands);
        let kinds: HashSet<_> = commands.map(|command| discriminant(&command.kind)).collect();
        assert_eq!(kinds.len(), 29, "{kinds:?}");
    }
}
