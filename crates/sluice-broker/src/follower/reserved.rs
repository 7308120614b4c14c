//! Topics that are kept for somebody who is about to follow them, counted from the moment they are promised.

use std::sync::Arc;

use sluice_wire::Topic;

use super::core::Core;

/// Topics that stay followed until this is dropped.
pub struct Reserved {
    core: Arc<Core>,
    topics: Vec<Topic>,
}

impl Reserved {
    pub(super) fn take(core: &Arc<Core>, topics: &[Topic]) -> Option<Self> {
        // Without a limit nothing is counted beforehand.
        let topics = if core.settings.topics_max == 0 { &[] } else { topics };
        core.reserve(topics).then(|| Self { core: Arc::clone(core), topics: topics.to_vec() })
    }
}

impl std::fmt::Debug for Reserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reserved").field(&self.topics).finish()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.core.unfollow(&self.topics);
    }
}
