//! What only Redis does.

mod cli;
mod connection;
mod foreign;
mod tls;
