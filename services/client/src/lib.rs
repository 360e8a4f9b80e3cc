//! A client of the feed in Rust: log in, follow, take up where one left.
//!
//! - [`log_in`] gets a session of an account.
//! - [`Feed`] is one connection: its steps, each checked against the cursor.
//! - [`Follower`] is a feed that lasts: it reconnects with a jittered pause and says where it stands, so that over all
//!   connections each event comes once and in order.
//!
//! Invariants: a step that does not join the cursor is never handed out ([`Error::Gap`]); after [`Step::Resync`] only a
//! snapshot follows; a connection that is silent for longer than [`Options::patience`] counts as dead. Messages are
//! bounded by [`Options::largest`]; nothing is queued here. Nothing blocks. The token is never printed.
//!
//! The connection is plain TCP: the gateway listens on loopback or stands behind whatever ends TLS.

#![warn(missing_docs)]

mod cursor;
mod error;
mod feed;
mod follow;
mod login;

pub use cursor::{Cursor, Position, Step};
pub use error::Error;
pub use feed::{Feed, Options, PROTOCOL};
pub use follow::{Follower, Told};
pub use login::{Session, log_in};
