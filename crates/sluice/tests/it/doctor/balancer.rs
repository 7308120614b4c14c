//! A real nginx before a node, with the rules that a test is about.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use sluice_testkit::{Certificates, eventually};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::stage::SOON;

/// Where distributions put it, outside the PATH of ordinary users.
const PLACES: [&str; 3] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"];

/// A running nginx, killed when the value is dropped.
pub(super) struct Nginx {
    address: SocketAddr,
    _process: Child,
    _directory: TempDir,
}

impl Nginx {
    /// Starts one that hands everything to `node`; `None`, and a line that says so, where there is none.
    pub(super) async fn start(node: SocketAddr, rules: &str) -> Option<Self> {
        Self::listening("", node, rules).await
    }

    /// One that is spoken to by TLS; `more` is what else its listener does, such as `http2`.
    pub(super) async fn tls(node: SocketAddr, more: &str, certificates: &Certificates) -> Option<Self> {
        let (cert, key) = (certificates.server_cert_file(), certificates.server_key_file());
        let rules = format!("}} ssl_certificate {}; ssl_certificate_key {};", cert.display(), key.display());
        Self::listening(&format!("ssl {more}"), node, &format!("{rules} location /unused {{")).await
    }

    async fn listening(how: &str, node: SocketAddr, rules: &str) -> Option<Self> {
        let Some(binary) = PLACES.iter().find(|place| Path::new(place).exists()) else {
            // Past the capture of output: a test that saw nothing must say so also where it passes.
            let _ = writeln!(io::stderr(), "SKIPPED: no nginx in {PLACES:?} (apt-get install nginx-light)");
            return None;
        };
        let directory = tempfile::Builder::new().prefix("sluice-nginx-").tempdir().unwrap();
        let address = free_address();
        let root = directory.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; {temporary}\n\
             server {{ listen {address} {how}; location / {{ proxy_pass http://{node}; {rules} }} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let process = Command::new(binary)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(directory.path().join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("nginx", SOON, async || TcpStream::connect(address).await.map(drop)).await.unwrap();
        Some(Self { address, _process: process, _directory: directory })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// An address below the kernel's own choices, of which one that knocks there too early could be its own answer.
fn free_address() -> SocketAddr {
    let candidates = std::iter::repeat_with(|| (Ipv4Addr::LOCALHOST, fastrand::u16(12_000..32_000)).into());
    candidates.take(1_000).find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}
