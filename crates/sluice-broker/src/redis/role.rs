//! Asks a server what it is. A primary that has become a replica goes on answering, and announces what it
//! is told; it must not be trusted for that.

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::{failure, parse};
use crate::BrokerError;
use crate::url::Address;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
}

/// What the server at the other end is. One that does not tell its user is taken for a primary, and so is one that
/// knows no ROLE, unless INFO says otherwise.
pub(super) async fn role(
    connection: &mut MultiplexedConnection,
    address: &Address,
) -> Result<Role, BrokerError> {
    let answer = connection.send_packed_command(&redis::cmd("ROLE")).await;
    match answer.map_err(|error| failure::of(&error, address))? {
        Value::ServerError(error) if error.code() == "NOPERM" => Ok(Role::Primary),
        Value::ServerError(error) if failure::is_unknown_command(&error) => {
            by_info(connection, address).await
        }
        Value::ServerError(error) => Err(failure::of_answer(&error)),
        answer => read(&answer).ok_or_else(|| failure::odd("ROLE", "role")),
    }
}

/// What INFO says, of a server whose ROLE was renamed away. Who may not ask that either learns of a failover from
/// refused writes and from sentinels.
async fn by_info(connection: &mut MultiplexedConnection, address: &Address) -> Result<Role, BrokerError> {
    let answer = connection.send_packed_command(redis::cmd("INFO").arg("replication")).await;
    let answer = answer.map_err(|error| failure::of(&error, address))?;
    let is_replica =
        parse::text(&answer).is_some_and(|info| info.lines().any(|line| line.trim_end() == "role:slave"));
    Ok(if is_replica { Role::Replica } else { Role::Primary })
}

/// How many replicas are connected to the primary that gave this answer to ROLE.
pub(super) fn replicas(answer: &Value) -> Option<usize> {
    let (Some(Role::Primary), Value::Array(parts)) = (read(answer), answer) else { return None };
    match parts.get(2)? {
        Value::Array(replicas) => Some(replicas.len()),
        _ => None,
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
        let with = |connected: Vec<Value>| {
            let role = Value::BulkString(b"master".to_vec());
            replicas(&Value::Array(vec![role, Value::Int(0), Value::Array(connected)]))
        };
        assert_eq!((with(Vec::new()), with(vec![Value::Nil; 2])), (Some(0), Some(2)));
        assert_eq!(replicas(&answer("slave")), None, "a replica's own primary is none");
    }
}
