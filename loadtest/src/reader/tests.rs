use super::*;

/// Everything that a reader says, as text.
#[derive(Default)]
struct Log(Vec<String>);

impl Sink for Log {
    fn head(&mut self, status: u16) {
        self.0.push(format!("head {status}"));
    }

    fn event(&mut self, event: &Event<'_>) {
        let text =
            |part: Option<&[u8]>| part.map_or("-".into(), |part| String::from_utf8_lossy(part).into_owned());
        let retry = event.retry_ms.map_or(String::new(), |ms| format!(" retry {ms}"));
        self.0.push(format!("{} {} {}{retry}", text(event.id), text(event.kind), text(event.data)));
    }
}

fn read(pieces: &[&[u8]]) -> Result<(Reader, Vec<String>), Malformed> {
    let (mut reader, mut log) = (Reader::new(), Log::default());
    for piece in pieces {
        reader.feed(piece, &mut log)?;
    }
    Ok((reader, log.0))
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

fn chunked(chunks: &[&str]) -> Vec<u8> {
    let mut text = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    for chunk in chunks {
        text += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    text.into_bytes()
}

#[test]
fn reads_chunks_whatever_the_chunks_and_the_reads_cut() {
    let body = "retry: 2000\nid: 1-0\n\n: beat\n\nid: 2-0\nevent: t\ndata: a b\n\nid: 3-0\r\ndata:c\r\n\r\n";
    let expected = ["head 200", "1-0 - - retry 2000", "2-0 t a b", "3-0 - c"];
    for cut_chunk in 1..body.len() {
        let bytes = chunked(&[&body[..cut_chunk], &body[cut_chunk..]]);
        for cut in 1..bytes.len() {
            let (reader, log) = read(&[&bytes[..cut], &bytes[cut..]]).unwrap();
            assert_eq!(log, expected, "chunk cut at {cut_chunk}, read cut at {cut}");
            assert!(reader.is_between_chunks());
        }
    }
}

#[test]
fn reads_a_body_that_ends_with_the_connection() {
    let text = format!("{HEAD}\r\n: hi\n\nid: 17:0\ndata: one\n\nid: 17:1\ndata: tw");
    let (_, log) = read(&[text.as_bytes(), b"o\n\n"]).unwrap();
    assert_eq!(log, ["head 200", "17:0 - one", "17:1 - two"]);
}

#[test]
fn the_last_chunk_ends_the_body() {
    let (reader, log) = read(&[&chunked(&["data: a\n\n", ""])]).unwrap();
    assert_eq!(log, ["head 200", "- - a"]);
    assert!(reader.is_over());
}

#[test]
fn an_error_is_told_by_its_status_and_its_body_is_left_alone() {
    let (_, log) = read(&[b"HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\ndata: a\n\n"]).unwrap();
    assert_eq!(log, ["head 503"]);
}

#[test]
fn what_is_no_event_stream_is_refused() {
    let refused = |text: &str| read(&[text.as_bytes()]).err();
    assert_eq!(refused("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n"), Some(Malformed::ContentType));
    assert_eq!(refused("SSH-2.0\r\n\r\n"), Some(Malformed::Head));
    assert_eq!(refused("HTTP/1.1 what\r\n\r\n"), Some(Malformed::Head));
    let head = String::from_utf8(chunked(&[])).unwrap();
    assert_eq!(refused(&format!("{head}zz\r\n")), Some(Malformed::Chunk));
    assert_eq!(refused(&format!("{head}1\r\naXX")), Some(Malformed::Chunk));
    assert_eq!(refused(&format!("{head}fffffffff\r\n")), Some(Malformed::Chunk));
}

#[test]
fn agrees_with_the_decoder_of_the_wire_format() {
    use sluice_wire::sse::{Decoder, Item};
    let body = "retry: 17\nid: 1-0\n\n: hello\n\nid: 1-1\ndata: 0 1 2 xx\n\nevent: sluice.gap\nretry: 5\ndata: {\"a\": 1}\n\n\
        data\n\nid:1-2\ndata:x: y\n\nunknown: 1\nid: 1-3\ndata:  two\n\nid: 1-4\n\n";
    let mut items = Vec::new();
    Decoder::new().feed(body.as_bytes(), &mut items);
    let mut expected: Vec<String> = Vec::new();
    for item in items {
        match item {
            Item::Event(event) if !event.data.is_empty() => {
                expected.push(format!("{} {}", event.event_type, event.data));
            }
            Item::Id(id) => expected.push(id),
            _ => {}
        }
    }
    let mut said = Said(Vec::new());
    Reader::new().feed(&chunked(&[body]), &mut said).unwrap();
    assert_eq!(said.0, expected);
}

/// Events and cursors alone, in the words of the decoder's items.
struct Said(Vec<String>);

impl Sink for Said {
    fn head(&mut self, _: u16) {}

    fn event(&mut self, event: &Event<'_>) {
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        if let Some(data) = event.data {
            self.0.push(format!("{} {}", event.kind.map_or("message".into(), text), text(data)));
        } else if let Some(id) = event.id {
            self.0.push(text(id));
        }
    }
}
