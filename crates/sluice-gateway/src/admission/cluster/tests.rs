//! Nodes that share the limit, in every order of coming, speaking, judging and leaving.

use proptest::prelude::*;

use super::*;

const MAX: u32 = 3;
const NODES: usize = 3;
const SUBJECTS: [&str; 2] = ["u", "v"];

#[derive(Debug, Clone)]
enum Op {
    Come(usize, usize),
    /// A word is said, all that there is if so, and answered.
    Speak(usize, bool),
    /// The oldest stream on its way that was asked about is let in or refused.
    Judge(usize),
    /// The oldest open stream ends.
    End(usize),
    /// The node is killed, its lease ends, and another takes its place.
    Die(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let node = 0..NODES;
    prop_oneof![
        6 => (node.clone(), 0..SUBJECTS.len()).prop_map(|(node, subject)| Op::Come(node, subject)),
        4 => (node.clone(), prop::bool::weighted(0.2)).prop_map(|(node, whole)| Op::Speak(node, whole)),
        6 => node.clone().prop_map(Op::Judge),
        2 => node.clone().prop_map(Op::End),
        1 => node.prop_map(Op::Die),
    ]
}

struct Node {
    quota: ClusterQuota,
    /// What the others can read.
    said: HashMap<Arc<str>, u32>,
    spoken: u64,
    coming: Vec<(&'static str, u64)>,
    open: Vec<&'static str>,
}

impl Node {
    fn new() -> Self {
        let (coming, open) = (Vec::new(), Vec::new());
        Self { quota: ClusterQuota::new(MAX), said: HashMap::new(), spoken: 0, coming, open }
    }

    fn say(&mut self, whole: bool) -> Vec<Arc<str>> {
        let word = self.quota.word(whole);
        if word.whole {
            self.said.clear();
        }
        for (name, count) in word.held {
            match count {
                0 => self.said.remove(&name),
                count => self.said.insert(name, count),
            };
        }
        self.spoken = word.number;
        word.asked
    }

    fn judge(&mut self) {
        let Some(at) = self.coming.iter().position(|(_, word)| *word <= self.spoken) else { return };
        let (subject, _) = self.coming.remove(at);
        if !self.quota.is_full(subject) {
            self.quota.hold(subject);
            self.open.push(subject);
        }
        self.quota.came(subject);
    }

    fn end(&mut self) {
        if !self.open.is_empty() {
            self.quota.release(self.open.remove(0));
        }
    }
}

fn speak(nodes: &mut [Node], node: usize, whole: bool) {
    let asked = nodes[node].say(whole);
    let elsewhere: Vec<u64> = asked
        .iter()
        .map(|name| {
            let others = nodes.iter().enumerate().filter(|(other, _)| *other != node);
            others.filter_map(|(_, other)| other.said.get(name)).map(|count| u64::from(*count)).sum()
        })
        .collect();
    nodes[node].quota.answered(&asked, &elsewhere);
}

proptest! {
    #[test]
    fn nodes_that_hear_of_each_other_never_let_in_too_many(ops in prop::collection::vec(op(), 1..200)) {
        let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::new()).collect();
        for op in ops {
            match op {
                Op::Come(node, subject) => {
                    let node = &mut nodes[node];
                    let word = node.quota.come(SUBJECTS[subject]);
                    node.coming.push((SUBJECTS[subject], word));
                }
                Op::Speak(node, whole) => speak(&mut nodes, node, whole),
                Op::Judge(node) => nodes[node].judge(),
                Op::End(node) => nodes[node].end(),
                Op::Die(node) => nodes[node] = Node::new(),
            }
            for subject in SUBJECTS {
                let open = nodes.iter().flat_map(|node| &node.open).filter(|open| **open == subject).count();
                prop_assert!(open <= MAX as usize, "{} of {}", open, subject);
            }
        }
        for at in 0..NODES {
            speak(&mut nodes, at, false);
            while !nodes[at].coming.is_empty() {
                nodes[at].judge();
            }
            while !nodes[at].open.is_empty() {
                nodes[at].end();
            }
            speak(&mut nodes, at, false);
            prop_assert!(nodes[at].said.is_empty(), "what was held is given back");
            prop_assert_eq!((nodes[at].quota.len(), nodes[at].quota.has_news()), (0, false), "and forgotten");
        }
    }
}

#[test]
fn a_place_that_is_given_back_elsewhere_is_there_for_whoever_asks_next() {
    let mut nodes = vec![Node::new(), Node::new()];
    let ask = |nodes: &mut Vec<Node>, node: usize| {
        let word = nodes[node].quota.come("u");
        nodes[node].coming.push(("u", word));
        speak(nodes, node, false);
        let before = nodes[node].open.len();
        nodes[node].judge();
        nodes[node].open.len() > before
    };
    assert_eq!([0, 1, 0, 1, 0].map(|node| ask(&mut nodes, node)), [true, true, true, false, false]);
    nodes[0].end();
    assert!(!ask(&mut nodes, 1), "it has not heard of it");
    speak(&mut nodes, 0, false);
    assert!(ask(&mut nodes, 1));
    nodes[0].quota.unanswered();
    assert!(!nodes[0].quota.is_full("u"), "of those elsewhere it knows nothing");
}
