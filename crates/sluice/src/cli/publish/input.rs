//! Reads events from the standard input on a thread of its own, so that a source that pauses (`tail -f`) does
//! not hold back what has already come.

use std::io::{self, BufRead, IsTerminal, Read as _};

use sluice_publisher::read_event;
use sluice_wire::{ByteString, NewEvent, Topic};
use tokio::sync::mpsc;

/// A line, or the whole input as one event, has at most this many bytes.
const EVENT_BYTES_MAX: u64 = 16 << 20;
const QUEUE_EVENTS: usize = 1_000;

/// How the input is to be read.
pub(super) enum Form {
    /// All of it is the data of this event.
    Whole(NewEvent),
    /// Each line is the data of an event like this one.
    Lines(NewEvent),
    /// Each line is an event as JSON.
    Json { topic: Option<Topic> },
}

/// An event with the line on which it begins, or what is wrong with that line.
pub(super) struct Read {
    pub(super) line: usize,
    pub(super) event: Result<NewEvent, String>,
}

/// An event that the command line gave.
pub(super) fn given(event: NewEvent) -> mpsc::Receiver<Read> {
    let (sender, events) = mpsc::channel(1);
    // There is room: the channel is new.
    let _ = sender.try_send(Read { line: 1, event: Ok(event) });
    events
}

/// The events of the standard input. The thread ends with the input, or when nobody receives any more.
pub(super) fn standard(form: Form) -> mpsc::Receiver<Read> {
    if io::stdin().is_terminal() {
        eprintln!("reading the standard input; end it with Ctrl-D");
    }
    let (sender, events) = mpsc::channel(QUEUE_EVENTS);
    std::thread::spawn(move || read(io::stdin().lock(), &form, |read| sender.blocking_send(read).is_ok()));
    events
}

/// Reads `input` to its end, or until `offer` answers that no more is wanted.
fn read(mut input: impl BufRead, form: &Form, mut offer: impl FnMut(Read) -> bool) {
    if let Form::Whole(event) = form {
        offer(Read { line: 1, event: whole(input).and_then(|data| with_data(event, data)) });
        return;
    }
    for line in 1.. {
        let event = match next_line(&mut input) {
            Ok(None) => return,
            Ok(Some(text)) => match form {
                Form::Json { .. } if text.trim_ascii().is_empty() => continue,
                Form::Json { topic } => json(text, topic.as_ref()),
                Form::Lines(event) | Form::Whole(event) => with_data(event, text),
            },
            Err(LineError::TooLong) => Err(format!("longer than {EVENT_BYTES_MAX} bytes")),
            Err(LineError::Io(error)) => {
                offer(Read { line, event: Err(format!("the standard input cannot be read: {error}")) });
                return;
            }
        };
        if !offer(Read { line, event }) {
            return;
        }
    }
}

fn whole(input: impl BufRead) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    let read = input.take(EVENT_BYTES_MAX + 1).read_to_end(&mut data);
    read.map_err(|error| format!("the standard input cannot be read: {error}"))?;
    if data.len() as u64 > EVENT_BYTES_MAX {
        return Err(format!("longer than {EVENT_BYTES_MAX} bytes"));
    }
    Ok(data)
}

enum LineError {
    TooLong,
    Io(io::Error),
}

/// The next line without its end; `None` at the end of the input.
fn next_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, LineError> {
    let mut line = Vec::new();
    let read = input.by_ref().take(EVENT_BYTES_MAX).read_until(b'\n', &mut line).map_err(LineError::Io)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        line.pop_if(|byte| *byte == b'\r');
    } else if read as u64 == EVENT_BYTES_MAX {
        input.skip_until(b'\n').map_err(LineError::Io)?;
        return Err(LineError::TooLong);
    }
    Ok(Some(line))
}

fn with_data(event: &NewEvent, data: Vec<u8>) -> Result<NewEvent, String> {
    let data = ByteString::try_from(data).map_err(|_| "not UTF-8".to_owned())?;
    Ok(NewEvent { data, ..event.clone() })
}

fn json(text: Vec<u8>, topic: Option<&Topic>) -> Result<NewEvent, String> {
    let text = String::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    read_event(&text, topic).map_err(|problem| format!("{}: {}", problem.title, problem.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(input: &[u8], form: &Form) -> Vec<(usize, Result<String, String>)> {
        let mut events = Vec::new();
        read(input, form, |read| {
            events.push((read.line, read.event.map(|event| format!("{} {}", event.topic, event.data))));
            true
        });
        events
    }

    fn event() -> NewEvent {
        NewEvent::new(Topic::parse("t").unwrap(), "")
    }

    #[test]
    fn the_whole_input_is_one_event() {
        assert_eq!(events(b"a\nb\n", &Form::Whole(event())), [(1, Ok("t a\nb\n".into()))]);
        assert_eq!(events(b"\xff", &Form::Whole(event())), [(1, Err("not UTF-8".into()))]);
    }

    #[test]
    fn each_line_is_an_event() {
        let expected = [
            (1, Ok("t a".into())),
            (2, Ok("t ".into())),
            (3, Err("not UTF-8".into())),
            (4, Ok("t b".into())),
        ];
        assert_eq!(events(b"a\r\n\n\xff\nb", &Form::Lines(event())), expected);
    }

    #[test]
    fn json_lines_name_their_topic_or_take_the_default() {
        let input = b"{\"data\":\"a\"}\n\n{\"topic\":\"u\",\"data\":{\"b\": 1}}\n{\n";
        let read = events(input, &Form::Json { topic: Some(event().topic) });
        assert_eq!(read[..2], [(1, Ok("t a".into())), (3, Ok("u {\"b\":1}".into()))]);
        assert_eq!(read[2].0, 4);
        let without = events(input, &Form::Json { topic: None });
        assert!(without[0].1.as_ref().unwrap_err().contains("missing field `topic`"));
    }

    #[test]
    fn an_endless_line_is_refused_and_the_next_one_read() {
        let mut input = vec![b'x'; usize::try_from(EVENT_BYTES_MAX).unwrap() + 5];
        input.extend_from_slice(b"\nb\n");
        let read = events(&input, &Form::Lines(event()));
        assert_eq!(read[0], (1, Err(format!("longer than {EVENT_BYTES_MAX} bytes"))));
        assert_eq!(read[1], (2, Ok("t b".into())));
    }
}
