//! Where a stream begins, fixed before its client is sent the head of the answer.
//!
//! A client that has the head may publish at once, or tell others to. So what counts as "the next event" is decided
//! before: every event whose publication begins after the client has received the head is delivered. A cursor says
//! itself where its stream begins; of all others the topics are opened and their positions found first, which asks
//! Redis nothing where the node follows the topics already. If that takes longer than a client is to wait, the head
//! goes out all the same, and the stream begins with what may have been published since the request; its client is
//! told that the node is `stale`.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use sluice_broker::{BrokerError, Start, now_ms, settled_ms};
use sluice_wire::EventId;
use sluice_wire::cursor::Cursor;
use tokio::time::{sleep, timeout};

use crate::approach::{Ground, READ_AGAIN, report};
use crate::catch_up::CatchUp;
use crate::hub::FeedHold;
use crate::hub::feeds::ViewKey;
use crate::subscription::{Origin, Subscription, starts};

/// How long a client waits for the head of its stream when Redis does not answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// What is traced while the stream is on its way to its ring.
    pub(crate) context: Context,
    pub(crate) place: StartingPlace,
}

/// What is known of where a stream begins.
#[derive(Debug)]
pub(crate) enum StartingPlace {
    /// The topics are open, and this is to be fed from there.
    Fixed(FeedHold, CatchUp),
    /// The client's cursor names it.
    OfCursor,
    /// Redis did not answer in time. Nothing after this moment may be left out.
    Unanswered(EventId),
}

impl Beginning {
    /// Fixes where a stream of `view` begins, as far as that can be done in [`PATIENCE`].
    pub(crate) async fn fix(ground: &Ground, view: ViewKey, subscription: &Subscription) -> Self {
        sluice_failure::drill("beginning");
        let context = ground.hub.spans().subscribe(subscription);
        if matches!(subscription.origin, Origin::Cursor(_)) {
            return Self { context, place: StartingPlace::OfCursor };
        }
        // By this node's clock, less what clocks may differ by.
        let moment = EventId::new(settled_ms(now_ms()), u64::MAX);
        let finding = find(ground, view, subscription, None).with_context(context.clone());
        let place = match timeout(PATIENCE, finding).await {
            Ok(Some((hold, catch_up))) => StartingPlace::Fixed(hold, catch_up),
            // The node stops, which the approach notices.
            Ok(None) | Err(_) => StartingPlace::Unanswered(moment),
        };
        Self { context, place }
    }

    /// A beginning that is found while the client has the head already.
    #[cfg(test)]
    pub(crate) fn left_open(ground: &Ground, subscription: &Subscription) -> Self {
        Self { context: ground.hub.spans().subscribe(subscription), place: StartingPlace::OfCursor }
    }
}

impl StartingPlace {
    /// The place that a stream may not begin after, where it was not found before its head was sent.
    pub(crate) fn latest(&self) -> Option<EventId> {
        match self {
            Self::Unanswered(moment) => Some(*moment),
            Self::Fixed(..) | Self::OfCursor => None,
        }
    }

    /// The cursor of a client that has the head and nothing else.
    pub(crate) fn cursor(&self, subscription: &Subscription) -> Option<Cursor> {
        self.latest().map(Cursor::from).or_else(|| subscription.cursor().cloned())
    }
}

/// Opens the feed and finds where the stream begins, at `latest` or before, however long that takes; `None` when the
/// node stops.
pub(crate) async fn find(
    ground: &Ground,
    view: ViewKey,
    subscription: &Subscription,
    latest: Option<EventId>,
) -> Option<(FeedHold, CatchUp)> {
    let hold = ground.hub.open(view, &subscription.topics, &subscription.projection).await?;
    loop {
        match starts_in(ground, &subscription.origin, &hold).await {
            Ok((starts, floor_ms)) => {
                let starts = starts.into_iter().map(|start| not_after(start, latest)).collect();
                let floor_ms = latest.map_or(floor_ms, |latest| floor_ms.min(latest.ms));
                let catch_up = ground.catch_up(&hold, starts, floor_ms);
                return Some((hold, catch_up));
            }
            Err(error) => {
                report(&error);
                sleep(READ_AGAIN).await;
            }
        }
    }
}

/// Where each topic of `hold` begins, in the order of its set, and the floor there.
async fn starts_in(
    ground: &Ground,
    origin: &Origin,
    hold: &FeedHold,
) -> Result<(Vec<Start>, u64), BrokerError> {
    let topics: Vec<_> = hold.set().members().iter().map(|(_, topic)| topic.clone()).collect();
    match starts(origin, &topics, ground.logs.broker.as_ref(), now_ms()).await? {
        Some(found) => Ok(found),
        // With the next event: behind what the node has.
        None => {
            let (positions, floor_ms) = ground.hub.positions(hold.set());
            Ok((positions.into_iter().map(Start::seen).collect(), floor_ms))
        }
    }
}

fn not_after(start: Start, latest: Option<EventId>) -> Start {
    match latest {
        Some(latest) if start.position() > latest => Start::Moment(latest),
        _ => start,
    }
}
