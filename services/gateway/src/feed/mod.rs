//! The feed: one task follows the log, keeps the mirror and encodes each frame once a stream; every client is a cursor.

mod hub;
mod ring;
pub(crate) mod socket;
mod stream;

pub(crate) use hub::Hub;
