//! A stream by its bytes: lines end at LF, and nothing else is forgiven.

use std::net::SocketAddr;

use sluice_testkit::RawConnection;

/// What stands between two empty lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: String,
    pub(super) kind: Option<String>,
    pub(super) data: String,
}

/// The bytes of a stream, asked for without chunks, up to the event whose data is `end`.
pub(super) async fn until(address: SocketAddr, path: &str, end: &str) -> Vec<u8> {
    let mut stream = RawConnection::connect(address).await.unwrap();
    let ask = format!("GET {path} HTTP/1.0\r\nhost: t\r\naccept: text/event-stream\r\n\r\n");
    stream.send(ask).await.unwrap();
    stream.read_until("\r\n\r\n").await.unwrap();
    stream.read_until(format!("data: {end}\n\n")).await.unwrap()
}

/// The frames that have data. Panics at a byte that a client could take for the end of a line, and at a line
/// that is no field of Sluice's.
pub(super) fn frames(bytes: &[u8]) -> Vec<Frame> {
    assert!(!bytes.contains(&b'\r'), "a CR ends a line for every client");
    let text = std::str::from_utf8(bytes).unwrap();
    let mut frames = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let mut data: Option<String> = None;
        let mut frame = Frame { id: String::new(), kind: None, data: String::new() };
        for line in block.split('\n').filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")) {
                ("id", id) => id.clone_into(&mut frame.id),
                ("event", kind) => frame.kind = Some(kind.to_owned()),
                ("data", rest) => {
                    data = Some(data.map_or_else(|| rest.to_owned(), |before| format!("{before}\n{rest}")));
                }
                ("retry", ms) => assert!(ms.parse::<u32>().is_ok_and(|ms| ms > 1), "{line:?}"),
                ("", _) => {}
                _ => panic!("{line:?} is no field of a frame, in {block:?}"),
            }
        }
        if let Some(data) = data {
            frames.push(Frame { data, ..frame });
        }
    }
    frames
}

/// What a client makes of the line ends of `data`.
pub(super) fn normal(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}
