//! The bus over a real redis-server that is killed, stopped, restarted, and refuses us.
#![allow(clippy::unwrap_used)]

mod faults;
mod house;
mod load;
mod refusals;
