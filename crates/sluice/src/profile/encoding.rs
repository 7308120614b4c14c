//! The format of pprof: a protobuf message, written by hand because a dozen fields are all that is needed.
//! Source: `profile.proto` of github.com/google/pprof.

use std::collections::HashMap;

/// Samples of CPU time.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) stacks: Vec<Stack>,
    /// CPU time that a sample stands for.
    pub(super) period_ns: u64,
    /// Since the Unix epoch.
    pub(super) began_ns: u64,
    pub(super) duration_ns: u64,
}

/// A call stack and how often it was seen.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) thread: String,
    /// The innermost first.
    pub(super) frames: Vec<Frame>,
    pub(super) samples: u64,
}

/// A function, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) line: u64,
}

impl Profile {
    /// The message, not compressed: tools take it as it is.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut tables = Tables::default();
        tables.string("");
        let mut out = Message::default();
        for (what, unit) in [("samples", "count"), ("cpu", "nanoseconds")] {
            out.message(1, &tables.value_type(what, unit));
        }
        for stack in &self.stacks {
            out.message(2, &tables.sample(stack, self.period_ns));
        }
        let period_type = tables.value_type("cpu", "nanoseconds");
        out.0.extend_from_slice(&tables.places.0);
        for text in &tables.strings {
            out.bytes(6, text.as_bytes());
        }
        out.number(9, self.began_ns);
        out.number(10, self.duration_ns);
        out.message(11, &period_type);
        out.number(12, self.period_ns);
        out.0
    }
}

/// What samples refer to by number.
#[derive(Debug, Default)]
struct Tables {
    strings: Vec<String>,
    numbers: HashMap<String, u64>,
    frames: HashMap<Frame, u64>,
    /// Locations and functions, encoded.
    places: Message,
}

impl Tables {
    fn string(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.strings.len() as u64;
        self.strings.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn value_type(&mut self, what: &str, unit: &str) -> Message {
        let mut message = Message::default();
        message.number(1, self.string(what));
        message.number(2, self.string(unit));
        message
    }

    fn sample(&mut self, stack: &Stack, period_ns: u64) -> Message {
        let mut message = Message::default();
        for frame in &stack.frames {
            message.number(1, self.location(frame));
        }
        message.number(2, stack.samples);
        message.number(2, stack.samples * period_ns);
        let mut label = Message::default();
        label.number(1, self.string("thread"));
        label.number(2, self.string(&stack.thread));
        message.message(3, &label);
        message
    }

    /// One location a line of a function; a function of its own for each, which tools merge by name.
    fn location(&mut self, frame: &Frame) -> u64 {
        if let Some(id) = self.frames.get(frame) {
            return *id;
        }
        let id = self.frames.len() as u64 + 1;
        self.frames.insert(frame.clone(), id);
        let (mut line, mut location, mut function) =
            (Message::default(), Message::default(), Message::default());
        line.number(1, id);
        line.number(2, frame.line);
        location.number(1, id);
        location.message(4, &line);
        let name = self.string(&frame.name);
        function.number(1, id);
        function.number(2, name);
        function.number(3, name);
        function.number(4, self.string(&frame.file));
        self.places.message(4, &location);
        self.places.message(5, &function);
        id
    }
}

/// A protobuf message being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    #[expect(clippy::cast_possible_truncation, reason = "seven bits are taken at a time")]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_varints_and_texts_stand_once() {
        let mut message = Message::default();
        message.number(12, 300);
        assert_eq!(message.0, [0x60, 0xac, 0x02]);
        let frame = |name: &str| Frame { name: name.to_owned(), file: "a.rs".to_owned(), line: 7 };
        let stack = |frames| Stack { thread: "shard-0".to_owned(), frames, samples: 2 };
        let stacks = vec![stack(vec![frame("inner"), frame("outer")]), stack(vec![frame("outer")])];
        let bytes = Profile { stacks, period_ns: 10, began_ns: 1, duration_ns: 2 }.encode();
        for text in ["inner", "outer", "a.rs", "shard-0", "samples", "nanoseconds"] {
            let found = bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
            assert_eq!(found, 1, "{text}");
        }
    }
}
