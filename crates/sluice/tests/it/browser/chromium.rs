//! Headless Chromium on a page of the test's own, which reports by itself what it sees: nothing stands between
//! the browser and Sluice, and nothing drives it.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use sluice_testkit::find_tool;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// A browser takes long to start where other tests run beside it.
const WITHIN: Duration = Duration::from_secs(60);

/// `EventSource.CONNECTING`: it will come back.
pub(crate) const CONNECTING: u64 = 0;
/// `EventSource.OPEN`
pub(crate) const OPEN: u64 = 1;

/// What the page told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// `open`, `error` or `event <type>`.
    pub(crate) what: String,
    /// `readyState`
    pub(crate) state: u64,
    pub(crate) data: String,
    /// `lastEventId`
    pub(crate) id: String,
}

/// A page that listens to a stream as its query says, and reports what comes.
pub(crate) const LISTENING: &str = include_str!("page.html");

/// A browser on one page, killed when the value is dropped.
pub(crate) struct Browser {
    reports: UnboundedReceiver<Report>,
    _chromium: Chromium,
    _server: JoinSet<()>,
}

impl Browser {
    /// Opens an EventSource on `stream` that listens to `message` and `types`. `None`, after a line that says
    /// so, where no Chromium is installed.
    pub(crate) async fn listen(stream: &str, types: &[&str]) -> Option<Self> {
        let mut query = vec![("stream", stream)];
        query.extend(types.iter().map(|name| ("type", *name)));
        Self::show(LISTENING.to_owned(), &query).await
    }

    /// Shows `page` under `/?<query>`; it may POST reports to `/report`.
    pub(crate) async fn show(page: String, query: &[(&str, &str)]) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::show_on(listener, page, query).await
    }

    /// Shows `page` at the address of `listener`, for a page whose origin must be known before.
    #[expect(clippy::unused_async, reason = "the server is spawned on the runtime of the caller")]
    pub(crate) async fn show_on(listener: TcpListener, page: String, query: &[(&str, &str)]) -> Option<Self> {
        let (sender, reports) = unbounded_channel();
        let url = format!("http://{}/?{}", listener.local_addr().unwrap(), encode(query));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, page, sender));
        Some(Self { reports, _chromium: Chromium::start(&url)?, _server: server })
    }

    /// Opens a page of a node itself, which reports nothing.
    pub(crate) fn visit(address: SocketAddr, query: &[(&str, &str)]) -> Option<Self> {
        let chromium = Chromium::start(&format!("http://{address}/?{}", encode(query)))?;
        let (_, reports) = unbounded_channel();
        Some(Self { reports, _chromium: chromium, _server: JoinSet::new() })
    }

    /// The next report.
    pub(crate) async fn next(&mut self) -> Report {
        let report = timeout(WITHIN, self.reports.recv()).await;
        report.expect("the page reports in time").expect("the page's server runs")
    }

    /// The next report that is about this; everything before it is handed to `passed`.
    pub(crate) async fn until(&mut self, what: &str, passed: &mut Vec<Report>) -> Report {
        loop {
            let report = self.next().await;
            if report.what == what {
                return report;
            }
            passed.push(report);
        }
    }
}

/// The processes of a browser and the directory that they write to.
struct Chromium {
    /// The leader of a process group of its own, in which all the others are.
    leader: Child,
    _profile: TempDir,
}

impl Chromium {
    /// Returns `None`, after a line that says so, where no browser is installed.
    fn start(url: &str) -> Option<Self> {
        let program = find_tool("chromium", &NAMES)?;
        let profile = tempfile::Builder::new().prefix("sluice-chromium-").tempdir().unwrap();
        let leader = Command::new(&program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--no-proxy-server", "--ignore-certificate-errors"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", program.display()));
        Some(Self { leader, _profile: profile })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The renderers would go by themselves, but not before the profile is removed under them.
        let group = format!("-{}", self.leader.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}

async fn serve(listener: TcpListener, page: String, sender: UnboundedSender<Report>) {
    let router = Router::new()
        .route("/", get(async move || Html(page.clone())))
        .route("/report", post(take))
        .with_state(sender);
    axum::serve(listener, router).await.unwrap();
}

async fn take(State(sender): State<UnboundedSender<Report>>, body: String) -> StatusCode {
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let state = told["state"].as_u64().unwrap_or_default();
    // A test that has seen enough no longer listens.
    let _ = sender.send(Report { what: text("what"), state, data: text("data"), id: text("id") });
    StatusCode::NO_CONTENT
}

fn encode(query: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |done, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => done + &char::from(byte).to_string(),
            byte => format!("{done}%{byte:02X}"),
        })
    };
    let pairs = query.iter().map(|(name, value)| format!("{name}={}", escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}
