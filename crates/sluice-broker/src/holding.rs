//! What nodes tell each other of what they hold, where a limit is of all nodes together.

use std::sync::Arc;
use std::time::Duration;

/// What a node says and asks in one go. A name is whatever the limit is by, such as a subject.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// Who speaks: unlike any other node, and unlike an earlier run of the same one.
    pub node: &'a str,
    /// How many it holds of each of these names from now on; 0 gives a name back. A name stands here at most once.
    pub held: &'a [(Arc<str>, u32)],
    /// `held` is all that it holds: what it said before is forgotten.
    pub whole: bool,
    /// How long what it holds stays without another word of it.
    pub lease: Duration,
    /// Names of which it wants to know how many the other nodes hold.
    pub asked: &'a [Arc<str>],
}
