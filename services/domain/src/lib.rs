//! The pure core of the centre: what may happen to alarms, incidents, tasks and patrols of a site, and who may see it.
//!
//! [`decide`](fn@decide) turns an input into events or a refusal, [`State::apply`] takes an event. Both are total and synchronous:
//! no I/O, no clock, no chance, no serialisation. `now` and entropy are arguments.

#![warn(missing_docs)]

pub mod access;
pub mod account;
pub mod alarm;
pub mod attention;
pub mod device;
pub mod event;
pub mod gazetteer;
pub mod ids;
pub mod incident;
pub mod input;
mod names;
pub mod patrol;
pub mod refusal;
pub mod site;
pub mod state;
pub mod task;
pub mod text;
pub mod thing;
pub mod time;

mod decide;

pub use decide::{Context, Decision, decide};
pub use state::State;
