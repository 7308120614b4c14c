//! What only Redis does.

mod cli;
mod connection;
mod foreign;
mod script;
mod tls;
