//! How each fault is done. A strike returns when the fault is over (or done, where nothing puts an end to it), and is
//! an error if it had no effect: a fault that struck nobody shows nothing.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use fastrand::Rng;
use tokio::time::{interval, sleep};

use super::fault::Fault;
use super::load;
use super::servers::Servers;
use super::stage::Stage;
use crate::continuity::Ledger;
use crate::node::Node;
use crate::proxy::{Direction, Proxy};

/// How long outages last.
const OUTAGE: Duration = Duration::from_secs(3);
const LONG_OUTAGE: Duration = Duration::from_secs(30);
const DRAINED_WITHIN: Duration = Duration::from_secs(20);
const SQUEEZED_BYTES_PER_SECOND: u64 = 2 << 10;
const SMALL_LIMIT: &str = "pubsub 512kb 512kb 0";
const USUAL_LIMIT: &str = "pubsub 33554432 8388608 60";
/// More than the sockets between Redis and a gateway that does not read can hold.
const BURST: (usize, usize) = (192, 64 << 10);

impl Stage {
    /// Strikes; where it takes one shard or topic of several, that of `topic`.
    pub(super) async fn strike(
        &mut self,
        fault: Fault,
        topic: &str,
        ledger: &Ledger,
        rng: &mut Rng,
    ) -> Result<()> {
        match fault {
            Fault::GatewayKilled => {
                let gateway = self.any_gateway(rng);
                self.killed_gateway = Some(gateway);
                self.gateways[gateway].kill()
            }
            Fault::GatewayTerminated => {
                let gateway = self.any_gateway(rng);
                self.killed_gateway = Some(gateway);
                let code = self.gateways[gateway].terminate(DRAINED_WITHIN).await?;
                ensure!(code == 0, "the gateway ended with {code}");
                Ok(())
            }
            Fault::PublisherKilled => self.publisher.restart().await,
            Fault::PublishersReset => self.reset_publishers().await,
            Fault::PrimaryKilled => self.kill_primary(topic).await,
            Fault::PrimaryPaused => self.pause_primary(topic).await,
            Fault::PrimaryBusy => self.occupy_primary(topic).await,
            Fault::PrimaryFull => self.fill_primary(topic).await,
            Fault::ShardPaused => self.pause_shard(topic).await,
            Fault::FailoverByCommand => self.fail_over(topic).await,
            Fault::SlotMoved => match &self.servers {
                Servers::Cluster(cluster) => cluster.migrate_slot_of(topic).await.map(drop),
                _ => bail!("there are no slots"),
            },
            Fault::SubscribersKilled => self.kill_clients(&["pubsub"]).await,
            Fault::ClientsKilled => self.kill_clients(&["pubsub", "normal"]).await,
            Fault::OutputLimit => self.overflow(topic, ledger).await,
            Fault::Flushed => self.flush().await,
            Fault::LinkReset => {
                let link = &self.links()?.gateways;
                ensure!(link.open() > 0, "there was no connection to reset");
                link.reset();
                Ok(())
            }
            Fault::LinkCut => cut(&self.links()?.gateways, OUTAGE).await,
            Fault::LinkCutLong => cut(&self.links()?.gateways, LONG_OUTAGE).await,
            Fault::PublisherCut => cut(&self.links()?.publisher, OUTAGE).await,
            Fault::LinkSilentFromRedis => {
                outage(&self.links()?.gateways, |link| link.swallow(Direction::ToClient)).await
            }
            Fault::LinkSilentToRedis => {
                outage(&self.links()?.gateways, |link| link.swallow(Direction::ToServer)).await
            }
            Fault::LinkSlow => {
                outage(&self.links()?.gateways, |link| link.throttle(SQUEEZED_BYTES_PER_SECOND)).await
            }
        }
    }

    async fn reset_publishers(&self) -> Result<()> {
        let before = self.door.connections();
        let mut ticks = interval(Duration::from_millis(5));
        for _ in 0..200 {
            ticks.tick().await;
            self.door.reset();
        }
        ensure!(self.door.connections() > before, "nobody published meanwhile");
        Ok(())
    }

    async fn kill_primary(&mut self, topic: &str) -> Result<()> {
        match &mut self.servers {
            Servers::Single(server) => return server.restart().await,
            Servers::Sentinel(set) => self.killed_server = Some(set.kill_primary().await?),
            Servers::Cluster(cluster) => self.killed_server = Some(cluster.kill_primary_of(topic).await?),
        }
        Ok(())
    }

