//! Whose address a request has: what proxies say counts if they are trusted, and nobody else's word.

use std::time::Duration;

use sluice_gateway::{ForwardedField, ListenerSettings, ProxyProtocol, TrustedProxies};
use sluice_testkit::RawConnection;

use crate::stage::{Stage, answer, event, get_stream, greeting};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
/// Of 198.51.100.9, port 1.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x09\x0a\0\0\x01\0\x01\x01\xbb";
/// Of whoever sends it.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn stage(trusted: &[&str], field: ForwardedField, proxy_protocol: ProxyProtocol) -> Stage {
    let networks = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let proxies = TrustedProxies { networks, field };
    let handshake_timeout = Duration::from_secs(2);
    Stage::listening(ListenerSettings { proxies, proxy_protocol, handshake_timeout, ..Default::default() })
        .await
}

/// Of whom the listener takes a request, sent behind `opening` with these fields, to be.
async fn address(stage: &Stage, opening: &[u8], fields: &str) -> String {
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    let request = format!("GET /address HTTP/1.1\r\nhost: test\r\n{fields}\r\n");
    connection.send([opening, request.as_bytes()].concat()).await.unwrap();
    let (head, body) = answer(&mut connection).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    String::from_utf8(body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_believed_unless_trusted() {
    for trusted in [&[][..], &["10.0.0.0/8", "::1"]] {
        let stage = stage(trusted, ForwardedField::XForwardedFor, ProxyProtocol::Optional).await;
        let fields = "x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\n";
        assert_eq!(address(&stage, b"", fields).await, "127.0.0.1");
        // A header that nobody asked for is no request.
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send([LINE, b"GET /address HTTP/1.1\r\nhost: x\r\n\r\n"].concat()).await.unwrap();
        let refused = String::from_utf8(connection.read_to_end().await.unwrap()).unwrap();
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_names_its_client_in_the_field_that_was_chosen() {
    let trusted = ["127.0.0.0/8", "10.0.0.0/8"];
    for (field, fields, expected) in [
        (
            ForwardedField::XForwardedFor,
            "x-forwarded-for: 203.0.113.1, 192.0.2.1\r\nforwarded: for=1.1.1.1\r\n",
            "192.0.2.1",
        ),
        (
            ForwardedField::XForwardedFor,
            "x-forwarded-for: 192.0.2.1\r\nX-Forwarded-For: 10.1.1.1\r\n",
            "192.0.2.1",
        ),
        (ForwardedField::XForwardedFor, "x-forwarded-for: 192.0.2.1, nonsense\r\n", "127.0.0.1"),
        (ForwardedField::XForwardedFor, "x-forwarded-for: 192.0.2.1, \u{fe}\r\n", "127.0.0.1"),
        (
            ForwardedField::Forwarded,
            "x-forwarded-for: 1.1.1.1\r\nforwarded: for=\"[2001:db8::1]:4\";proto=https, for=10.2.3.4\r\n",
            "2001:db8::1",
        ),
        (ForwardedField::Off, "x-forwarded-for: 1.1.1.1\r\nforwarded: for=1.1.1.1\r\n", "127.0.0.1"),
    ] {
        let stage = stage(&trusted, field, ProxyProtocol::Off).await;
        assert_eq!(address(&stage, b"", fields).await, expected, "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_names_the_client_of_a_connection() {
    for required in [ProxyProtocol::Optional, ProxyProtocol::Required] {
        let stage = stage(&["127.0.0.1"], ForwardedField::XForwardedFor, required).await;
        assert_eq!(address(&stage, LINE, "x-forwarded-for: 1.1.1.1\r\n").await, "192.0.2.7");
        assert_eq!(address(&stage, BINARY, "").await, "198.51.100.9");
        assert_eq!(address(&stage, LOCAL, "").await, "127.0.0.1");
    }
    // A proxy behind a balancer: each hop is asked if it is trusted.
    let stage =
        stage(&["127.0.0.1", "198.51.100.0/24"], ForwardedField::XForwardedFor, ProxyProtocol::Required)
            .await;
    assert_eq!(address(&stage, BINARY, "x-forwarded-for: 203.0.113.5\r\n").await, "203.0.113.5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_leaves_hyper_behind_a_proxy_header_too() {
    let stage = stage(&["127.0.0.1"], ForwardedField::Off, ProxyProtocol::Required).await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send([BINARY, get_stream("a").as_bytes()].concat()).await.unwrap();
    greeting(&mut connection).await;
    stage.reach("the slot", |status| status.shards.streams == 1).await;
    stage.publish("a", "one").await;
    event(&mut connection, "one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_header_and_what_never_comes_is_closed_without_an_answer() {
    let stage = stage(&["127.0.0.1"], ForwardedField::Off, ProxyProtocol::Required).await;
    for opening in
        [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 1.", b""]
    {
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(opening).await.unwrap();
        // Bytes that nobody read turn the end into a reset.
        let answered = connection.read_to_end().await.unwrap_or_default();
        assert!(answered.is_empty(), "{opening:?}: {}", String::from_utf8_lossy(&answered));
    }
    assert_eq!(address(&stage, LINE, "").await, "192.0.2.7", "the others are served");
}
