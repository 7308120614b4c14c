//! Who is let in, from end to end: tokens and keys on real nodes, and that none of them is ever written down.

mod expiry;
mod key_sets;
mod revocation;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sluice_testkit::{Node, NodeBuilder, Role, SseOptions, SseStream, TokenSigner, request};

use crate::stage::{SLUICE, open};

pub(super) const SECRET: &str = "a secret of thirty-two characters";

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(super) fn signer() -> TokenSigner {
    TokenSigner::secret("HS256", SECRET.as_bytes()).unwrap()
}

/// A token for `orders/*`, with `more` claims.
pub(crate) fn token(more: &Value) -> String {
    let mut claims = json!({
        "sub": "u7",
        "exp": now_s() + 600,
        "sluice": {"subscribe": ["orders/*"], "publish": ["orders/*"]},
    });
    more.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
    signer().token(&claims).unwrap()
}

/// Nothing is open to everybody but `public/*`, and whoever has the secret signs tokens.
pub(crate) fn closed(node: NodeBuilder) -> NodeBuilder {
    node.env("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", "public/*")
        .env("SLUICE_AUTH__ANONYMOUS__PUBLISH", "")
        .env("SLUICE_AUTH__JWT__SECRET", SECRET)
        .env("SLUICE_AUTH__SUBJECT__SUBSCRIBE", "user/{sub}/**")
}

pub(crate) fn dev() -> NodeBuilder {
    closed(Node::builder(SLUICE, Role::Dev))
}

pub(crate) fn with_token(token: &str) -> SseOptions {
    SseOptions { headers: vec![("authorization".into(), format!("Bearer {token}"))], ..SseOptions::default() }
}

