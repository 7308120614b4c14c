//! A proxy that runs the configuration which this repository ships or documents, with the addresses of a test.

mod documented;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sluice_testkit::{Item, Node, SseOptions, SseStream, eventually, find_tool, free_address};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::stage::SOON;

const NGINX: &str = include_str!("../../../../../docker/nginx.conf");
const HAPROXY: &str = include_str!("../../../../../docker/haproxy.cfg");

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Envoy,
    Traefik,
}

impl Kind {
    /// Returns the path of its program, or `None` where it is not installed.
    pub(super) fn find(self) -> Option<PathBuf> {
        let name = match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
        };
        find_tool(name, &[name])
    }

    /// Whether its configuration sends what writes to the publisher.
    pub(super) fn publishes(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy)
    }
}

/// A running proxy, killed when the value is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    _processes: Vec<Child>,
    _directory: TempDir,
}

impl Front {
    pub(super) async fn start(kind: Kind, program: &Path, gateways: &[Node; 2], publisher: &Node) -> Self {
        let directory = tempfile::Builder::new().prefix("sluice-proxy-").tempdir().unwrap();
        let address = free_address().unwrap();
        let processes = match kind {
            Kind::Nginx => {
                let text = nginx(address, gateways, publisher, directory.path());
                vec![run(&mut nginx_command(program, directory.path(), &text))]
            }
            Kind::Haproxy => {
                let file = write(directory.path(), "haproxy.cfg", &haproxy(gateways, publisher));
                let mut command = Command::new(program);
                command.arg("-db").arg("-f").arg(&file);
                command.env("SLUICE_BIND", address.to_string()).env("SLUICE_MAXCONN", "200");
                vec![run(&mut command)]
            }
            Kind::Envoy => {
                let text = documented::envoy(address, gateways.each_ref().map(Node::addr));
                let file = write(directory.path(), "envoy.yaml", &text);
                let mut command = Command::new(program);
                command.arg("-c").arg(&file).args(["--concurrency", "1", "--use-dynamic-base-id"]);
                vec![run(&mut command)]
            }
            Kind::Traefik => {
                let gateways_down = free_address().unwrap();
                let text = documented::gateways_down(gateways_down, &temporary(directory.path()));
                let nginx = find_tool("nginx", &["nginx"]).expect("nginx beside Traefik");
                let routers = directory.path().join("routers.yaml");
                let gateways = gateways.each_ref().map(Node::addr);
                let (text_of_routers, main) = documented::traefik(address, gateways, gateways_down, &routers);
                write(directory.path(), "routers.yaml", &text_of_routers);
                let main = write(directory.path(), "traefik.yaml", &main);
                let mut traefik = Command::new(program);
                traefik.arg(format!("--configFile={}", main.display()));
                vec![run(&mut nginx_command(&nginx, directory.path(), &text)), run(&mut traefik)]
            }
        };
        let front = Self { address, _processes: processes, _directory: directory };
        // HAProxy takes no server for well before its first check.
        eventually("the proxy to pass a stream on", SOON, async || front.passes_a_stream_on().await)
            .await
            .unwrap();
        front
    }

    async fn passes_a_stream_on(&self) -> anyhow::Result<()> {
        let mut stream = SseStream::open(self.address, &["a"], &SseOptions::default()).await?;
        while let Some(item) = stream.next().await? {
            if matches!(item, Item::Id(_)) {
                return Ok(());
            }
        }
        anyhow::bail!("status {}, and no cursor", stream.status())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn run(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, text).unwrap();
    file
}

/// Replaces what stands once in `text`.
fn put(text: &str, what: &str, with: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what}");
    text.replace(what, with)
}

fn nginx_command(program: &Path, directory: &Path, text: &str) -> Command {
    let file = write(directory, "nginx.conf", text);
    let root = directory.display();
    let mut command = Command::new(program);
    command.args(["-p", &root.to_string(), "-e", &format!("{root}/error.log")]);
    command.args(["-g", &format!("daemon off; master_process off; pid {root}/pid;")]);
    command.arg("-c").arg(&file);
    command
}

/// Where Debian's nginx keeps them only root may write.
fn temporary(directory: &Path) -> String {
    let line = |kind: &str| format!("    {kind}_temp_path {}/{kind};\n", directory.display());
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(line).concat()
}

fn nginx(address: SocketAddr, gateways: &[Node; 2], publisher: &Node, directory: &Path) -> String {
    let mut text = put(NGINX, "listen 8080;", &format!("listen {address};"));
    text = put(&text, "worker_connections 20000;", "worker_connections 200;");
    text = put(&text, "worker_rlimit_nofile 65536;", "");
    text = put(&text, "server gateway-a:8080", &format!("server {}", gateways[0].addr()));
    text = put(&text, "server gateway-b:8080", &format!("server {}", gateways[1].addr()));
    text = put(&text, "server publisher:8081", &format!("server {}", publisher.publisher_addr()));
    put(&text, "http {\n", &format!("http {{\n{}", temporary(directory)))
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
