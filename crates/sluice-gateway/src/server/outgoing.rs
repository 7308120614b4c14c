//! The body of an answer as hyper gets it: in parcels, and not at its end before all of them were written.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http_body::{Body as HttpBody, Frame, SizeHint};
use sluice_failure::{Panicked, Place, contain_call};

use super::lobby::Doing;
use super::transit::{Parcel, Transit};

/// See the module.
pub(super) struct Outgoing {
    body: Body,
    transit: Transit,
    progress: Progress,
    /// What its connection does as long.
    _doing: Option<Doing>,
}

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("the body of the answer panicked")]
struct BodyPanicked;

#[derive(PartialEq, Eq)]
enum Progress {
    Unasked,
    Asked,
    /// The body has nothing more.
    Ended,
}

impl Outgoing {
    pub(super) fn new(body: Body, transit: Transit, doing: Option<Doing>) -> Self {
        Self { body, transit, progress: Progress::Unasked, _doing: doing }
    }
}

impl HttpBody for Outgoing {
    type Data = Parcel;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Parcel>, axum::Error>>> {
        if self.progress != Progress::Ended {
            self.progress = Progress::Asked;
            let body = Pin::new(&mut self.body);
            let asked = contain_call(Place::Stream, || {
                sluice_failure::drill("body");
                body.poll_frame(context)
            });
            match asked {
                Ok(frame) => {
                    if let Some(frame) = ready!(frame) {
                        return Poll::Ready(Some(
                            frame.map(|frame| frame.map_data(|data| self.transit.parcel(data))),
                        ));
                    }
                }
                // Other answers of the connection go on, where it carries several.
                Err(Panicked) => return Poll::Ready(Some(Err(axum::Error::new(BodyPanicked)))),
            }
            self.progress = Progress::Ended;
        }
        // What h2 keeps of a stream that has ended on this side nobody could take away from it.
        self.transit.poll_empty(context).map(|()| None)
    }

    /// For an answer without a body. The end of one is told when it is asked for.
    fn is_end_stream(&self) -> bool {
        self.progress == Progress::Unasked && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
