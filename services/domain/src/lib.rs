//! The pure core of the centre: what may happen to alarms, incidents, tasks and patrols of a site, and who may see it.
//!
//! [`decide`](fn@decide) turns an input into events or a refusal, [`State::apply`] takes an event. Both are total and synchronous:
//! no I/O, no clock, no chance, no serialisation. `now` and entropy are arguments.

#![warn(missing_docs)]
// A new key, event, command or role is thought about wherever one is matched.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod access;
pub mod account;
pub mod alarm;
pub mod camera;
pub mod device;
pub mod erasure;
pub mod event;
pub mod gazetteer;
pub mod ids;
pub mod incident;
pub mod input;
pub mod light;
pub mod message;
mod names;
pub mod patrol;
pub mod refusal;
pub mod site;
pub mod state;
pub mod text;
pub mod thing;
pub mod time;
pub mod unreadable;

mod decide;

pub use incident::{attention, task};

pub use decide::{Context, Decision, decide};
pub use state::State;
