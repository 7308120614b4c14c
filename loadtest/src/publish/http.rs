//! Publishing by HTTP: pipelined POSTs on one kept connection, answers with a content length.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Outgoing;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Requests on the way at one time.
const PIPELINED_MAX: usize = 64;
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What differs between servers.
#[derive(Clone, Copy)]
pub(super) struct Form {
    before_topic: &'static str,
    behind_topic: &'static str,
    /// What stands before the id in an answer, and the character that ends it.
    id: (&'static str, char),
}

/// The publisher service of Sluice.
pub(super) const SLUICE: Form =
    Form { before_topic: "/v1/topics/", behind_topic: "/events", id: ("\"id\":\"", '"') };
/// nchan's publisher location.
pub(super) const NCHAN: Form =
    Form { before_topic: "/pub/", behind_topic: "", id: ("last message id: ", '\n') };

/// A connection to a publisher.
pub(super) struct Http {
    socket: BufReader<TcpStream>,
    form: Form,
    text: Vec<u8>,
}

impl Http {
    pub(super) fn connect(address: SocketAddr, form: Form) -> Result<Self> {
        let socket = TcpStream::connect(address)
            .with_context(|| format!("cannot reach the publisher at {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { socket: BufReader::new(socket), form, text: Vec::new() })
    }

    /// Publishes a batch, waiting for every answer.
    pub(super) fn publish(&mut self, events: &[Outgoing<'_>]) -> Result<Vec<String>> {
        let mut ids = Vec::with_capacity(events.len());
        for some in events.chunks(PIPELINED_MAX) {
            self.text.clear();
            for event in some {
                let Form { before_topic, behind_topic, .. } = self.form;
                write!(
                    self.text,
                    "POST {before_topic}{}{behind_topic} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\
                     content-length: {}\r\n\r\n",
                    event.topic,
                    event.data.len()
                )?;
                self.text.extend_from_slice(event.data);
            }
            self.socket.get_mut().write_all(&self.text)?;
            for _ in some {
                ids.push(self.answer()?);
            }
        }
        Ok(ids)
    }

    fn answer(&mut self) -> Result<String> {
        let mut status = None;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(self.socket.read_line(&mut line)? > 0, "the publisher closed the connection");
            let line = line.trim_end();
            if status.is_none() {
                status = Some(
                    line.split(' ')
                        .nth(1)
                        .and_then(|code| code.parse::<u16>().ok())
                        .context("no status line")?,
                );
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>()?;
            }
        }
        ensure!(length <= ANSWER_BYTES_MAX, "the publisher answers with {length} bytes");
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body);
        match status {
            Some(200..=299) => Ok(id(self.form, &body)),
            status => bail!("the publisher answers {}: {body}", status.unwrap_or(0)),
        }
    }
}

/// The id in an answer; empty where there is none.
fn id(form: Form, body: &str) -> String {
    let behind = body.split_once(form.id.0).map_or("", |(_, behind)| behind);
    behind.split(form.id.1).next().unwrap_or("").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_the_answers() {
        assert_eq!(id(SLUICE, r#"{"id":"12-3"}"#), "12-3");
        assert_eq!(id(NCHAN, "queued messages: 1\r\nlast message id: 1795467607:0"), "1795467607:0");
        assert_eq!(id(NCHAN, "nothing"), "");
    }
}
