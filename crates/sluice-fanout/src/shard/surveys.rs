//! The surveys that a shard has under way: one a turn is brought forward by a bounded piece of work.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use super::Asked;
use super::poller::peer;
use crate::core::{Core, StreamReport};

/// Slots looked at in one turn: tens of microseconds.
const LOOKS_PER_TURN: usize = 1_024;
/// Streams told of in one turn: each is a system call and a walk over what it lacks of its ring.
const REPORTS_PER_TURN: usize = 16;
/// Surveys under way; who asks for more is refused.
const SURVEYS_MAX: usize = 4;

/// See the module.
#[derive(Default)]
pub(super) struct Surveys {
    under_way: VecDeque<UnderWay>,
}

struct UnderWay {
    asked: Asked,
    /// Every slot was looked at.
    walked: bool,
    told: Vec<StreamReport>,
}

impl Surveys {
    pub(super) fn add(&mut self, asked: Asked) {
        if self.under_way.len() < SURVEYS_MAX {
            self.under_way.push_back(UnderWay { asked, walked: false, told: Vec::new() });
        } else {
            (asked.reply)(None);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn go_on(&mut self, core: &mut Core<OwnedFd>) {
        let Some(first) = self.under_way.front_mut() else { return };
        if !first.walked {
            first.walked = core.look_over(&mut first.asked.survey, LOOKS_PER_TURN);
            return;
        }
        let reports = core.report(&mut first.asked.survey, REPORTS_PER_TURN);
        first.told.extend(
            reports
                .into_iter()
                .map(|(report, socket)| StreamReport { peer: socket.and_then(peer), ..report }),
        );
        if first.asked.survey.is_told()
            && let Some(done) = self.under_way.pop_front()
        {
            (done.asked.reply)(Some(done.told));
        }
    }
}
