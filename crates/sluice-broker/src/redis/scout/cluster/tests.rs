//! What nodes say of their cluster, in the forms that they say it in.

use super::*;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn flat(fields: &[(&str, Value)]) -> Value {
    Value::Array(fields.iter().flat_map(|(name, value)| [bulk(name), value.clone()]).collect())
}

fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(name, value)| (bulk(name), value.clone())).collect())
}

fn numbers(numbers: &[i64]) -> Value {
    Value::Array(numbers.iter().map(|number| Value::Int(*number)).collect())
}

fn node(endpoint: &str, port: i64, role: &str, health: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("id", bulk("0123")),
        ("port", Value::Int(port)),
        ("tls-port", Value::Int(port + 1000)),
        ("ip", bulk("10.0.0.9")),
        ("endpoint", bulk(endpoint)),
        ("role", bulk(role)),
        ("replication-offset", Value::Int(72)),
        ("health", bulk(health)),
    ]
}

fn asked() -> Address {
    Address { host: "asked".to_owned(), port: 1 }
}

fn shown(word: Option<(Vec<Shard>, Vec<Address>)>) -> (Vec<String>, Vec<String>) {
    let (shards, nodes) = word.unwrap();
    let shards = shards.iter().map(|shard| format!("{} {:?}", shard.primary, shard.slots)).collect();
    (shards, nodes.iter().map(ToString::to_string).collect())
}

#[test]
fn shards_of_both_protocols_are_read() {
    for form in [flat, map] {
        let nodes = Value::Array(vec![
            form(&node("b", 2, "replica", "online")),
            form(&node("a", 1, "master", "online")),
        ]);
        let gone =
            Value::Array(vec![form(&node("c", 3, "master", "fail")), form(&node("", 4, "master", "online"))]);
        let answer = Value::Array(vec![
            form(&[("slots", numbers(&[0, 5, 7, 7])), ("nodes", nodes)]),
            form(&[("slots", numbers(&[8, 16383])), ("nodes", gone)]),
        ]);
        let (shards, all) = shown(of_shards(&answer, &asked(), false));
        assert_eq!(shards, ["a:1 [(0, 5), (7, 7)]", "asked:4 [(8, 16383)]"]);
        assert_eq!(all, ["b:2", "a:1", "c:3", "asked:4"]);
        assert_eq!(shown(of_shards(&answer, &asked(), true)).1[0], "b:1002");
    }
    assert_eq!(of_shards(&Value::Nil, &asked(), false), None);
}

#[test]
fn a_name_that_a_node_does_not_know_is_made_good() {
    for (endpoint, ip, expected) in [
        (Some("host"), Some("ip"), "host"),
        (Some("?"), Some("ip"), "ip"),
        (Some(""), Some("ip"), "asked"),
        (None, Some("ip"), "asked"),
        (Some("?"), None, "asked"),
        (None, None, "asked"),
    ] {
        assert_eq!(host(endpoint, ip, &asked()), expected);
    }
}

#[test]
fn slots_are_read() {
    let node =
        |name: Value, port| Value::Array(vec![name, Value::Int(port), bulk("id"), Value::Array(vec![])]);
    let answer = Value::Array(vec![
        Value::Array(vec![Value::Int(0), Value::Int(9), node(bulk("a"), 1), node(bulk("b"), 2)]),
        Value::Array(vec![Value::Int(10), Value::Int(16383), node(Value::Nil, 3)]),
    ]);
    let (shards, all) = shown(of_slots(&answer, &asked()));
    assert_eq!(shards, ["a:1 [(0, 9)]", "asked:3 [(10, 16383)]"]);
    assert_eq!(all, ["a:1", "b:2", "asked:3"]);
}
