//! The binary as a process: its command line, its start and its end, and the unit that runs it.
#![allow(clippy::unwrap_used)]

mod centre;
mod command_line;
mod nodes;
mod unit;

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_maojiawan");
