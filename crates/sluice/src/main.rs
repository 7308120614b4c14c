//! The one binary of Sluice.

mod allocator;
mod cli;
mod console;
mod doctor;
mod node;
mod profile;
mod settings;
mod status;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
