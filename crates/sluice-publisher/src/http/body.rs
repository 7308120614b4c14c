//! Reads request bodies: bounded in bytes, in how long they may pause, and, where the whole body is held in memory, in
//! how slow they may be.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;

/// How long a body that is read as a whole may take, beside a second for each [`WHOLE_BYTES_PER_SECOND`] of it.
const WHOLE_TIME: Duration = Duration::from_secs(15);
const WHOLE_BYTES_PER_SECOND: usize = 4_096;

/// A body, part by part.
pub(super) struct Parts {
    body: Body,
    idle_max: Duration,
    bytes_max: usize,
    bytes_left: usize,
    /// When the body began, if it must keep the pace of one that is read as a whole.
    whole_since: Option<Instant>,
}

impl Parts {
    /// A body that is used as it comes.
    pub(super) fn streamed(body: Body, bytes_max: usize, idle_max: Duration) -> Self {
        Self { body, idle_max, bytes_max, bytes_left: bytes_max, whole_since: None }
    }

    /// The next part; `None` at the proper end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let idle = Instant::now() + self.idle_max;
            let slow = self.whole_since.map(|since| since + WHOLE_TIME + self.time_for_what_came());
            let deadline = slow.map_or(idle, |slow| slow.min(idle));
            let frame = timeout_at(deadline, self.body.frame()).await;
            match frame.map_err(|_| self.late(deadline < idle))? {
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

    /// The whole of `body`, copied only if it came in more than one part.
    pub(super) async fn whole(body: Body, bytes_max: usize, idle_max: Duration) -> Result<Bytes, Refusal> {
        let mut parts = Self::streamed(body, bytes_max, idle_max);
        parts.whole_since = Some(Instant::now());
        let Some(first) = parts.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = parts.next().await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(2 * (first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(part) = parts.next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    fn time_for_what_came(&self) -> Duration {
        let came = self.bytes_max - self.bytes_left;
        Duration::from_secs((came / WHOLE_BYTES_PER_SECOND) as u64)
    }

    fn late(&self, slow: bool) -> Refusal {
        if slow {
            Refusal::body_slow(WHOLE_BYTES_PER_SECOND)
        } else {
            Refusal::body_idle(self.idle_max.as_secs())
        }
    }
}
