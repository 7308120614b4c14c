//! nginx with the nchan module, messages in its memory.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::process::{Process, bound};
use super::{Target, ports};
use crate::generator::protocol::Dialect;
use crate::publish::Way;

/// The module, where Debian's `libnginx-mod-nchan` puts it.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Starts it with a configuration of its own.
pub(super) fn start(folder: &Path) -> Result<Target> {
    let address = ports::free(1)?[0];
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(folder, address))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = bound("nginx")?;
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&file);
    let mut process = Process::spawn("nchan", command, folder, false)?;
    ports::wait_for(&mut process, address)
        .context("nchan needs nginx and its module (Debian: nginx, libnginx-mod-nchan)")?;
    Ok(Target {
        servers: vec![address],
        dialect: Dialect::Nchan,
        publish: Way::Nchan(address),
        redis: None,
        server_pids: vec![process.pid()],
        redis_pid: None,
        processes: vec![process],
    })
}

fn configuration(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "load_module {MODULE};
daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 19900; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 512M;
  server {{
    listen {address} backlog=4096;
    location ~ ^/pub/(.+)$ {{
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length 4096;
      nchan_message_timeout 10m;
    }}
    location ~ ^/sub/(.+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_channel_id_split_delimiter \",\";
      nchan_subscriber_first_message newest;
      nchan_subscriber_timeout 0;
    }}
  }}
}}
"
    )
}
