//! Keys that live elsewhere: a real server of key sets that rotates and goes away, and a file that is replaced.

use serde_json::json;
use sluice_testkit::{DocumentServer, Node, Role, TokenSigner, eventually, key_set, request};

use super::{now_s, slug};
use crate::stage::{SLUICE, SOON};

fn token(signer: &TokenSigner) -> String {
    let claims = json!({"iss": "https://idp", "aud": "sluice", "exp": now_s() + 600, "scope": "sluice:subscribe:orders/*"});
    signer.token(&claims).unwrap()
}

async fn status(node: &Node, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let answer = request(node.addr(), "GET", "/v1/topics/orders/1/events", &headers, "").await.unwrap();
    (answer.status, if answer.status == 200 { String::new() } else { slug(&answer) })
}

fn ok() -> (u16, String) {
    (200, String::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_and_an_outage_of_their_server_is_survived() {
    let [old, new, newer] = ["old", "new", "newer"].map(|kid| TokenSigner::pair("ES256").unwrap().named(kid));
    let server = DocumentServer::start(key_set(&[&old]).unwrap()).await.unwrap();
    let node = Node::builder(SLUICE, Role::Dev)
        .env("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", "")
        .env("SLUICE_AUTH__JWT__JWKS_URL", &server.url())
        .env("SLUICE_AUTH__JWT__ISSUER", "https://idp")
        .env("SLUICE_AUTH__JWT__AUDIENCE", "sluice")
        .env("SLUICE_AUTH__JWKS__UNKNOWN_KEY_INTERVAL_MS", "300")
        .spawn()
        .await
        .unwrap();
    assert_eq!(status(&node, &token(&old)).await, ok());
    server.set(200, &key_set(&[&old, &new]).unwrap());
    assert_eq!(status(&node, &token(&new)).await, ok(), "a key that is new is fetched when it is met");
    let asked = server.requests();
    for _ in 0..20 {
        assert_eq!(status(&node, &token(&new)).await, ok());
    }
    assert_eq!(server.requests(), asked, "a key that is known asks for nothing");

    server.set(500, "out of order");
    assert_eq!(status(&node, &token(&newer)).await, (503, "keys-unavailable".to_owned()));
    assert_eq!(status(&node, &token(&old)).await, ok(), "an outage keeps what there was");
    // A browser that comes meanwhile is sent away to come back: a status would be its end.
    let bearer = format!("Bearer {}", token(&newer));
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let shed = request(node.addr(), "GET", "/v1/events?topic=orders/1", &headers, "").await.unwrap();
    assert_eq!(shed.status, 200);
    assert!(shed.text().contains("event: sluice.shed") && shed.text().contains("keys-unavailable"));

    server.set(200, &key_set(&[&new, &newer]).unwrap());
    assert_eq!(status(&node, &token(&newer)).await, ok());
    assert_eq!(status(&node, &token(&old)).await, (401, "invalid-token".to_owned()), "taken out of the set");
    assert!(node.metric("sluice_auth_key_loads_total").await.unwrap().unwrap() >= 3.0);
    assert!(node.log().contains("cannot fetch the key set"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_that_is_replaced_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let [old, new] = [(); 2].map(|()| TokenSigner::pair("EdDSA").unwrap());
    let replace = |text: &str| {
        let fresh = directory.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, &file).unwrap();
    };
    replace(&old.public_pem().unwrap());
    let node = Node::builder(SLUICE, Role::Dev)
        .env("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", "")
        .env("SLUICE_AUTH__JWT__KEY_FILE", &file.display().to_string())
        .env("SLUICE_AUTH__JWT__ALGORITHMS", "EdDSA")
        .env("SLUICE_AUTH__JWT__AUDIENCE", "sluice")
        .spawn()
        .await
        .unwrap();
    assert_eq!(status(&node, &token(&old)).await, ok());
    replace("nothing of use");
    eventually("the node to say that the file is of no use", SOON, async || {
        node.log().contains("cannot use a changed key file").then_some(())
    })
    .await
    .unwrap();
    assert_eq!(status(&node, &token(&old)).await, ok());
    replace(&new.public_pem().unwrap());
    eventually("the new key to count", SOON, async || {
        (status(&node, &token(&new)).await == ok()).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(status(&node, &token(&old)).await.0, 401);
}
