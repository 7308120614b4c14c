//! Topics on the move, without servers.

use std::sync::Mutex;

use super::*;
use crate::broker::Announcement;
use crate::redis::layout::{SLOTS, Shard};

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn note(&self, what: &str, topics: &[Topic]) {
        let mut names: Vec<&str> = topics.iter().map(Topic::as_str).collect();
        names.sort_unstable();
        self.0.lock().unwrap().push(format!("{what} {}", names.join(" ")));
    }
}

impl Listener for Told {
    fn announced(&self, _: &str, _: Announcement) {}
    fn lost(&self, topics: &[Topic]) {
        self.note("lost", topics);
    }
    fn restored(&self, topics: &[Topic]) {
        self.note("restored", topics);
    }
    fn broken(&self, _: &str) {
        self.0.lock().unwrap().push("broken".to_owned());
    }
    fn whole(&self) {
        self.0.lock().unwrap().push("whole".to_owned());
    }
}

fn address(port: u16) -> Address {
    Address { host: "h".to_owned(), port }
}

fn topics(names: &[&str]) -> Vec<Topic> {
    names.iter().map(|name| Topic::parse(name).unwrap()).collect()
}

fn layout(shards: &[(u16, u16, u16)]) -> Arc<Layout> {
    let shard = |(port, first, last): &(u16, u16, u16)| Shard {
        primary: address(*port),
        slots: vec![(*first, *last)],
    };
    Arc::new(Layout::new(shards.iter().map(shard).collect()))
}

/// Slots of "a", "b" and "c", of which the middle one is that of "c".
const A: u16 = 15_495;
const B: u16 = 3_300;
const C: u16 = 7_365;

fn board() -> (Board, Arc<Told>) {
    let told = Arc::<Told>::default();
    let keys = Keys::new("sluice").unwrap();
    for (name, slot) in [("a", A), ("b", B), ("c", C)] {
        assert_eq!(keys.slot(&topics(&[name])[0]), slot);
    }
    (Board::new(keys, Arc::clone(&told) as Arc<dyn Listener>, Arc::default()), told)
}

fn ticket() -> (Ticket, oneshot::Receiver<()>) {
    let (ticket, called) = oneshot::channel();
    (Arc::new(ticket), called)
}

