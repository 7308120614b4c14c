//! TLS at the listener: the same streams, certificates that change, clients that must show one.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use sluice_gateway::{Tls, TlsSettings};
use sluice_testkit::{Certificates, RawConnection, eventually, find_tool};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::secure::{Secure, ask, certificate, read_until};
use crate::stage::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_by_http_1() {
    let secure = Secure::start().await;
    for protocols in [&["http/1.1"][..], &[]] {
        let mut connection = secure.connect(protocols).await.unwrap();
        ask(&mut connection, "a").await;
        let head = read_until(&mut connection, "\nid: ").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for field in [
            "content-type: text/event-stream; charset=utf-8",
            "transfer-encoding: chunked",
            "connection: close",
        ] {
            assert!(head.contains(&format!("\r\n{field}\r\n")), "{head}");
        }
        secure.stage.publish("a", "one").await;
        read_until(&mut connection, "data: one\n\n").await;
    }
    secure.stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_it_in_good_order() {
    let secure = Secure::start().await;
    let mut connection = secure.connect(&["http/1.1"]).await.unwrap();
    ask(&mut connection, "a").await;
    read_until(&mut connection, "\r\n\r\n").await;
    secure.stage.reach("the stream", |status| status.streams == 1).await;
    secure.stage.drain().await;
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).await.expect("close_notify, then the end");
    let text = String::from_utf8(rest).unwrap();
    assert!(text.contains("retry: ") && text.ends_with("\n\n\r\n0\r\n\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_handshake_is_closed_and_the_others_are_served() {
    let secure =
        Secure::start_with(false, |listener| listener.handshake_timeout = Duration::from_secs(2)).await;
    for bytes in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"\x16\x03\x01", b""] {
        let mut connection = RawConnection::connect(secure.stage.address).await.unwrap();
        connection.send(bytes).await.unwrap();
        // An alert at most.
        let answer = connection.read_to_end().await.unwrap_or_default();
        assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    }
    secure.connect(&[]).await.unwrap();
}

/// Which certificate the listener shows.
async fn shown(secure: &Secure) -> anyhow::Result<Vec<u8>> {
    let connection = secure.connect(&[]).await?;
    Ok(connection.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_pair_is_served_and_a_broken_one_is_not() {
    let secure = Secure::start().await;
    let mut old = secure.connect(&["http/1.1"]).await.unwrap();
    ask(&mut old, "a").await;
    read_until(&mut old, "\nid: ").await;
    let cert_file = secure.certificates.server_cert_file();
    let before = certificate(&cert_file).unwrap().to_vec();
    assert_eq!(shown(&secure).await.unwrap(), before);

    // The certificate has come and its key has not.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Certificates::create_in(elsewhere.path()).unwrap();
    for broken in [fs::read(other.server_cert_file()).unwrap(), b"no certificate".to_vec(), Vec::new()] {
        fs::write(&cert_file, broken).unwrap();
        eventually("the problem to be told", SOON, async || secure.tls.status().problem.is_some())
            .await
            .unwrap();
        assert_eq!(shown(&secure).await.unwrap(), before, "the old one is served on");
    }

    // Authority, certificate and key of another make.
    Certificates::create_in(secure.directory.path()).unwrap();
    eventually("the new pair", SOON, async || secure.tls.status().problem.is_none()).await.unwrap();
    let after = eventually("the new certificate", SOON, async || {
        shown(&secure).await.ok().filter(|shown| *shown != before)
    });
    assert_eq!(after.await.unwrap(), certificate(&cert_file).unwrap().to_vec());
    secure.stage.publish("a", "one").await;
    read_until(&mut old, "data: one\n\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_show_a_certificate_where_they_must() {
    let secure = Secure::start_with(true, |_| {}).await;
    let mut known = secure.connect_as(&["http/1.1"], true).await.unwrap();
    ask(&mut known, "a").await;
    read_until(&mut known, "\nid: ").await;
    // By TLS 1.3 the client learns that it was refused when it reads.
    let refused = match secure.connect_as(&["http/1.1"], false).await {
        Ok(mut unknown) => unknown.read_u8().await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
}

#[test]
fn what_cannot_be_served_with_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path()).unwrap();
    let settings = TlsSettings {
        cert_file: certificates.server_cert_file(),
        key_file: certificates.server_key_file(),
        client_ca_file: None,
        reload_interval: Duration::from_secs(1),
    };
    let junk = directory.path().join("junk.pem");
    fs::write(&junk, "junk").unwrap();
    let year = 60 * 60 * 24 * 365;
    assert!(Tls::load(settings.clone()).unwrap().status().expires_at_s > year, "of the epoch");
    for (wrong, why) in [
        (TlsSettings { cert_file: "/nowhere.pem".into(), ..settings.clone() }, "/nowhere.pem cannot be read"),
        (TlsSettings { cert_file: junk.clone(), ..settings.clone() }, "holds no certificate in PEM"),
        (TlsSettings { key_file: junk.clone(), ..settings.clone() }, "holds no private key in PEM"),
        (
            TlsSettings { key_file: certificates.client_key_file(), ..settings.clone() },
            "cannot be served with",
        ),
        (TlsSettings { client_ca_file: Some(junk), ..settings }, "holds no certificate in PEM"),
    ] {
        let error = Tls::load(wrong).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// A client that is nobody's own: curl, which speaks both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_reads_a_stream_by_either_protocol() {
    let Some(curl) = find_tool("curl", &["curl"]) else { return };
    let secure = Secure::start().await;
    for (flag, version) in [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")] {
        let url = format!("https://localhost:{}/v1/events?topic=a", secure.stage.address.port());
        let mut curl = Command::new(&curl)
            .args(["-sSNi", "--max-time", "60", flag, "--resolve"])
            .arg(format!("localhost:{}:127.0.0.1", secure.stage.address.port()))
            .arg("--cacert")
            .arg(secure.certificates.ca_file())
            .arg(url)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        secure.stage.reach("curl's stream", |status| status.streams == 1).await;
        let mut output = curl.stdout.take().unwrap();
        let mut read = Vec::new();
        let greeted = |read: &[u8]| String::from_utf8_lossy(read).contains("\nid: ");
        while !greeted(&read) {
            assert_ne!(output.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
        secure.stage.publish("a", "one").await;
        while !String::from_utf8_lossy(&read).contains("data: one\n\n") {
            assert_ne!(output.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
        let text = String::from_utf8_lossy(&read);
        assert!(text.starts_with(version), "{text}");
        curl.kill().await.unwrap();
        secure.stage.empty().await;
    }
}
