//! The client against the real gateway, and against one that breaks the rules.
#![allow(clippy::unwrap_used)]

mod broken;
mod house;
mod real;
