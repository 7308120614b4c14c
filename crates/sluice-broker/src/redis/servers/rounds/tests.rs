//! Orders of events that no real cluster produces on demand.

use proptest::prelude::*;

use super::*;

fn address(port: u16) -> Address {
    Address { host: "h".to_owned(), port }
}

fn busy() -> Outcome {
    Outcome::Later(BrokerError::Unavailable("busy".to_owned()))
}

fn lost() -> Outcome {
    Outcome::Lost(BrokerError::Unavailable("lost".to_owned()))
}

fn ran() -> Outcome {
    Outcome::Answered(Value::Okay)
}

fn moved(port: u16) -> Outcome {
    Outcome::Elsewhere(Target::Named(address(port)))
}

fn indices(rounds: &Rounds) -> Vec<usize> {
    rounds.next().into_iter().map(|(index, _)| index).collect()
}

#[test]
fn redirections_are_understood() {
    let error = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
    let target = |text: &str| match outcome(error(text), &address(1)) {
        Outcome::Elsewhere(target) => Some(target),
        _ => None,
    };
    assert_eq!(target("MOVED 3999 h:6381"), Some(Target::Named(address(6381))));
    assert_eq!(target("ASK 3999 h:6381"), Some(Target::Asking(address(6381))));
    assert_eq!(target("MOVED 3999 :6381"), Some(Target::Named(address(6381))));
    let six = Address { host: "::1".to_owned(), port: 5 };
    assert_eq!(target("MOVED 3999 ::1:5"), Some(Target::Named(six)));
    for text in ["TRYAGAIN x", "READONLY x", "LOADING x", "CLUSTERDOWN x", "NOSCRIPT x", "MOVED junk"] {
        assert!(matches!(outcome(error(text), &address(1)), Outcome::Later(_)), "{text}");
    }
    for text in ["ERR x", "WRONGTYPE x", "NOPERM x", "OOM x", "SLUICE x"] {
        assert!(matches!(outcome(error(text), &address(1)), Outcome::Answered(_)), "{text}");
    }
}

#[test]
fn what_did_not_run_is_sent_again_in_its_order() {
    let mut rounds = Rounds::new(vec![7, 7, 8], true);
    rounds.take(vec![(0, moved(2)), (1, moved(2)), (2, ran())]);
    let named = Target::Named(address(2));
    assert_eq!(rounds.next(), [(0, named.clone()), (1, named)]);
    rounds.take(vec![(0, ran()), (1, ran())]);
    assert!(rounds.next().is_empty());
    assert!(rounds.end().iter().all(Result::is_ok));
}

#[test]
fn one_that_goes_another_way_waits_for_those_before_it() {
    let mut rounds = Rounds::new(vec![7, 7, 7], true);
    let asking = || Outcome::Elsewhere(Target::Asking(address(2)));
    rounds.take(vec![(0, busy()), (1, asking()), (2, asking())]);
    assert_eq!(rounds.next(), [(0, Target::Slot)]);
    rounds.take(vec![(0, asking())]);
    assert_eq!(indices(&rounds), [0, 1, 2]);
}

#[test]
fn one_that_was_overtaken_is_not_sent_again() {
    let mut rounds = Rounds::new(vec![7, 7, 7], true);
    rounds.take(vec![(0, busy()), (1, ran()), (2, busy())]);
    assert_eq!(indices(&rounds), [2]);
    let answers = rounds.end();
    assert!(answers[0].is_err() && answers[1].is_ok() && answers[2].is_err());
}

#[test]
fn nothing_follows_one_of_which_nobody_knows() {
    let mut rounds = Rounds::new(vec![7, 7, 8], true);
    rounds.take(vec![(0, lost()), (2, busy())]);
    assert_eq!(indices(&rounds), [2]);
}

#[test]
fn reads_wait_for_nobody() {
    let mut rounds = Rounds::new(vec![7, 7], false);
    rounds.take(vec![(0, busy()), (1, ran())]);
    assert_eq!(indices(&rounds), [0]);
}

proptest! {
    #[test]
    fn order_holds_whatever_the_servers_say(
        slots in prop::collection::vec(0..3_u16, 1..10),
        says in prop::collection::vec(0..6_u8, 200),
    ) {
        let mut rounds = Rounds::new(slots.clone(), true);
        let mut says = says.into_iter();
        // Of each command: whether it ran, perhaps; and when.
        let mut may_have_run: Vec<usize> = Vec::new();
        loop {
            let round = rounds.next();
            if round.is_empty() { break }
            let mut outcomes = Vec::new();
            for (index, _) in round {
                prop_assert!(!may_have_run.contains(&index), "sent twice");
                let Some(say) = says.next() else { return Ok(()) };
                let outcome = match say {
                    0 => busy(),
                    1 => moved(1),
                    2 => Outcome::Elsewhere(Target::Asking(address(2))),
                    3 => lost(),
                    _ => ran(),
                };
                if say >= 3 { may_have_run.push(index) }
                outcomes.push((index, outcome));
            }
            rounds.take(outcomes);
        }
        for slot in 0..3 {
            let order: Vec<_> = may_have_run.iter().filter(|index| slots[**index] == slot).collect();
            prop_assert!(order.is_sorted(), "{order:?} overtook");
        }
    }
}
