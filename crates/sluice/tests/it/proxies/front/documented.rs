//! What docs/tuning.md says of Envoy and Traefik, made whole with the addresses of a test.

use std::net::SocketAddr;
use std::path::Path;

use super::put;

const PAGE: &str = include_str!("../../../../../../docs/tuning.md");

/// The block of the page behind the comment `<!-- run: NAME -->`.
fn block(name: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("<!-- run: {name} -->\n```")).expect(name);
    let (_, rest) = rest.split_once('\n').expect("a language");
    rest.split_once("```").expect("an end").0
}

fn indent(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// A listener with the `local_reply_config` of the page.
pub(super) fn envoy(address: SocketAddr, gateways: [SocketAddr; 2]) -> String {
    let endpoint = |at: SocketAddr| {
        let socket = format!("socket_address: {{address: {}, port_value: {}}}", at.ip(), at.port());
        format!("{{endpoint: {{address: {{{socket}}}}}}}")
    };
    let kind = "type.googleapis.com/envoy.extensions.filters";
    format!(
        "static_resources:\n  listeners:\n  - address: {{socket_address: {{address: {}, port_value: {}}}}}\n    \
         filter_chains:\n    - filters:\n      - name: envoy.filters.network.http_connection_manager\n        \
         typed_config:\n          \
         \"@type\": {kind}.network.http_connection_manager.v3.HttpConnectionManager\n          \
         stat_prefix: sluice\n          stream_idle_timeout: 3600s\n          \
         route_config: {{virtual_hosts: [{{name: all, domains: [\"*\"], \
         routes: [{{match: {{prefix: /}}, route: {{cluster: gateways, timeout: 0s}}}}]}}]}}\n          \
         http_filters: [{{name: router, typed_config: {{\"@type\": {kind}.http.router.v3.Router}}}}]\n{}  \
         clusters:\n  - name: gateways\n    connect_timeout: 2s\n    \
         load_assignment: {{cluster_name: gateways, endpoints: [{{lb_endpoints: [{}, {}]}}]}}\n",
        address.ip(),
        address.port(),
        indent(block("envoy"), 10),
        endpoint(gateways[0]),
        endpoint(gateways[1]),
    )
}

/// The file of routers, and the file that names it.
pub(super) fn traefik(
    address: SocketAddr,
    gateways: [SocketAddr; 2],
    gateways_down: SocketAddr,
    routers: &Path,
) -> (String, String) {
    let mut text = put(block("traefik"), "gateway-a:8080", &gateways[0].to_string());
    text = put(&text, "gateway-b:8080", &gateways[1].to_string());
    text = put(&text, "http://gateways-down:8080", &format!("http://{gateways_down}"));
    let main = format!(
        "entryPoints: {{web: {{address: \"{address}\"}}}}\nproviders: {{file: {{filename: {}}}}}\n",
        routers.display()
    );
    (text, main)
}

/// The nginx that Traefik asks for what to say.
pub(super) fn gateways_down(address: SocketAddr, temporary: &str) -> String {
    let text = put(block("gateways-down"), "listen 8080;", &format!("listen {address};"));
    put(&text, "http {\n", &format!("http {{\n{temporary}"))
}