    async fn pause_primary(&self, topic: &str) -> Result<()> {
        let primary = self.servers.primary_of(topic).await?;
        primary.pause()?;
        sleep(OUTAGE).await;
        primary.resume()
    }

    async fn occupy_primary(&self, topic: &str) -> Result<()> {
        let primary = self.servers.primary_of(topic).await?;
        primary.cli(&["CONFIG", "SET", "busy-reply-threshold", "50"]).await?;
        let endless = ["EVAL", "while true do end", "0"];
        let (ran, ended) = tokio::join!(primary.cli(&endless), async {
            sleep(OUTAGE).await;
            primary.cli(&["SCRIPT", "KILL"]).await
        });
        ensure!(ran.is_err(), "an endless script ended by itself: {ran:?}");
        // Sentinels kill it before, when they find the server busy for long.
        drop(ended);
        let errors = primary.cli(&["INFO", "errorstats"]).await?;
        ensure!(errors.contains("errorstat_BUSY"), "nobody asked meanwhile");
        Ok(())
    }

    async fn fill_primary(&self, topic: &str) -> Result<()> {
        let primary = self.servers.primary_of(topic).await?;
        primary.cli(&["CONFIG", "SET", "maxmemory", "1"]).await?;
        sleep(OUTAGE).await;
        primary.cli(&["CONFIG", "SET", "maxmemory", "0"]).await?;
        let errors = primary.cli(&["INFO", "errorstats"]).await?;
        ensure!(errors.contains("errorstat_OOM"), "nobody wrote meanwhile");
        Ok(())
    }

    async fn pause_shard(&self, topic: &str) -> Result<()> {
        let Servers::Cluster(cluster) = &self.servers else { bail!("there are no shards") };
        let shard = [cluster.replica_of(topic).await?, cluster.primary_of(topic).await?];
        shard.iter().try_for_each(|server| server.pause())?;
        sleep(OUTAGE).await;
        shard.iter().try_for_each(|server| server.resume())
    }

    async fn fail_over(&self, topic: &str) -> Result<()> {
        match &self.servers {
            Servers::Single(_) => bail!("there is nobody to take over"),
            Servers::Sentinel(set) => set.failover().await.map(drop),
            Servers::Cluster(cluster) => cluster.failover_of(topic).await.map(drop),
        }
    }

    async fn kill_clients(&self, types: &[&str]) -> Result<()> {
        let mut killed = 0;
        for server in self.servers.all() {
            for kind in types {
                let count = server.cli(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await?;
                killed += count.parse::<usize>()?;
            }
        }
        ensure!(killed > 0, "there was no client to kill");
        Ok(())
    }

    /// Gateways stand still while a burst is published that neither Redis nor the sockets will keep for them.
    async fn overflow(&self, topic: &str, ledger: &Ledger) -> Result<()> {
        const CUT_OFF: &str = "for overcoming of output buffer limits";
        let primary = self.servers.primary_of(topic).await?;
        let cut_off = || primary.log().matches(CUT_OFF).count();
        let before = cut_off();
        primary.cli(&["CONFIG", "SET", "client-output-buffer-limit", SMALL_LIMIT]).await?;
        self.gateways.iter().try_for_each(Node::pause)?;
        let (events, bytes) = BURST;
        let filler = "x".repeat(bytes);
        for _ in 0..events {
            load::publish(ledger, self.door(), topic, &filler).await?;
        }
        self.gateways.iter().try_for_each(Node::resume)?;
        primary.cli(&["CONFIG", "SET", "client-output-buffer-limit", USUAL_LIMIT]).await?;
        ensure!(cut_off() > before, "Redis cut nobody off");
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        for server in self.servers.all() {
            let role = server.cli(&["ROLE"]).await?;
            if role.starts_with("master") {
                server.cli(&["FLUSHALL"]).await?;
            }
        }
        Ok(())
    }
}

async fn cut(link: &Proxy, outage: Duration) -> Result<()> {
    ensure!(link.open() > 0, "there was no connection to cut");
    link.cut().await;
    sleep(outage).await;
    link.restore().await
}

async fn outage(link: &Proxy, strike: impl FnOnce(&Proxy)) -> Result<()> {
    ensure!(link.open() > 0, "there was no connection to disturb");
    strike(link);
    sleep(OUTAGE).await;
    link.restore().await
}
