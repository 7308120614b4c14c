//! What the streams of a node run on.

use std::time::Instant;

use sluice_failure::{Place, contain};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::approach::Ground;
use crate::cluster::Cluster;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    pub(crate) ground: Ground,
    pub(crate) admission: Admission,
    /// What the nodes tell each other, where they share a limit.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) tracker: TaskTracker,
    /// Shards, which are no part of it, start tasks on this runtime.
    pub(crate) runtime: Handle,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

impl Runs {
    /// Runs an approach until it is through or the node stops.
    pub(crate) fn spawn(&self, approach: impl Future<Output = ()> + Send + 'static) {
        let (stop, tallies) = (self.stop.clone(), self.ground.hub.tallies().clone());
        let run = async move {
            tallies.catch_up_began();
            let began = Instant::now();
            let approach = async {
                sluice_failure::drill("stream");
                stop.run_until_cancelled(approach).await
            };
            let _ = contain(Place::Stream, approach).await;
            tallies.catch_up_ended(began.elapsed());
        };
        self.tracker.spawn_on(run, &self.runtime);
    }
}
