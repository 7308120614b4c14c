//! The configuration file and the values that go over it.

use std::cell::RefCell;
use std::io::{Seek, Write};

use sluice_runtime::config::{Config, ConfigErrors, Layers, Role};
use tempfile::NamedTempFile;

/// Stands in every password, so that a part of one is found too.
const MARK: &str = "Zq7xW";

/// Any text is either a configuration that is printed as one that reads the same, or a list of mistakes, one a
/// line; and a password beside it is nowhere to be seen in either.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match load(text, &[]) {
        Ok(config) => {
            let printed = config.render();
            // What is masked may not be long enough to be a secret.
            if !printed.contains("***") {
                let again = load(&printed, &[]).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
                assert_eq!(values(&again.render()), values(&printed));
            }
        }
        Err(errors) => {
            let said = errors.to_string();
            assert_eq!(said.lines().count(), errors.iter().count() + 1, "one line a mistake: {said:?}");
            assert!(!said.replace('\n', "").contains(char::is_control), "{said:?}");
        }
    }
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    for url in [format!("redis://:{before}{MARK}{after}@h:6379"), format!("redis://u:{MARK}@{text}")] {
        let url = url.replace('\0', "0");
        let said = match load("", &[("redis.url", &url)]) {
            Ok(config) => format!("{}{config:?}", config.render()),
            Err(errors) => format!("{errors}{errors:?}"),
        };
        assert!(!said.contains(MARK), "{said}");
    }
}

/// Without the comments that say where a value came from.
fn values(printed: &str) -> Vec<&str> {
    printed.lines().map(|line| line.rsplit_once(" # file ").map_or(line, |(value, _)| value)).collect()
}

fn load(text: &str, flags: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    thread_local! {
        static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().unwrap());
    }
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let layers = Layers { file: Some(file.path().to_owned()), environment: Vec::new(), flags };
        Config::load(Role::Gateway, &layers)
    })
}
