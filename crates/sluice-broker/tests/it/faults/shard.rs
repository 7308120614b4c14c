//! One shard of a cluster hangs, primary and replica, and the others do not.

use sluice_broker::Retention;
use sluice_testkit::{RedisCluster, RedisServer, eventually};
use sluice_wire::{EventId, Topic};
use tokio::time::timeout;

use crate::journal::{Following, Journal, quick, without_tail_check};
use crate::stage::{SOON, Stage, impatient, topic};

/// A cluster of which the shard of topic `t0` can hang.
struct Scene {
    cluster: RedisCluster,
    stage: Stage,
}

impl Scene {
    async fn new() -> Self {
        let cluster =
            RedisCluster::builder().arg("cluster-require-full-coverage", "no").start().await.unwrap();
        let stage = Stage::with(impatient(&cluster.url(), Retention::UNLIMITED), None);
        stage.fill("t0", 0..1).await;
        Self { cluster, stage }
    }

    /// The first `count` of `<stem>0`, `<stem>1`, .. that are in the shard of `t0`, and as many that are not.
    fn topics(&self, stem: &str, count: usize) -> (Vec<Topic>, Vec<Topic>) {
        let of_t0 = self.stage.broker.partition(&topic("t0"));
        let all = (0..count * 20).map(|n| topic(&format!("{stem}{n}")));
        let (mut hanging, mut well): (Vec<_>, Vec<_>) =
            all.partition(|topic| self.stage.broker.partition(topic) == of_t0);
        hanging.truncate(count);
        well.truncate(count);
        assert!(hanging.len() == count && well.len() == count);
        (hanging, well)
    }

    async fn of_t0(&self) -> [&RedisServer; 2] {
        [self.cluster.primary_of("t0").await.unwrap(), self.cluster.replica_of("t0").await.unwrap()]
    }

    async fn fill_each(&self, topics: &[Topic], numbers: std::ops::Range<usize>) -> Vec<Vec<EventId>> {
        let mut ids = Vec::new();
        for topic in topics {
            ids.push(self.stage.fill(topic.as_str(), numbers.clone()).await);
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_hangs_holds_up_no_other() {
    let scene = Scene::new().await;
    let following = Following::with(&scene.stage, quick());
    let (hanging, well) = scene.topics("t", 20);
    following.follower.follow(&[hanging.clone(), well.clone()].concat()).await;
    following.journal.wait_for("the link", Journal::is_live).await;
    let servers = scene.of_t0().await;
    servers.iter().for_each(|server| server.pause().unwrap());
    following.journal.wait_for("the loss to be noticed", |journal| !journal.is_live()).await;

    // As many holes in it as could be read at a time, and topics that cannot be opened.
    let far = EventId { ms: u64::MAX, seq: 0 };
    let (new_hanging, new_well) = scene.topics("new/", 20);
    for topic in hanging.clone() {
        let follower = following.follower.clone();
        scene.stage.tracker.spawn(async move { follower.reach(&topic, far).await });
    }
    let follower = following.follower.clone();
    let topics = new_hanging.clone();
    let waiting = scene.stage.tracker.spawn(async move { follower.follow(&topics).await });

    // Topics are opened,
    timeout(SOON, following.follower.follow(&new_well)).await.expect("topics of others are opened");
    // announcements come,
    let all_well = [well.clone(), new_well.clone()].concat();
    let published = scene.fill_each(&all_well, 0..3).await;
    for (topic, ids) in all_well.iter().zip(&published) {
        following.journal.assert_exact(topic, ids).await;
    }
    // holes are read,
    for topic in &well {
        timeout(SOON, following.follower.reach(topic, far)).await.expect("logs of others are read");
    }
    // and moments are confirmed, of topics that were open before and of those that were not.
    for topic in &all_well {
        let before = following.journal.book(topic).confirmed_ms;
        let advanced = |journal: &Journal| journal.book(topic).confirmed_ms > before;
        following.journal.wait_for("a moment to be confirmed", advanced).await;
    }
    assert!(!following.journal.is_live() && !waiting.is_finished());
    // The loss of its subscription is noticed before a read of its logs has failed, and before its connection is gone.
    eventually("its partition, and no other, to be unread and unconnected", SOON, async || {
        let status = following.follower.status();
        let unread = following.follower.unread();
        let is_so = (status.servers, status.servers_connected) == (3, 2)
            && unread == [scene.stage.broker.partition(&topic("t0"))];
        if is_so { Ok(()) } else { Err(format!("unread: {unread:?}; {status:?}")) }
    })
    .await
    .unwrap();

    servers.iter().for_each(|server| server.resume().unwrap());
    timeout(SOON, waiting).await.expect("what waited is opened").unwrap();
    following.journal.wait_for("the link", Journal::is_live).await;
    let all = [hanging, new_hanging].concat();
    let published = scene.fill_each(&all, 1..4).await;
    for (topic, ids) in all.iter().zip(&published) {
        following.journal.assert_exact(topic, ids).await;
    }
}

/// It knows no layout when it is asked for topics of all shards at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_while_a_shard_hangs_opens_what_it_can() {
    let scene = Scene::new().await;
    let (hanging, well) = scene.topics("t", 20);
    let servers = scene.of_t0().await;
    servers.iter().for_each(|server| server.pause().unwrap());
    let late = Stage::with(impatient(&scene.cluster.url(), Retention::UNLIMITED), None);
    let following = Following::with(&late, quick());
    let follower = following.follower.clone();
    let topics = [hanging.clone(), well.clone()].concat();
    let waiting = scene.stage.tracker.spawn(async move { follower.follow(&topics).await });
    timeout(SOON, following.follower.follow(&well)).await.expect("topics of others are opened");
    for (topic, ids) in well.iter().zip(scene.fill_each(&well, 0..2).await) {
        following.journal.assert_exact(topic, &ids).await;
    }
    assert!(!waiting.is_finished());
    servers.iter().for_each(|server| server.resume().unwrap());
    timeout(SOON, waiting).await.expect("what waited is opened").unwrap();
    following.journal.wait_for("the link", Journal::is_live).await;
}

/// What is lost with a connection is told of its own topics: the others are not read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_has_its_own_topics_verified() {
    let scene = Scene::new().await;
    let following = Following::with(&scene.stage, without_tail_check());
    let (lost, well) = scene.topics("t", 50);
    following.follower.follow(&[lost.clone(), well.clone()].concat()).await;
    following.journal.wait_for("the link", Journal::is_live).await;
    let before = following.follower.status();
    let [primary, _] = scene.of_t0().await;
    primary.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
    eventually("the link to be live again", SOON, async || {
        let status = following.follower.status();
        status.live && status.reconnects > before.reconnects
    })
    .await
    .unwrap();
    let checked = following.follower.status().tail_checked_topics - before.tail_checked_topics;
    assert!((50..100).contains(&checked), "{checked} topics were compared");
    let all = [lost, well].concat();
    for (topic, ids) in all.iter().zip(scene.fill_each(&all, 1..2).await) {
        following.journal.assert_exact(topic, &ids).await;
    }
}
