//! What may go wrong, by name, and where it can.

use std::fmt;

use super::Topology;

/// One fault. What exactly it strikes (which node, which shard) is drawn from the experiment's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// SIGKILL of a gateway; it is started again later.
    GatewayKilled,
    /// SIGTERM of a gateway, which drains; it is started again later.
    GatewayTerminated,
    /// SIGKILL of the publisher, which is started again at once.
    PublisherKilled,
    /// Every connection of the clients that publish is reset, again and again for a second.
    PublishersReset,
    /// SIGKILL of a primary. One redis-server is started again with its append-only file; elsewhere a replica
    /// takes over, and the killed server comes back later.
    PrimaryKilled,
    /// A primary hangs for three seconds with its connections open (SIGSTOP). Where there are replicas, one takes
    /// over, and the old primary wakes up without knowing it.
    PrimaryPaused,
    /// One shard hangs for three seconds, primary and replica; the others are there.
    ShardPaused,
    /// A primary answers `BUSY` to everything for three seconds: a script runs.
    PrimaryBusy,
    /// A primary answers `OOM` to every write for three seconds.
    PrimaryFull,
    /// A replica takes over by command: `SENTINEL FAILOVER`, `CLUSTER FAILOVER`.
    FailoverByCommand,
    /// A slot moves to another shard while its topic is published to.
    SlotMoved,
    /// `CLIENT KILL TYPE pubsub` on every server.
    SubscribersKilled,
    /// `CLIENT KILL TYPE normal` and `TYPE pubsub` on every server.
    ClientsKilled,
    /// Redis cuts subscribers off at a small output-buffer limit, in a burst that they do not read in time.
    OutputLimit,
    /// The gateways' connections to Redis are reset.
    LinkReset,
    /// The gateways' connections to Redis are closed and refused for three seconds.
    LinkCut,
    /// The same for thirty seconds.
    LinkCutLong,
    /// What Redis sends to the gateways is swallowed for three seconds; connections stay open.
    LinkSilentFromRedis,
    /// What the gateways send to Redis is swallowed for three seconds; connections stay open.
    LinkSilentToRedis,
    /// Every connection between gateways and Redis is squeezed to 2 KiB a second for three seconds.
    LinkSlow,
    /// The publisher's connections to Redis are closed and refused for three seconds.
    PublisherCut,
    /// `FLUSHALL` on every primary: what was published before is gone.
    Flushed,
}

use Fault::*;

impl Fault {
    /// Every fault that can strike this topology.
    #[must_use]
    pub fn all_of(topology: Topology) -> Vec<Self> {
        let everywhere = [
            GatewayKilled,
            GatewayTerminated,
            PublisherKilled,
            PublishersReset,
            PrimaryKilled,
            PrimaryPaused,
            PrimaryBusy,
            PrimaryFull,
            SubscribersKilled,
            ClientsKilled,
            OutputLimit,
            Flushed,
        ];
        let here: &[Self] = match topology {
            // Other topologies tell clients where to go, which leads them past a proxy.
            Topology::Standalone | Topology::Tls => &[
                LinkReset,
                LinkCut,
                LinkCutLong,
                LinkSilentFromRedis,
                LinkSilentToRedis,
                LinkSlow,
                PublisherCut,
            ],
            Topology::Sentinel => &[FailoverByCommand],
            Topology::Cluster => &[ShardPaused, FailoverByCommand, SlotMoved],
        };
        [&everywhere, here].concat()
    }

    /// Whether Redis itself may lose acknowledged events there, so that clients may be told of rewinds.
    #[must_use]
    pub fn may_rewind(self, topology: Topology) -> bool {
        match self {
            Flushed => true,
            PrimaryKilled | PrimaryPaused | PrimaryBusy | ShardPaused => {
                matches!(topology, Topology::Sentinel | Topology::Cluster)
            }
            // A cluster's replica takes over when it has everything; a sentinel's does not wait.
            FailoverByCommand => topology == Topology::Sentinel,
            _ => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GatewayKilled => "gateway killed (SIGKILL)",
            GatewayTerminated => "gateway drained (SIGTERM)",
            PublisherKilled => "publisher killed and restarted",
            PublishersReset => "publishing clients reset for 1 s",
            PrimaryKilled => "Redis primary killed",
            PrimaryPaused => "Redis primary hangs 3 s",
            PrimaryBusy => "Redis primary BUSY for 3 s",
            PrimaryFull => "Redis primary OOM for 3 s",
            ShardPaused => "one shard hangs 3 s, primary and replica",
            FailoverByCommand => "failover by command",
            SlotMoved => "slot moved under load",
            SubscribersKilled => "CLIENT KILL TYPE pubsub",
            ClientsKilled => "CLIENT KILL of all clients",
            OutputLimit => "subscribers cut at their output limit",
            LinkReset => "gateways' links reset",
            LinkCut => "gateways cut off for 3 s",
            LinkCutLong => "gateways cut off for 30 s",
            LinkSilentFromRedis => "gateways hear nothing for 3 s",
            LinkSilentToRedis => "gateways unheard for 3 s",
            LinkSlow => "gateways' links at 2 KiB/s for 3 s",
            PublisherCut => "publisher cut off for 3 s",
            Flushed => "FLUSHALL",
        })
    }
}
