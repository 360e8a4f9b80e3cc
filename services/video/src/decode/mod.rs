//! Pictures are decoded in child processes, so that a broken one can neither stop the centre nor sit beside its keys.
//!
//! A child ([`child_main`]) has no network, no files and no environment, dies with its parent and answers one request at a
//! time over its pipes ([`protocol`]). The parent ([`pool`]) kills a child that takes too long and starts another.

mod child;
mod picture;
pub(crate) mod pool;
mod protocol;

pub use child::child_main;
pub(crate) use protocol::{Picture, TILE, TILE_BYTES};
