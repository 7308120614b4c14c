//! What a run costs: memory and processor time of processes, and the kernel's memory for sockets. All from
//! `/proc`; parsing is apart from reading.

mod kernel;
mod process;

pub(crate) use kernel::Kernel;
pub(crate) use process::{cpu_ms, descendants, memory};
