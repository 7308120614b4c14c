//! Errors of connections in sentences. An error of a library is a chain whose outer links repeat the inner ones or
//! say nothing; what helps is the innermost cause.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::sync::Arc;

use crate::tls::{explain_tls, tls_error};

/// Walks the chain of `error`, outermost first: the errors inside of `io::Error` and behind `Arc` included.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + use<'a> {
    successors(Some(error), |error| cause_of(*error))
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // An `io::Error` answers the source of its inner error, not the inner error.
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner as &(dyn Error + 'static));
    }
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return Some(&**shared as &(dyn Error + 'static));
    }
    error.source()
}

/// The `io::Error` in the chain of `error`, if there is one.
#[must_use]
pub fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())
}

/// What went wrong with a connection, in words that need no knowledge of the libraries. `authorities` names the
/// setting that lists the authorities this side trusts.
#[must_use]
pub fn explain(error: &(dyn Error + 'static), authorities: &str) -> String {
    if let Some(error) = tls_error(error) {
        return explain_tls(error, authorities);
    }
    if let Some(error) = io_error(error) {
        let known = match error.kind() {
            io::ErrorKind::ConnectionRefused => "the connection is refused: nothing listens there",
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection was reset",
            io::ErrorKind::UnexpectedEof => "the other side closed the connection",
            io::ErrorKind::TimedOut => "no answer in time",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "there is no route to the address"
            }
            _ => "",
        };
        if !known.is_empty() {
            return known.to_owned();
        }
        if error.to_string().starts_with("failed to lookup address information") {
            return "the host name cannot be resolved".to_owned();
        }
    }
    // Each link once: many repeat the text of the next.
    let mut text = String::new();
    for cause in causes(error) {
        let said = cause.to_string();
        if text.contains(&said) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "client error (Connect): {}", self.0)
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_cause_is_told_once_and_in_words() {
        let refused = Outer(io::Error::from_raw_os_error(111));
        assert_eq!(explain(&refused, "x"), "the connection is refused: nothing listens there");
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(explain(&shared, "x"), "no answer in time");
        let other = Outer(io::Error::other("the moon is full"));
        assert_eq!(explain(&other, "x"), "client error (Connect): the moon is full");
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(explain(&lookup, "x"), "the host name cannot be resolved");
    }
}
