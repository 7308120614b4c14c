//! A proxy that runs the configuration which this repository ships, with the addresses of a test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sluice_testkit::{Node, eventually, find_tool, free_address};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::stage::SOON;

const NGINX: &str = include_str!("../../../../../docker/nginx.conf");
const HAPROXY: &str = include_str!("../../../../../docker/haproxy.cfg");

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
}

impl Kind {
    /// Returns the path of its program, or `None` where it is not installed.
    pub(super) fn find(self) -> Option<PathBuf> {
        match self {
            Self::Nginx => find_tool("nginx", &["nginx"]),
            Self::Haproxy => find_tool("haproxy", &["haproxy"]),
        }
    }
}

/// A running proxy, killed when the value is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    _process: Child,
    _directory: TempDir,
}

impl Front {
    pub(super) async fn start(kind: Kind, program: &Path, gateways: &[Node; 2], publisher: &Node) -> Self {
        let directory = tempfile::Builder::new().prefix("sluice-proxy-").tempdir().unwrap();
        let address = free_address().unwrap();
        let file = directory.path().join("configuration");
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => {
                std::fs::write(&file, nginx(address, gateways, publisher, directory.path())).unwrap();
                let root = directory.path().display();
                command.args(["-p", &root.to_string(), "-e", &format!("{root}/error.log")]);
                command.args(["-g", &format!("daemon off; master_process off; pid {root}/pid;")]);
                command.arg("-c").arg(&file);
            }
            Kind::Haproxy => {
                std::fs::write(&file, haproxy(gateways, publisher)).unwrap();
                command.arg("-db").arg("-f").arg(&file);
                command.env("SLUICE_BIND", address.to_string()).env("SLUICE_MAXCONN", "200");
            }
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let front = Self { address, _process: process, _directory: directory };
        eventually("the proxy to listen", SOON, async || TcpStream::connect(address).await.map(drop))
            .await
            .unwrap();
        // HAProxy takes no server for well before its first check.
        eventually("the proxy to reach a gateway", SOON, async || {
            let answer = sluice_testkit::get(address, "/v1/topics/a/events").await;
            answer.and_then(|answer| answer.expect_status(200)).map(drop)
        })
        .await
        .unwrap();
        front
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Replaces what stands once in `text`.
fn put(text: &str, what: &str, with: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what}");
    text.replace(what, with)
}

fn nginx(address: SocketAddr, gateways: &[Node; 2], publisher: &Node, directory: &Path) -> String {
    let mut text = put(NGINX, "listen 8080;", &format!("listen {address};"));
    text = put(&text, "worker_connections 20000;", "worker_connections 200;");
    text = put(&text, "worker_rlimit_nofile 65536;", "");
    text = put(&text, "server gateway-a:8080", &format!("server {}", gateways[0].addr()));
    text = put(&text, "server gateway-b:8080", &format!("server {}", gateways[1].addr()));
    text = put(&text, "server publisher:8081", &format!("server {}", publisher.publisher_addr()));
    // Where Debian's nginx keeps them only root may write.
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", directory.display()))
        .concat();
    put(&text, "http {\n", &format!("http {{\n{temporary}"))
}

fn haproxy(gateways: &[Node; 2], publisher: &Node) -> String {
    let port = "port \"${SLUICE_OPS_PORT}\"";
    let mut text = HAPROXY.to_owned();
    for (name, node) in [("A", &gateways[0]), ("B", &gateways[1])] {
        let address = format!("\"${{SLUICE_GATEWAY_{name}}}:${{SLUICE_GATEWAY_PORT}}\"");
        let ops = format!("port {}", node.ops_addr().port());
        text = put(&text, &format!("{address} {port}"), &format!("{} {ops}", node.addr()));
        text = put(&text, &address, &node.addr().to_string());
    }
    let address = format!("\"${{SLUICE_PUBLISHER}}:${{SLUICE_PUBLISHER_PORT}}\" {port}");
    let ops = publisher.ops_addr().port();
    put(&text, &address, &format!("{} port {ops}", publisher.publisher_addr()))
}
