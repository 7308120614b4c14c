//! How failures are told to an operator: sentences for errors of connections and of TLS ([`explain`]), and the
//! rule by which a failure that lasts is logged once, then once a minute, and once more when it is over
//! ([`Outage`]). Pure: the clock is a parameter, and nothing here writes a log line.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod explain;
mod outage;
mod tls;

pub use explain::{explain, io_error};
pub use outage::{Outage, Repeated, millis};
pub use tls::{explain_tls, tls_error};
