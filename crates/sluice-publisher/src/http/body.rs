//! Reads request bodies: bounded in bytes, and in how long they may pause.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::refusal::Refusal;

/// A body, part by part.
pub(super) struct Parts {
    body: Body,
    idle_max: Duration,
    bytes_max: usize,
    bytes_left: usize,
}

impl Parts {
    pub(super) fn new(body: Body, bytes_max: usize, idle_max: Duration) -> Self {
        Self { body, idle_max, bytes_max, bytes_left: bytes_max }
    }

    /// The next part; `None` at the proper end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = tokio::time::timeout(self.idle_max, self.body.frame()).await;
            match frame.map_err(|_| Refusal::body_idle(self.idle_max.as_secs()))? {
                None => return Ok(None),
                Some(Err(_)) => return Err(Refusal::body_broken()),
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    let Ok(part) = frame.into_data() else { continue };
                    let left = self.bytes_left.checked_sub(part.len());
                    self.bytes_left = left.ok_or_else(|| Refusal::too_large("the body", self.bytes_max))?;
                    return Ok(Some(part));
                }
            }
        }
    }

    /// The whole body, copied only if it came in more than one part.
    pub(super) async fn whole(mut self) -> Result<Bytes, Refusal> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(2 * (first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(part) = self.next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }
}
