//! docs/openapi.yaml against the code: every route with its methods as processes know them, and every type of problem that a
//! source can answer. `make openapi` holds the answers themselves against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sluice_testkit::{Node, Role, request};

use crate::stage::{Cluster, SLUICE};

const DOCUMENT: &str = include_str!("../../../../docs/openapi.yaml");
const TYPE: &str = "https://sluice.dev/problems/";
const METHODS: [&str; 6] = ["get", "head", "options", "post", "put", "delete"];

/// Paths with their methods and the listener that has each. The document is written with two spaces a level.
fn routes() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let (mut routes, mut path, mut method) = (BTreeMap::<_, Vec<_>>::new(), "", "");
    for line in
        DOCUMENT.lines().skip_while(|line| *line != "paths:").take_while(|line| *line != "components:")
    {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim());
        if indent == 2 && text.starts_with('/') {
            path = text.trim_end_matches(':');
        } else if indent == 4 && METHODS.contains(&text.trim_end_matches(':')) {
            method = text.trim_end_matches(':');
        } else if let Some(tag) = text.strip_prefix("tags: [") {
            let tags = tag.trim_end_matches(']').split(", ");
            routes.entry(path).or_default().extend(tags.map(|tag| (method, tag)));
        }
    }
    routes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_have_the_documented_methods_and_no_others() {
    let cluster = Cluster::start().await;
    let gateway = &cluster.gateways[1];
    let listeners = [
        ("public", gateway.addr()),
        ("publisher", cluster.publisher.publisher_addr()),
        ("operations", gateway.ops_addr()),
    ];
    let routes = routes();
    assert!(routes.len() > 10, "{routes:?}");
    for (path, methods) in routes {
        for (tag, address) in listeners {
            if !methods.iter().any(|(_, of)| *of == tag) {
                continue;
            }
            for method in METHODS.into_iter().filter(|method| *method != "head") {
                let documented = methods.contains(&(method, tag));
                // It would drain the node for those that come after it.
                let headers: &[_] =
                    if path == "/v1/drain" { &[("origin", "https://a.example")] } else { &[] };
                let asked = path.replace("{topic}", "t").replace("/v1/events", "/v1/events?errors=status");
                let answer = request(address, &method.to_uppercase(), &asked, headers, "").await.unwrap();
                assert_eq!(
                    answer.status != 405,
                    documented,
                    "{method} {path} on the {tag} listener: {}",
                    answer.text()
                );
                let elsewhere = answer.status == 404 && answer.text().contains("/not-found");
                assert!(!documented || !elsewhere, "{method} {path} leads nowhere");
            }
        }
    }
}

/// The literal that names a problem stands behind its status, or behind `bad(`, which is 400.
fn types_of_sources() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["sluice-access", "sluice-gateway", "sluice-publisher", "sluice-runtime"] {
        let mut folders = vec![crates.join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    // Where the words of refusals are the types themselves.
                    let words = path.ends_with("admission.rs") || path.ends_with("http/refusal.rs");
                    types_of(&fs::read_to_string(path).unwrap(), words, &mut found);
                }
            }
        }
    }
    found
}

fn types_of(source: &str, words: bool, found: &mut BTreeSet<String>) {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = code.replace("\\\"", "").replace("'\"'", "");
    let literals: Vec<&str> = code.split('"').collect();
    for pair in literals.chunks(2).filter(|pair| pair.len() == 2) {
        let before = pair[0].trim_end().trim_end_matches([',', '(']).trim_end();
        let last = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let status = last.len() == 3 && last.parse::<u16>().is_ok_and(|status| (400..600).contains(&status));
        let constant = before.strip_suffix(last).is_some_and(|rest| rest.ends_with("StatusCode::"));
        let slug = !pair[1].is_empty() && pair[1].bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let word = words && before.ends_with("=>");
        let named = status || word || constant || matches!(last, "bad" | "unavailable");
        if slug && (named || before.ends_with("Unavailable { reason:")) {
            found.insert(pair[1].to_owned());
        }
    }
}

#[test]
fn every_type_of_problem_is_documented() {
    let documented: BTreeSet<String> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("        - ")?.strip_prefix(TYPE))
        .map(str::to_owned)
        .collect();
    let missing: Vec<String> = types_of_sources().difference(&documented).cloned().collect();
    assert!(missing.is_empty(), "docs/openapi.yaml does not know {missing:?}");
    assert!(types_of_sources().len() > 25, "{:?}", types_of_sources());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_answered_as_documented() {
    let node = Node::builder(SLUICE, Role::Dev).spawn().await.unwrap();
    let answer =
        request(node.ops_addr(), "POST", "/v1/drain", &[], "").await.unwrap().expect_status(202).unwrap();
    let told = answer.json().unwrap();
    assert!(told["began"].is_boolean() && told["phase"].is_string() && told["what"].is_string(), "{told}");
}
