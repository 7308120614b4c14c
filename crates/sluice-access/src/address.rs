//! Where a request comes from.

use std::net::IpAddr;

/// The address of the client behind a request, in the request's extensions: the socket's peer, or what a
/// trusted proxy says of it. Set by the listener for every request, and by nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);
