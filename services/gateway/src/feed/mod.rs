//! The feed: one task follows the log, keeps the mirror and encodes each frame once a stream; every client is a cursor.
//! Porters write frames to whoever is up to date; who is behind, comes or goes is served by a task of its own.

#[cfg(test)]
mod bounds;
mod close;
mod conn;
mod form;
mod frame;
mod handshake;
mod hub;
mod io;
#[cfg(test)]
mod model;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod page;
mod porter;
mod ring;
pub(crate) mod socket;
mod stream;
mod supply;

pub(crate) use hub::Hub;
