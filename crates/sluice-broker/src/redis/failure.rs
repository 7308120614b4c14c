//! What Redis complains of, in the terms of [`BrokerError`]: whether trying again later can help.

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind, Value};

use crate::BrokerError;

/// An error of a connection or of a whole request.
pub(super) fn of(error: &RedisError) -> BrokerError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => {
            by_code(error.code().unwrap_or("ERR"), error.detail().unwrap_or_default())
        }
        ErrorKind::AuthenticationFailed => {
            BrokerError::Refused(format!("the credentials are not accepted: {error}"))
        }
        ErrorKind::RESP3NotSupported => BrokerError::Refused(
            "the server does not speak RESP3; Redis 7.0 or Valkey 7.2 is needed".to_owned(),
        ),
        ErrorKind::InvalidClientConfig => BrokerError::Refused(error.to_string()),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => BrokerError::Unexpected(error.to_string()),
        _ => BrokerError::Unavailable(error.to_string()),
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
            "this Redis is a node of a cluster; its address is redis+cluster://..".to_owned(),
        ),
        "NOAUTH" | "WRONGPASS" | "NOPERM" => {
            BrokerError::Refused(format!("the credentials do not suffice: {text}"))
        }
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
    }

    #[test]
    fn a_script_is_not_named_to_the_reader() {
        let error = by_code("SLUICE", "the type is bad script: 0a1b, on @user_script:3.");
        assert_eq!(error.to_string(), "the broker refused: the type is bad");
    }
}