pub(super) fn slug(response: &sluice_testkit::Response) -> String {
    let problem = response.json().unwrap();
    problem["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_what_it_grants_and_each_refusal_says_why() {
    let node = dev().spawn().await.unwrap();
    let (good, text) = (token(&json!({})), ("content-type", "text/plain"));
    let bearer = format!("Bearer {good}");
    let mut stream = open(node.addr(), &["orders/1", "user/u7/inbox", "public/a"], &with_token(&good)).await;
    let auth = ("authorization", bearer.as_str());
    let published =
        request(node.addr(), "POST", "/v1/topics/orders/1/events", &[auth, text], "hi").await.unwrap();
    assert_eq!(published.status, 201);
    assert_eq!(stream.event().await.unwrap().data, "hi");
    let history = request(node.addr(), "GET", "/v1/topics/orders/1/events", &[auth], "").await.unwrap();
    assert_eq!(history.expect_status(200).unwrap().json().unwrap()["events"][0]["data"], "hi");

    let expired = format!("Bearer {}", token(&json!({"exp": now_s() - 60})));
    let forged = format!("Bearer {}x", &good[..good.len() - 1]);
    // A browser, which sends nothing but the media type, is told otherwise.
    let sse = ("accept", "text/event-stream, */*");
    for (method, path, credentials, status, expected) in [
        ("GET", "/v1/events?topic=orders/1", None, 401, "unauthorized"),
        ("GET", "/v1/events?topic=orders/1", Some(&expired), 401, "invalid-token"),
        ("HEAD", "/v1/events?topic=public/1", Some(&expired), 401, "invalid-token"),
        ("GET", "/v1/events?topic=public/1", Some(&forged), 401, "invalid-token"),
        ("GET", "/v1/events?topic=orders/1/2", Some(&bearer), 403, "forbidden"),
        ("GET", "/v1/events?topic=user/u8/inbox", Some(&bearer), 403, "forbidden"),
        ("GET", "/v1/events?topic=sluice.revocations", Some(&bearer), 403, "reserved-topic"),
        ("GET", "/v1/topics/orders/1/2/events", Some(&bearer), 403, "forbidden"),
        ("GET", "/v1/topics/orders/1/events", Some(&expired), 401, "invalid-token"),
        ("POST", "/v1/topics/orders/1/events", None, 401, "unauthorized"),
        ("POST", "/v1/topics/orders/1/events", Some(&expired), 401, "invalid-token"),
        ("POST", "/v1/topics/public/1/events", Some(&bearer), 403, "forbidden"),
        ("POST", "/v1/topics/sluice.revocations/events", Some(&bearer), 403, "reserved-topic"),
        ("POST", "/v1/events", Some(&forged), 401, "invalid-token"),
    ] {
        let mut headers = vec![text, sse];
        headers.extend(credentials.map(|value| ("authorization", value.as_str())));
        let answer = request(node.addr(), method, path, &headers, "").await.unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert_eq!(challenge.starts_with("Bearer realm"), expected != "reserved-topic", "{method} {path}");
        assert_eq!(challenge.contains("invalid_token"), expected == "invalid-token", "{method} {path}");
        if method != "HEAD" {
            assert_eq!(slug(&answer), expected, "{method} {path}");
        }
    }
    let batch = "{\"topic\":\"orders/2\",\"data\":1}\n{\"topic\":\"public/2\",\"data\":2}\n";
    let lines = ("content-type", "application/x-ndjson");
    let answer = request(node.addr(), "POST", "/v1/events", &[auth, lines], batch).await.unwrap();
    assert_eq!(answer.status, 207);
    assert_eq!(answer.json().unwrap()["results"][1]["error"]["status"], 403);
    let refused = node.metric("sluice_auth_refused_total").await.unwrap().unwrap();
    assert!(refused >= 15.0, "{refused}");
}

/// Cookies are sent by browsers whoever asks, so they count for pages that may use them and for no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_for_pages_of_allowed_origins() {
    let node = dev()
        .env("SLUICE_CORS__ORIGINS", "https://app.example")
        .env("SLUICE_CORS__CREDENTIALS", "true")
        .spawn()
        .await
        .unwrap();
    let cookie = format!("other=1; sluice_token={}", token(&json!({})));
    let (cookie, text) = (("cookie", cookie.as_str()), ("content-type", "text/plain"));
    let path = "/v1/topics/orders/1/events";
    for (origin, status) in
        [(Some("https://app.example"), 201), (Some("https://evil.example"), 403), (None, 403)]
    {
        let mut headers = vec![cookie, text];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let answer = request(node.addr(), "POST", path, &headers, "x").await.unwrap();
        assert_eq!(answer.status, status, "{origin:?}: {}", answer.text());
        let head = request(node.addr(), "HEAD", "/v1/events?topic=orders/1", &headers, "").await.unwrap();
        assert_eq!(head.status, if origin == Some("https://evil.example") { 401 } else { 200 }, "{origin:?}");
        let allowed = origin == Some("https://app.example");
        assert_eq!(head.header("access-control-allow-origin"), origin.filter(|_| allowed));
        assert_eq!(head.header("access-control-allow-credentials"), Some("true"));
        assert!(head.header("vary").unwrap().contains("origin"), "caches must keep origins apart");
        let exposed = head.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("retry-after") && exposed.contains("www-authenticate"), "{exposed}");
    }
    let asks = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "last-event-id,authorization"),
    ];
    let preflight = request(node.addr(), "OPTIONS", "/v1/events", &asks, "").await.unwrap();
    assert_eq!((preflight.status, preflight.header("access-control-max-age")), (200, Some("600")));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("last-event-id"));
}

