//! What every room needs from the process: a clock, configuration, telemetry, named tasks, retry and an ordered drain.
//!
//! This crate knows no other crate of the workspace. Only it reads the system clock and the environment, and only it
//! spawns bare tasks (see `clippy.toml`).

pub mod chance;
pub mod clock;
pub mod config;
pub mod password;
pub mod retry;
pub mod steady;
pub mod tasks;
pub mod telemetry;

pub use clock::{Clock, ManualClock, SystemClock};
pub use steady::SteadyClock;
pub use tasks::{Criticality, Tasks};
/// The allocator of our binaries. Memory that a rush of clients needed goes back to the system within ten seconds; that
/// of the C library keeps it in one arena for each thread.
pub use tikv_jemallocator::Jemalloc as Allocator;
