//! Keeps the layout of the servers current. One task a broker looks around (`scout/sentinel.rs`,
//! `scout/cluster.rs`): from time to time, when it is told that something has changed, and when somebody met a
//! server that was not in charge. What it sees it publishes; nobody else decides where a slot is. A standalone
//! Redis needs no task: its layout never changes.

mod cluster;
mod sentinel;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sluice_diagnostics::{Outage, Repeated, millis};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

pub(super) use self::cluster::Cluster;
pub(super) use self::sentinel::Sentinels;
use super::layout::Layout;
use crate::BrokerError;
use crate::url::Address;

/// However often it is asked for, nobody looks again sooner.
const LOOKS_APART: Duration = Duration::from_millis(100);
/// How soon to look again when nothing could be seen.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Looks around once.
pub(super) trait Look: Send + 'static {
    /// How long what was seen is good for, unless somebody asks.
    const EVERY: Duration;

    /// What is seen; `informed` is a server that knows of something new.
    fn look(&mut self, informed: Option<Address>)
    -> impl Future<Output = Result<Layout, BrokerError>> + Send;
}

/// The layout as it is known. A cheap handle; the task ends with the last one.
#[derive(Debug, Clone)]
pub(super) struct Scout {
    views: watch::Receiver<View>,
    calls: Arc<Calls>,
    fixed: bool,
}

#[derive(Debug, Clone, Default)]
struct View {
    layout: Arc<Layout>,
    /// Why the last look saw nothing.
    trouble: Option<BrokerError>,
}

/// Requests to look again.
#[derive(Debug, Default)]
pub(super) struct Calls {
    made: Notify,
    informed: Mutex<Option<Address>>,
}

impl Calls {
    pub(super) fn make(&self, informed: Option<&Address>) {
        if let Some(informed) = informed {
            *self.informed.lock().unwrap_or_else(sluice_failure::poisoned) = Some(informed.clone());
        }
        self.made.notify_one();
    }

    fn informed(&self) -> Option<Address> {
        self.informed.lock().unwrap_or_else(sluice_failure::poisoned).take()
    }
}

impl Scout {
    /// Where nothing ever changes.
    pub(super) fn of_one(primary: Address) -> Self {
        let layout = Arc::new(Layout::of_one(primary));
        Self { views: watch::channel(View { layout, trouble: None }).1, calls: Arc::default(), fixed: true }
    }

