//! Waiting for a condition: the one place of the test suites that may poll.
//!
//! Everything else waits on a future that completes by itself. What lives in another process (a server that
//! comes up, a counter on a metrics page) gives no such future, so it is asked again and again here, always
//! under a deadline and with a message that says what was awaited.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

const INTERVAL: Duration = Duration::from_millis(5);

/// What one look at a condition gives: `bool`, `Option<T>`, or `Result<T, E>` whose error is "not yet, because".
pub trait Attempt {
    /// What the condition yields once it holds.
    type Value;

    /// The value, or why there is none yet.
    fn outcome(self) -> Result<Self::Value, Option<String>>;
}

impl Attempt for bool {
    type Value = ();

    fn outcome(self) -> Result<(), Option<String>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<T> Attempt for Option<T> {
    type Value = T;

    fn outcome(self) -> Result<T, Option<String>> {
        self.ok_or(None)
    }
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Value = T;

    fn outcome(self) -> Result<T, Option<String>> {
        self.map_err(|error| Some(format!("{error:#}")))
    }
}

/// Asks `attempt` until it holds, for at most `within`; one attempt that hangs is cut at the deadline too.
///
/// `what` completes the sentence "waited in vain for ...".
pub async fn eventually<F, A>(what: &str, within: Duration, mut attempt: F) -> Result<A::Value>
where
    F: AsyncFnMut() -> A,
    A: Attempt,
{
    let deadline = Instant::now() + within;
    let mut last = None;
    loop {
        match timeout_at(deadline, attempt()).await.map(Attempt::outcome) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => last = reason.or(last),
            Err(_) => return Err(in_vain(what, within, last.as_deref())),
        }
        if Instant::now() + INTERVAL >= deadline {
            return Err(in_vain(what, within, last.as_deref()));
        }
        sleep(INTERVAL).await;
    }
}

fn in_vain(what: &str, within: Duration, reason: Option<&str>) -> anyhow::Error {
    let reason = reason.map_or_else(String::new, |reason| format!("; at last: {reason}"));
    anyhow!("waited {within:?} in vain for {what}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn returns_the_value_of_the_first_success() -> Result<()> {
        let mut asked = 0;
        let value = eventually("the third attempt", Duration::from_secs(1), async || {
            asked += 1;
            (asked == 3).then_some(asked)
        })
        .await?;
        assert_eq!(value, 3);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn failure_names_what_was_awaited_and_the_last_reason() {
        let wait =
            eventually("a miracle", Duration::from_millis(50), async || Err::<(), _>(anyhow!("no miracle")));
        let error = wait.await.unwrap_err().to_string();
        assert_eq!(error, "waited 50ms in vain for a miracle; at last: no miracle");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_attempt_is_cut() {
        let wait = eventually("an end", Duration::from_secs(1), async || {
            std::future::pending::<()>().await;
            true
        });
        assert!(wait.await.is_err());
    }
}
