//! The end of all streams of some principals, wherever on the node they stand.

use std::time::Duration;

use crate::Gateway;
use crate::admission::{Principal, Sentence};
use crate::runs::Runs;

/// How long a client that takes nothing has for its last words.
const GRACE: Duration = Duration::from_secs(5);
/// Polled streams that are looked at at once.
const PORTION: usize = 4_096;

impl Gateway {
    /// Ends every stream of the principals that `who` names, also those that are still on their way to their
    /// rings; how many there are. They are told by the sentence and counted by its reason; each that takes
    /// nothing now has a few seconds, then it is cut off. A stream that is admitted from now on is not meant.
    pub fn end_streams(&self, who: impl Fn(&Principal<'_>) -> bool, sentence: &Sentence) -> u64 {
        let Runs { ground, admission, tracker, runtime, .. } = self.runs();
        let streams = admission.sentence(who, sentence);
        if streams > 0 {
            ground.hub.shards().iter().for_each(|shard| shard.sweep(GRACE));
            tracker.spawn_on(self.clone().sweep_polled(), runtime);
        }
        streams
    }

    async fn sweep_polled(self) {
        let Runs { ground, admission, .. } = self.runs();
        let sentenced = |principal| admission.sentence_on(principal).is_some();
        let mut hand = Some(0);
        while let Some(at) = hand {
            hand = ground.hub.polled().sweep(at, PORTION, sentenced);
            tokio::task::yield_now().await;
        }
    }
}
