//! Why a request was refused, for the log: whoever answers leaves it in the response's extensions, and one layer around
//! all routes writes the line.

use std::sync::Arc;

/// In the extensions of a response that refuses. Holds no part of any credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// The reason as metrics and clients read it.
    pub reason: &'static str,
    /// Who asked, where that is known.
    pub subject: Option<Arc<str>>,
}

impl RefusedRequest {
    /// A refusal of somebody unknown so far.
    #[must_use]
    pub fn new(reason: &'static str) -> Self {
        Self { reason, subject: None }
    }
}