    /// Begins to look around; ends with the last handle or with `stop`.
    pub(super) fn send_out<L: Look>(
        look: impl FnOnce(Arc<Calls>) -> L,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (sender, views) = watch::channel(View::default());
        let calls = Arc::<Calls>::default();
        let look = look(Arc::clone(&calls));
        let heard = Arc::clone(&calls);
        tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = sender.closed() => {}
                () = look_around(look, &heard, &sender) => {}
            }
        });
        Self { views, calls, fixed: false }
    }

    /// There is one server, whatever becomes of it.
    pub(super) fn never_changes(&self) -> bool {
        self.fixed
    }

    /// The layout; empty while nothing is known.
    pub(super) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.views.borrow().layout)
    }

    /// The layout, waited for until `deadline` while nothing is known.
    pub(super) async fn known(&self, deadline: Instant) -> Result<Arc<Layout>, BrokerError> {
        let mut views = self.views.clone();
        let known = timeout_at(deadline, views.wait_for(|view| !view.layout.is_empty())).await;
        match known {
            Ok(Ok(view)) => Ok(Arc::clone(&view.layout)),
            Ok(Err(_)) | Err(_) => {
                let trouble = self.views.borrow().trouble.clone();
                let unanswered = || BrokerError::Unavailable("no Redis server has answered yet".to_owned());
                Err(trouble.unwrap_or_else(unanswered))
            }
        }
    }

    /// Asks for a look soon; `informed` is a server that knows of something new.
    pub(super) fn look_again(&self, informed: Option<&Address>) {
        self.calls.make(informed);
    }

    /// Returns when the layout is another than `layout`; never where nothing ever changes.
    pub(super) async fn changed_from(&self, layout: &Arc<Layout>) {
        let mut views = self.views.clone();
        if views.wait_for(|view| !Arc::ptr_eq(&view.layout, layout)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn look_around<L: Look>(mut look: L, calls: &Calls, views: &watch::Sender<View>) {
    let mut outage = Outage::default();
    loop {
        let every = match look.look(calls.informed()).await {
            Ok(layout) => {
                if let Some(took) = outage.ended(now()) {
                    info!(took_ms = millis(took), "discovered the Redis servers again");
                }
                publish(views, layout);
                L::EVERY
            }
            Err(error) => {
                match outage.failed(now()) {
                    Some(Repeated::First) => warn!(%error, "cannot discover the Redis servers; retrying"),
                    Some(Repeated::Still { failures, since }) => {
                        let since_ms = millis(since);
                        warn!(%error, failures, since_ms, "still cannot discover the Redis servers; retrying");
                    }
                    None => debug!(%error, "still cannot discover the Redis servers"),
                }
                views.send_modify(|view| view.trouble = Some(error));
                AFTER_FAILURE
            }
        };
        tokio::time::sleep(LOOKS_APART).await;
        tokio::select! {
            () = calls.made.notified() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// The error of a look that found nobody: one reason for each different text, and transient unless all servers
/// refuse.
fn all_failed(what: &str, reasons: &[BrokerError]) -> BrokerError {
    const TOLD_MAX: usize = 3;
    let mut told: Vec<String> = Vec::new();
    for reason in reasons.iter().map(ToString::to_string) {
        if !told.contains(&reason) {
            told.push(reason);
        }
    }
    let more = told.len().saturating_sub(TOLD_MAX);
    told.truncate(TOLD_MAX);
    let mut text = format!("{what}: {}", told.join("; "));
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    if !reasons.is_empty() && !reasons.iter().any(BrokerError::is_transient) {
        BrokerError::Refused(text)
    } else {
        BrokerError::Unavailable(text)
    }
}

/// The clock of log lines: tests of what is logged pause Tokio's.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn publish(views: &watch::Sender<View>, layout: Layout) {
    views.send_if_modified(|view| {
        view.trouble = None;
        if *view.layout == layout {
            return false;
        }
        let primaries: Vec<_> = layout.shards().iter().map(|shard| &shard.primary).collect();
        info!(?primaries, "discovered the Redis servers");
        view.layout = Arc::new(layout);
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(Vec<Result<Layout, BrokerError>>);

    impl Look for Script {
        const EVERY: Duration = Duration::from_secs(3600);

        async fn look(&mut self, _: Option<Address>) -> Result<Layout, BrokerError> {
            if self.0.is_empty() { std::future::pending().await } else { self.0.remove(0) }
        }
    }

    fn one(port: u16) -> Layout {
        Layout::of_one(Address { host: "h".to_owned(), port })
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_is_published_and_what_is_not_is_told() {
        let tracker = TaskTracker::new();
        let script = Script(vec![
            Err(BrokerError::Unavailable("dark".to_owned())),
            Ok(one(1)),
            Ok(one(1)),
            Ok(one(2)),
        ]);
        let scout = Scout::send_out(|_| script, &tracker, CancellationToken::new());
        let soon = Instant::now() + Duration::from_millis(50);
        let why = scout.known(soon).await.unwrap_err();
        assert!(why.is_transient() && why.to_string().contains("dark"), "{why}");
        let layout = scout.known(Instant::now() + Duration::from_secs(5)).await.unwrap();
        assert_eq!(*layout, one(1));
        // The look that sees nothing new changes nothing; the one after it does.
        scout.look_again(None);
        tokio::time::sleep(LOOKS_APART * 3).await;
        scout.look_again(None);
        scout.changed_from(&layout).await;
        assert_eq!(*scout.layout(), one(2));
        drop(scout);
        tracker.close();
        tracker.wait().await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_stopped_ends_at_once() {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let scout = Scout::send_out(|_| Script(Vec::new()), &tracker, stop.clone());
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        assert!(scout.layout().is_empty());
    }
}
