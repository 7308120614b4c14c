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
                let mut from = Fault::all_of(topology);
                // It would take the time of ten others.
                from.retain(|fault| *fault != Fault::LinkCutLong);
                Faults::Drawn { from, until: Instant::now() + *within }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_faults_again_and_every_one_in_the_end() {
        let plan = Plan::Chaos(Duration::from_secs(60));
        let draw = |seed| -> Vec<Fault> {
            let (mut rng, mut faults) = (Rng::with_seed(seed), plan.faults(Topology::Cluster));
            (0..400).filter_map(|_| faults.next(&mut rng)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(Fault::all_of(Topology::Cluster).iter().all(|fault| draw(3).contains(fault)));
    }

    #[test]
    fn what_is_listed_strikes_once_and_in_order() {
        let listed = vec![Fault::LinkCut, Fault::Flushed];
        let mut faults = Plan::Faults(listed.clone()).faults(Topology::Tls);
        let mut rng = Rng::with_seed(1);
        assert_eq!(std::iter::from_fn(|| faults.next(&mut rng)).collect::<Vec<_>>(), listed);
    }
}
