//! The media role from outside: injected frames, paused time; pictures by real decode children.
#![allow(clippy::unwrap_used)]

mod fake;
mod live;
mod pictures;
mod sessions;
