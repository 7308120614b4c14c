//! What Redis complains of, in the terms of [`BrokerError`]: whether trying again later can help.

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind, Value};
use sluice_diagnostics::{explain, explain_tls, tls_error};

use crate::BrokerError;
use crate::url::Address;

/// Which setting names the authorities that sign the certificates of Redis.
const AUTHORITIES: &str = "redis.tls.ca_file";

/// An error of a connection to the server at `address`, or of a whole request to it.
pub(super) fn of(error: &RedisError, address: &Address) -> BrokerError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => {
            by_code(error.code().unwrap_or("ERR"), error.detail().unwrap_or_default())
        }
        // RESP2 tells no more than that.
        ErrorKind::AuthenticationFailed => by_code("WRONGPASS", ""),
        ErrorKind::RESP3NotSupported => BrokerError::Refused(format!(
            "the server at {address} does not speak RESP3; Redis 7.0 or Valkey 7.2 is needed"
        )),
        ErrorKind::InvalidClientConfig => BrokerError::Refused(format!("Redis at {address}: {error}")),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            BrokerError::Unexpected(format!("the server at {address} does not answer like Redis: {error}"))
        }
        _ => BrokerError::Unavailable(unavailable(error, address)),
    }
}

fn unavailable(error: &RedisError, address: &Address) -> String {
    if let Some(error) = tls_error(error) {
        return format!(
            "the TLS handshake with Redis at {address} failed: {}",
            explain_tls(error, AUTHORITIES)
        );
    }
    let lookup_failed = || error.to_string().contains("failed to lookup address information");
    if error.is_connection_refusal() {
        format!("Redis at {address} refuses connections")
    } else if error.is_timeout() {
        format!("Redis at {address} does not answer in time")
    } else if lookup_failed() {
        format!("the host name of Redis at {address} cannot be resolved")
    } else if error.is_connection_dropped() {
        format!("Redis at {address} closed the connection")
    } else {
        format!("the connection to Redis at {address} failed: {}", explain(error, AUTHORITIES))
    }
}

/// An error answered to one command of a pipeline.
pub(super) fn of_answer(error: &ServerError) -> BrokerError {
    by_code(error.code(), error.details().unwrap_or_default())
}

/// The value, unless it is an error.
pub(super) fn checked(value: Value) -> Result<Value, BrokerError> {
    match value {
        Value::ServerError(error) => Err(of_answer(&error)),
        value => Ok(value),
    }
}

/// The answer has a form that the command does not have.
pub(super) fn odd(command: &str, what: &str) -> BrokerError {
    BrokerError::Unexpected(format!("the answer to {command} has no {what}"))
}

pub(super) fn is_no_script(error: &ServerError) -> bool {
    error.kind() == Some(ServerErrorKind::NoScript)
}

pub(super) fn is_wrong_type(error: &ServerError) -> bool {
    error.code() == "WRONGTYPE"
}

/// Something is wrong with a key, of which other keys know nothing: it holds something else, or this user may not
/// read it. A user who may not run the command at all is told so in other words.
pub(super) fn is_of_one_key(error: &ServerError) -> bool {
    let no_access = || error.details().is_some_and(|details| details.contains("access a key"));
    is_wrong_type(error) || (error.code() == "NOPERM" && no_access())
}

/// The server has no command of this name: it is older, or the command was renamed.
pub(super) fn is_unknown_command(error: &ServerError) -> bool {
    error.code() == "ERR" && error.details().is_some_and(is_unknown)
}

fn is_unknown(details: &str) -> bool {
    details.starts_with("unknown command") || details.starts_with("unknown subcommand")
}

/// Redis lets the connection do nothing: it wants credentials, or does not accept those that were sent.
pub(super) fn is_not_let_in(error: &ServerError) -> bool {
    matches!(error.code(), "NOAUTH" | "WRONGPASS")
}