/// With all logs on, whichever way a token comes, and whatever becomes of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_ever_written_down() {
    let node = dev()
        .env("SLUICE_AUTH__QUERY_TOKEN", "true")
        .env("SLUICE_TELEMETRY__LOG_LEVEL", "trace")
        .spawn()
        .await
        .unwrap();
    let tokens = [
        token(&json!({})),
        token(&json!({"exp": 1})),
        token(&json!({"sluice": {"subscribe": ["a*"]}})),
        signer().token_with(r#"{"alg":"HS512"}"#, "{}").unwrap(),
        "slk_an_api_key_that_nobody_has_configured_here_".to_owned(),
        format!("{}.x", token(&json!({}))),
    ];
    let mut answers = String::new();
    for token in &tokens {
        let (bearer, cookie) = (format!("Bearer {token}"), format!("sluice_token={token}"));
        let query = format!("&access_token={token}");
        for (headers, query) in [
            (vec![("authorization", bearer.as_str())], ""),
            (vec![("cookie", cookie.as_str()), ("origin", "http://evil.example")], ""),
            (vec![("cookie", cookie.as_str())], ""),
            (vec![], query.as_str()),
        ] {
            for (method, path) in [
                ("HEAD", format!("/v1/events?topic=orders/1{query}")),
                ("GET", format!("/v1/topics/orders/1/events?limit=1{query}")),
                ("GET", format!("/v1/nothing?a=b{query}")),
                ("DELETE", format!("/v1/events?a=b{query}")),
                ("POST", format!("/v1/topics/orders/1/events?type=t{query}")),
            ] {
                let mut headers = headers.clone();
                headers.extend([("content-type", "text/plain"), ("accept", "*/*")]);
                let answer = request(node.addr(), method, &path, &headers, "x").await.unwrap();
                answers.push_str(&format!("{:?} {}\n", answer.headers, answer.text()));
            }
        }
    }
    let options = with_token(&tokens[0]);
    let stream = SseStream::open(node.addr(), &["orders/1"], &options).await.unwrap();
    for path in ["/v1/streams", "/v1/node", "/metrics"] {
        answers.push_str(&sluice_testkit::get(node.ops_addr(), path).await.unwrap().text());
    }
    drop(stream);
    let log = node.log();
    assert!(log.contains("serving streams"), "nothing is logged:\n{log}");
    for text in tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 8) {
        assert!(!log.contains(text), "{text} is in the log");
        assert!(!answers.contains(text), "{text} is in an answer");
    }
    assert!(!log.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_is_made_and_used_by_the_command_line() {
    let made = tokio::process::Command::new(SLUICE).args(["key", "shop", "--publish", "orders/**"]).output();
    let made = String::from_utf8(made.await.unwrap().stdout).unwrap();
    let key = made.split_whitespace().find(|word| word.starts_with("slk_")).unwrap().to_owned();
    let table = made.lines().find(|line| line.trim_start().starts_with("{ name")).unwrap().trim();
    let node = dev().env("SLUICE_AUTH__API_KEYS", &format!("[{table}]")).spawn().await.unwrap();
    let url = format!("http://{}", node.addr());
    let publish = |token: Vec<String>| {
        let url = url.clone();
        async move {
            let mut command = tokio::process::Command::new(SLUICE);
            command.args(["publish", "orders/1", "by key", "--url", &url]).args(token);
            command.output().await.unwrap()
        }
    };
    assert!(publish(vec!["--token".into(), key.clone()]).await.status.success());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{key}\n")).unwrap();
    assert!(publish(vec!["--token-file".into(), file.path().display().to_string()]).await.status.success());
    let refused = publish(Vec::new()).await;
    assert!(
        !refused.status.success()
            && String::from_utf8_lossy(&refused.stderr).contains("Authentication needed")
    );
    let mut tail = tokio::process::Command::new(SLUICE);
    tail.args(["tail", "orders/1", "--since", "earliest", "--count", "2", "--url", &url]);
    let tail = tail.env("SLUICE_TOKEN", token(&json!({}))).output().await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&tail.stdout),
        "by key\nby key\n",
        "{}",
        String::from_utf8_lossy(&tail.stderr)
    );
    assert!(
        !node.log().contains(&key) && !made.contains(&format!("{key}\"")),
        "the table holds the hash alone"
    );
}
