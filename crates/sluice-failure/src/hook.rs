//! The panic hook: what is told of a panic.

use std::any::Any;
use std::panic::{Location, PanicHookInfo};

use crate::{Failure, Place, contained, tell};

/// A panic, with what can be told of it without data of clients.
#[derive(Debug)]
pub struct Panic<'a> {
    /// The work that it ends; `None` if the process must end.
    pub place: Option<Place>,
    /// Where in the source it happened.
    pub location: Option<&'a Location<'a>>,
    /// The message, where it cannot hold data: it is a literal of the source, or names numbers only.
    pub message: Option<&'a str>,
}

/// Messages of the standard library that are made of numbers alone.
const NUMBERS_ONLY: [&str; 4] =
    ["index out of bounds: the len is ", "range start index ", "range end index ", "slice index starts at "];

pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        tell(&Failure::Panic(&Panic {
            place: contained::place(),
            location: info.location(),
            message: message(info),
        }));
    }));
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    tellable(info.payload())
}

/// A formatted message may hold what was sent or published: a failed `unwrap` prints the error, a slice of text prints
/// the text.
fn tellable(payload: &(dyn Any + Send)) -> Option<&str> {
    if let Some(literal) = payload.downcast_ref::<&'static str>() {
        return Some(literal);
    }
    let formatted = payload.downcast_ref::<String>()?;
    NUMBERS_ONLY.iter().any(|known| formatted.starts_with(known)).then_some(formatted)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn payload(work: impl FnOnce() + std::panic::UnwindSafe) -> Box<dyn Any + Send> {
        catch_unwind(work).unwrap_err()
    }

    #[test]
    fn a_message_with_data_is_withheld() {
        let secret = String::from("sécret");
        let end = std::hint::black_box(2);
        let told = [
            payload(move || drop(secret[..end].to_owned())),
            payload(|| panic!("formatted {}", std::hint::black_box("secret"))),
            payload(|| assert_eq!(std::hint::black_box("secret").parse::<u32>().unwrap(), 1)),
        ];
        for payload in &told {
            assert_eq!(tellable(payload.as_ref()), None);
        }
        assert_eq!(tellable(payload(|| panic!("a literal")).as_ref()), Some("a literal"));
        let numbers = payload(|| assert_eq!(std::hint::black_box(vec![1])[std::hint::black_box(3)], 1));
        let told = "index out of bounds: the len is 1 but the index is 3";
        assert_eq!(tellable(numbers.as_ref()), Some(told));
        assert_eq!(tellable(&7_u8), None);
    }
}
