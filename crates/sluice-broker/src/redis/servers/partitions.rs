//! The partitions of a cluster are the primaries of its layout. Where there is no cluster, there is one.

use redis::Pipeline;
use tokio::time::Instant;

use super::Servers;
use crate::redis::layout::Slot;
use crate::redis::{failure, parse};
use crate::url::Address;
use crate::{BrokerError, Partition};

impl Servers {
    /// The partition that `slot`, if it matters, is in, as far as is known now.
    pub(in crate::redis) fn partition(&self, slot: impl FnOnce() -> Slot) -> Partition {
        if self.cluster { self.scout.layout().partition(slot()) } else { Partition::WHOLE }
    }

    /// All that there are, as far as is known now.
    pub(in crate::redis) fn partitions(&self) -> Vec<Partition> {
        if self.cluster { self.scout.layout().partitions() } else { vec![Partition::WHOLE] }
    }

    /// Proves that the server of `partition` answers and serves its slots. One that is in charge of nothing any
    /// more has nothing to prove.
    pub(in crate::redis) async fn probe(&self, partition: &Partition) -> Result<(), BrokerError> {
        if !self.cluster {
            return self.ping().await.map(drop);
        }
        let layout = self.scout.known(Instant::now() + self.dialler.timeouts().0).await?;
        let proved = match layout.of_partition(partition) {
            Some(shard) => self.serves(&shard.primary).await,
            None if layout.has_unassigned(partition) => {
                Err(BrokerError::Unavailable("no server of the Redis cluster serves some slots".to_owned()))
            }
            None => Ok(()),
        };
        proved.inspect_err(|_| self.scout.look_again(None))
    }

    async fn serves(&self, primary: &Address) -> Result<(), BrokerError> {
        let mut questions = Pipeline::with_capacity(2);
        questions.cmd("PING");
        questions.cmd("CLUSTER").arg("INFO");
        let answers = self.pool(primary).pipeline(&questions).await.map_err(|failure| failure.why)?;
        let mut answers = answers.into_iter();
        failure::checked(answers.next().ok_or_else(|| failure::odd("PING", "answer"))?)?;
        // A node that is cut off, or has just started, answers pings and refuses events. Who may not ask
        // learns that from the events.
        match answers.next().as_ref().and_then(parse::text) {
            Some(info) if !info.contains("cluster_state:ok") => {
                Err(BrokerError::Unavailable(format!("Redis at {primary} says that its cluster is down")))
            }
            _ => Ok(()),
        }
    }
}
