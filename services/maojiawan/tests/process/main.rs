//! The binary as a process: its command line, its start and its end, and the unit that runs it.
#![allow(clippy::unwrap_used)]

mod backup;
mod centre;
mod command_line;
mod database;
mod nodes;
mod released;
mod sites;
#[path = "../support/mod.rs"]
mod support;
mod unit;
