//! Which faults strike, in which order.

use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Fault, Topology};

#[derive(Debug, Clone)]
pub(super) enum Plan {
    Faults(Vec<Fault>),
    Chaos(Duration),
}

pub(super) enum Faults {
    Listed(std::vec::IntoIter<Fault>),
    Drawn { from: Vec<Fault>, until: Instant },
}

impl Plan {
    pub(super) fn faults(&self, topology: Topology) -> Faults {
        match self {
            Self::Faults(faults) => Faults::Listed(faults.clone().into_iter()),
            Self::Chaos(within) => {
                Faults::Drawn { from: Fault::all_of(topology), until: Instant::now() + *within }
            }
        }
    }
}

impl Faults {
    pub(super) fn next(&mut self, rng: &mut Rng) -> Option<Fault> {
        match self {
            Self::Listed(faults) => faults.next(),
            Self::Drawn { from, until } => (Instant::now() < *until).then(|| from[rng.usize(..from.len())]),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => {
                let names: Vec<_> = faults.iter().map(ToString::to_string).collect();
                write!(f, "{}", if names.is_empty() { "no fault".to_owned() } else { names.join(", then ") })
            }
            Self::Chaos(within) => write!(f, "faults at random for {within:?}"),
        }
    }
}
