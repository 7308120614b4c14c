//! Asks a server what it is. A primary that has become a replica goes on answering, and announces what it
//! is told; it must not be trusted for that.

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::{failure, parse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
}

/// What the server at the other end is. One that does not tell its user is taken for a primary.
pub(super) async fn role(connection: &mut MultiplexedConnection) -> Result<Role, String> {
    let answer = connection.send_packed_command(&redis::cmd("ROLE")).await;
    match answer.map_err(|error| failure::of(&error).to_string())? {
        Value::ServerError(error) if error.code() == "NOPERM" => Ok(Role::Primary),
        Value::ServerError(error) => Err(failure::of_answer(&error).to_string()),
        answer => read(&answer).ok_or_else(|| "the answer to ROLE has no role".to_owned()),
    }
}

fn read(answer: &Value) -> Option<Role> {
    let Value::Array(parts) = answer else { return None };
    match parse::text(parts.first()?)? {
        "master" => Some(Role::Primary),
        "slave" => Some(Role::Replica),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read() {
        let answer =
            |name: &str| Value::Array(vec![Value::BulkString(name.as_bytes().to_vec()), Value::Int(0)]);
        assert_eq!(read(&answer("master")), Some(Role::Primary));
        assert_eq!(read(&answer("slave")), Some(Role::Replica));
        assert_eq!(read(&answer("sentinel")), None);
        assert_eq!(read(&Value::Nil), None);
    }
}
