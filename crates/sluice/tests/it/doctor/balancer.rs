//! A real nginx before a node, with the rules that a test is about.

use std::net::SocketAddr;
use std::process::Stdio;

use sluice_testkit::{Certificates, eventually, find_tool, free_address};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::stage::SOON;

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
        let binary = find_tool("nginx", &["nginx"])?;
        let directory = tempfile::Builder::new().prefix("sluice-nginx-").tempdir().unwrap();
        let address = free_address().unwrap();
        let root = directory.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; large_client_header_buffers 4 32k; {temporary}\n\
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
