//! A password is nowhere to be seen, whatever it is and however wrongly it is given.

use proptest::prelude::*;
use sluice_runtime::config::{Config, Role};

use super::config::{file, layers};

/// Stands in every password, so that a part of one is found too.
const MARK: &str = "Zq7xW";

fn everything_said(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> (bool, String) {
    let file = file(text);
    match Config::load(Role::Gateway, &layers(Some(file.path()), environment, flags)) {
        Ok(config) => {
            (true, format!("{}\n{config:?}\n{:#?}\n{}", config.render(), config.redis, config.redis.url))
        }
        Err(errors) => (false, format!("{errors}\n{errors:?}")),
    }
}

fn passwords() -> impl Strategy<Value = String> {
    (any::<String>(), any::<String>())
        .prop_map(|(before, after)| format!("{before}{MARK}{after}").replace('\0', "0"))
}

fn plain_passwords() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-zA-Z0-9@:%!$&*._~-]{0,20}")
        .unwrap()
        .prop_map(|text| format!("{text}{MARK}"))
}

proptest! {
    #[test]
    fn a_right_url_is_taken_and_masked(password in plain_passwords()) {
        let url = format!("rediss://app:{password}@cache.example:6380/1");
        let (loaded, said) = everything_said("", &[("SLUICE_REDIS__URL", &url)], &[]);
        prop_assert!(loaded);
        prop_assert!(!said.contains(MARK), "{said}");
        prop_assert!(said.contains("rediss://app:***@cache.example:6380/1"), "{said}");
    }

    #[test]
    fn headers_for_a_collector_are_masked(password in plain_passwords()) {
        let pairs = format!("authorization=Bearer {password},x-tenant={password}");
        let table = format!("[telemetry.otlp.headers]\nauthorization = 'Bearer {password}'\nx-a.b = '{password}'\n");
        let said = [
            everything_said("", &[("SLUICE_TELEMETRY__OTLP__HEADERS", &pairs)], &[]),
            everything_said("", &[], &[("telemetry.otlp.headers", &pairs)]),
            everything_said(&table, &[], &[]),
        ];
        for (at, (loaded, said)) in said.iter().enumerate() {
            prop_assert!(*loaded, "way {at}: {said}");
            prop_assert!(said.contains(r#""authorization" = "***""#), "way {at}: {said}");
            prop_assert!(!said.contains(MARK), "way {at}: {said}");
        }
        let wrong = [
            everything_said("", &[("SLUICE_TELEMETRY__OTLP__HEADERS", &password)], &[]),
            everything_said("", &[("SLUICE_TELEMETRY__OTLP__HEADERS", &format!("a b={password}"))], &[]),
            everything_said(&table.replace("headers", "header"), &[], &[]),
            everything_said("", &[], &[("telemetry.otlp.endpoint", &format!("http://a:{password}@c:1"))]),
        ];
        for (at, (loaded, said)) in wrong.iter().enumerate() {
            prop_assert!(!loaded && !said.contains(MARK), "mistake {at}: {said}");
        }
    }

    #[test]
    fn no_way_of_giving_a_url_reveals_its_password(password in passwords(), wrong in any::<bool>()) {
        let url = format!("redis://:{password}@h:{}", if wrong { "port" } else { "6379" });
        let literal = toml::Value::String(url.clone()).to_string();
        let said = [
            everything_said("", &[("SLUICE_REDIS__URL", &url)], &[]),
            everything_said("", &[], &[("redis.url", &url)]),
            everything_said(&format!("[redis]\nurl = {literal}\n"), &[], &[]),
            // Mistakes that must not turn into a quotation.
            everything_said(&format!("[redis]\nuri = {literal}\n"), &[], &[]),
            everything_said(&format!("redis = {literal}\n"), &[], &[]),
            everything_said(&format!("[redis]\nurl = [{literal}]\n"), &[], &[]),
            everything_said(&format!("[redis]\nurl = \"{password}\n"), &[], &[]),
            everything_said(&format!("[redis]\nurl = {password}\n"), &[], &[]),
            everything_said("", &[("SLUICE_REDIS__PASSWORD", &password)], &[("redis.pasword", &password)]),
            everything_said("", &[], &[("redis.prefix", &url), ("cors.origins", &url), ("listen.addr", &url)]),
        ];
        for (at, (_, said)) in said.iter().enumerate() {
            prop_assert!(!said.contains(MARK), "way {at}: {said}");
        }
    }
}
