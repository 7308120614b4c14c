//! The binary of Sluice as a release to come may be, which writes another version of cursors: for tests of rolling
//! upgrades, beside the one of this release.

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