/// There is no such key: for a log, simply that it has no events.
pub(super) fn is_no_key(error: &ServerError) -> bool {
    error.code() == "ERR" && error.details().is_some_and(|details| details.starts_with("no such key"))
}

fn by_code(code: &str, details: &str) -> BrokerError {
    let text = if details.is_empty() { code.to_owned() } else { format!("{code} {}", said(details)) };
    match code {
        "WRONGTYPE" => BrokerError::Unexpected("the key holds something that is not a stream".to_owned()),
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "READONLY" | "BUSY" | "OOM" | "MISCONF"
        | "NOREPLICAS" | "NOSCRIPT" | "UNBLOCKED" | "FAILOVER" => BrokerError::Unavailable(text),
        "ERR" if details.contains("max number of clients") => BrokerError::Unavailable(text),
        "MOVED" | "ASK" | "CROSSSLOT" => BrokerError::Refused(
            "this Redis is a node of a cluster; set redis.url to redis+cluster://host:port".to_owned(),
        ),
        "NOAUTH" => BrokerError::Refused(
            "Redis asks for a password and none is configured (NOAUTH); set redis.password or redis.password_file"
                .to_owned(),
        ),
        "WRONGPASS" => BrokerError::Refused(
            "Redis does not accept the user or the password (WRONGPASS); correct redis.username and redis.password"
                .to_owned(),
        ),
        "NOPERM" => BrokerError::Refused(format!(
            "the Redis user lacks a right: {text}; docs/redis.md lists the rights of each role"
        )),
        "ERR" if is_unknown(details) => BrokerError::Refused(format!(
            "Redis does not know a command that is needed: {}; Redis 7.0 or newer without renamed commands is needed",
            said(details)
        )),
        "KEYREUSED" => BrokerError::KeyReused,
        "SLUICE" => BrokerError::Refused(said(details).to_owned()),
        _ => BrokerError::Refused(text),
    }
}

/// What was said, without Redis's note which script said it.
fn said(details: &str) -> &str {
    details.split(" script: ").next().unwrap_or(details).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_whether_to_try_again() {
        for code in ["LOADING", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "BUSY", "CLUSTERDOWN"] {
            assert!(by_code(code, "x").is_transient(), "{code}");
        }
        for code in ["NOAUTH", "NOPERM", "MOVED", "ERR", "SLUICE"] {
            assert!(matches!(by_code(code, "x"), BrokerError::Refused(_)), "{code}");
        }
        assert!(matches!(by_code("WRONGTYPE", "x"), BrokerError::Unexpected(_)));
        assert!(matches!(by_code("KEYREUSED", "x"), BrokerError::KeyReused));
    }

    #[test]
    fn what_keeps_a_user_out_says_which_setting_to_look_at() {
        for (code, details, part) in [
            ("NOAUTH", "Authentication required.", "redis.password"),
            ("WRONGPASS", "invalid username-password pair", "redis.username"),
            ("NOPERM", "User u has no permissions to run the 'xread' command", "'xread'"),
            ("ERR", "unknown command 'XREAD', with args beginning with: ", "unknown command 'XREAD'"),
        ] {
            let text = by_code(code, details).to_string();
            assert!(text.contains(part), "{code}: {text}");
        }
    }

    #[test]
    fn an_unreachable_server_is_named_with_its_address() {
        let address = Address { host: "127.0.0.1".to_owned(), port: 6499 };
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let why = of(&refused, &address);
        assert_eq!(why.to_string(), "Redis at 127.0.0.1:6499 refuses connections");
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let tls = RedisError::from(std::io::Error::new(std::io::ErrorKind::InvalidData, tls));
        let why = of(&tls, &address).to_string();
        assert!(
            why.contains("not trusted here; name that authority's certificate in redis.tls.ca_file"),
            "{why}"
        );
    }

    #[test]
    fn a_script_is_not_named_to_the_reader() {
        let error = by_code("SLUICE", "the type is bad script: 0a1b, on @user_script:3.");
        assert_eq!(error.to_string(), "the type is bad");
    }
}
