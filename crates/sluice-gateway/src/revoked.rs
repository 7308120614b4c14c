//! The end of streams whose credentials were revoked after they were let in.

use sluice_broker::now_ms;

use crate::admission::Sentence;
use crate::{Gateway, control};

impl Gateway {
    /// Ends the streams of whoever is revoked, as long as it is polled. A stream that is let in at that moment is
    /// looked at again by whoever lets it in, once it has its place.
    pub(crate) async fn end_revoked(self) {
        let mut revoked = self.edge.access.watch_revoked();
        let sentence = Sentence::new("revoked", |retry| control::expired("revoked", retry));
        while revoked.changed().await.is_ok() {
            let now_ms = now_ms();
            let access = &self.edge.access;
            let streams = self.end_streams(|who| access.is_revoked(&who.names, now_ms), &sentence);
            if streams > 0 {
                tracing::info!(streams, "ending streams whose credentials are revoked");
            }
        }
    }
}