/// What a line does that finds nothing in its way.
fn level(board: &mut Board, port: u16) -> Vec<String> {
    let (wanted, _) = board.take_work(&address(port));
    board.subscribed(&address(port), &wanted);
    board.settled(&address(port));
    let mut names: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

fn waits(called: &mut oneshot::Receiver<()>) -> bool {
    matches!(called.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

#[test]
fn topics_wait_for_servers_and_stand_with_theirs() {
    let (mut board, told) = board();
    let (ticket, mut called) = ticket();
    board.add(topics(&["a", "b"]), &ticket);
    drop(ticket);
    assert_eq!(board.lay_out(layout(&[(1, 0, 9_999), (2, 10_000, SLOTS - 1)])).len(), 2);
    assert_eq!(level(&mut board, 1), ["b"]);
    board.stands(&address(1));
    assert!(waits(&mut called));
    // The other server is not waited for.
    assert_eq!(told.take(), ["lost a b", "restored b"]);
    assert_eq!(level(&mut board, 2), ["a"]);
    board.stands(&address(2));
    assert!(!waits(&mut called));
    assert_eq!(told.take(), ["restored a", "whole"]);
    assert_eq!(board.health.get().shards_connected, 2);
}

/// Two lines, of which the first has b and c, and the second a.
fn two_that_stand() -> (Board, Arc<Told>) {
    let (mut board, told) = board();
    board.lay_out(layout(&[(1, 0, 9_999), (2, 10_000, SLOTS - 1)]));
    board.add(topics(&["a", "b", "c"]), &ticket().0);
    for port in [1, 2] {
        level(&mut board, port);
        board.stands(&address(port));
    }
    told.take();
    (board, told)
}

#[test]
fn topics_that_move_are_lost_meanwhile_and_the_rest_stands() {
    let (mut board, told) = two_that_stand();
    // The slot of c goes to the other server.
    assert!(board.lay_out(layout(&[(1, 0, 4_999), (2, 5_000, SLOTS - 1)])).is_empty());
    assert_eq!(level(&mut board, 1), [""; 0]);
    assert_eq!(told.take(), ["lost c"]);
    assert_eq!(level(&mut board, 2), ["c"]);
    assert_eq!(told.take(), ["restored c"]);
}

#[test]
fn a_new_primary_is_a_loss_and_a_repair() {
    let (mut board, told) = board();
    let (ticket, mut called) = ticket();
    board.lay_out(layout(&[(1, 0, SLOTS - 1)]));
    board.add(topics(&["a"]), &ticket);
    level(&mut board, 1);
    board.stands(&address(1));
    let (late, mut late_called) = super::tests::ticket();
    board.add(topics(&["b"]), &late);
    drop((ticket, late));
    assert_eq!(board.lay_out(layout(&[(2, 0, SLOTS - 1)])).len(), 1);
    assert_eq!(told.take(), ["restored a", "whole", "lost a b", "broken"]);
    // What the old line was still to do the new one does, and only then is it called done.
    board.stands(&address(1));
    assert!(!waits(&mut called) && waits(&mut late_called));
    assert_eq!(level(&mut board, 2), ["a", "b"]);
    board.stands(&address(2));
    assert!(!waits(&mut late_called));
    assert_eq!(board.health.get().reconnects, 1);
    assert_eq!(told.take(), ["restored a b", "whole"]);
}

#[test]
fn a_server_without_topics_counts_only_once_it_has_some() {
    let (mut board, told) = board();
    let (ticket, _called) = ticket();
    board.lay_out(layout(&[(1, 0, SLOTS - 1)]));
    board.add(topics(&["a"]), &ticket);
    level(&mut board, 1);
    board.stands(&address(1));
    assert_eq!(told.take(), ["restored a", "whole"]);
    // A server joins with one slot that no topic is in: nobody waits for its connection.
    board.lay_out(layout(&[(1, 1, SLOTS - 1), (2, 0, 0)]));
    assert!(told.take().is_empty());
    board.lay_out(layout(&[(1, 0, A - 1), (2, A, SLOTS - 1)]));
    assert_eq!(told.take(), ["lost a", "broken"]);
    level(&mut board, 2);
    board.stands(&address(2));
    assert_eq!(told.take(), ["restored a", "whole"]);
}

#[test]
fn a_subscription_that_the_server_gave_up_is_made_again() {
    let (mut board, told) = board();
    let (ticket, _called) = ticket();
    board.lay_out(layout(&[(1, 0, SLOTS - 1)]));
    board.add(topics(&["a", "b"]), &ticket);
    level(&mut board, 1);
    board.stands(&address(1));
    told.take();
    board.dropped(&address(1), &topics(&["a"])[0]);
    assert!(!board.settled(&address(1)));
    assert_eq!(level(&mut board, 1), ["a"]);
    assert_eq!(told.take(), ["lost a", "restored a"]);
    board.remove(topics(&["b"]));
    board.dropped(&address(1), &topics(&["b"])[0]);
    assert_eq!(level(&mut board, 1), [""; 0]);
}

#[test]
fn a_server_that_is_away_costs_its_own_topics_their_announcements() {
    let (mut board, told) = two_that_stand();
    board.lost(&address(1), "test");
    assert_eq!(told.take(), ["lost b c", "broken"]);
    // The slot of c goes to the server that is there, and its topics wait for nobody.
    board.lay_out(layout(&[(1, 0, 4_999), (2, 5_000, SLOTS - 1)]));
    assert_eq!(level(&mut board, 2), ["c"]);
    assert_eq!(told.take(), ["lost c", "restored c"]);
    board.begin(&address(1));
    assert_eq!(level(&mut board, 1), ["b"]);
    board.stands(&address(1));
    assert_eq!(told.take(), ["restored b", "whole"]);
}

/// Its channel is subscribed only after the line was said to stand.
#[test]
fn a_topic_that_came_at_the_last_moment_is_not_restored_early() {
    let (mut board, told) = board();
    let (ticket, mut called) = ticket();
    board.lay_out(layout(&[(1, 0, 4_999), (2, 5_000, SLOTS - 1)]));
    board.add(topics(&["b", "c"]), &ticket);
    drop(ticket);
    assert_eq!(level(&mut board, 1), ["b"]);
    board.lay_out(layout(&[(1, 0, 9_999), (2, 10_000, SLOTS - 1)]));
    told.take();
    board.stands(&address(1));
    assert_eq!(told.take(), ["restored b"]);
    assert!(waits(&mut called));
    assert_eq!(level(&mut board, 1), ["c"]);
    assert_eq!(told.take(), ["restored c"]);
    assert!(!waits(&mut called));
}

/// The server has not been asked to take the subscription back: it is made again, so that somebody says that it stands.
#[test]
fn a_topic_that_comes_back_at_once_is_restored() {
    let (mut board, told) = two_that_stand();
    board.lay_out(layout(&[(1, 0, 4_999), (2, 5_000, SLOTS - 1)]));
    board.lay_out(layout(&[(1, 0, 9_999), (2, 10_000, SLOTS - 1)]));
    assert_eq!(level(&mut board, 1), ["c"]);
    assert_eq!(told.take(), ["lost c", "lost c", "restored c"]);
}
