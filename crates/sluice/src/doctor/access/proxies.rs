//! Who is believed about whose request it forwards.

use sluice_runtime::config::Listen;
use sluice_wire::Network;

use crate::doctor::finding::Finding;

const ID: &str = "access.proxies";
/// Leading bits below which a network is more of the internet than anybody's proxies are.
const BITS_LEAST: (u8, u8) = (8, 16);

pub(super) fn judge(listen: &Listen) -> Option<Finding> {
    let proxies = &listen.trusted_proxies;
    if proxies.is_empty() {
        return None;
    }
    let wide = |network: &&Network| network.is_wider_than(BITS_LEAST.0, BITS_LEAST.1);
    let wide: Vec<String> = proxies.iter().filter(wide).map(Network::to_string).collect();
    if wide.is_empty() {
        return Some(Finding::ok(ID, format!("{} networks of proxies are trusted", proxies.len())));
    }
    Some(
        Finding::warning(ID, format!("listen.trusted_proxies believes {}", wide.join(" and ")))
            .why("whoever reaches the node says whose request theirs is: limits by address and addresses in logs are theirs to choose")
            .fix("list the networks that the proxies connect from, such as 10.0.0.0/8; /v1/streams shows who does"),
    )
}

#[cfg(test)]
mod tests {
    use sluice_runtime::config::{Config, Layers, Role};

    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_list_that_holds_everybody_is_told() {
        for (proxies, expected) in [
            ("", None),
            ("10.0.0.0/8,2001:db8::/32", Some(Level::Ok)),
            ("10.0.0.0/8,0.0.0.0/0", Some(Level::Warning)),
            ("::/0", Some(Level::Warning)),
            ("0.0.0.0/1,128.0.0.0/1", Some(Level::Warning)),
        ] {
            let flags = vec![("listen.trusted_proxies".to_owned(), proxies.to_owned())];
            let config = Config::load(Role::Gateway, &Layers { flags, ..Layers::default() }).unwrap();
            let found = judge(&config.listen);
            assert_eq!(found.map(|finding| finding.level), expected, "{proxies}");
        }
    }
}
