//! The media role from outside: injected frames, paused time; pictures by real decode children; cameras of another make.
#![allow(clippy::unwrap_used)]

mod fake;
mod foreign;
mod live;
mod pictures;
mod sessions;
