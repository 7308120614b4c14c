//! What only Redis does.

mod anew;
mod cli;
mod connection;
mod foreign;
mod script;
mod tls;
