//! Our encodings: what `proto/` generates, and the conversions between it and the domain.
//!
//! - [`event`], [`document`], [`outgoing`] and [`refs`] read and write what the ledger stores;
//! - [`input`] carries inputs from one node to another;
//! - [`view`] makes what the feed shows to an audience.
//!
//! Invariants: whatever `encode` writes, `decode` reads back as the same value, for ever (golden bytes, upgrades of
//! old versions). Decoding is total: bytes that do not fit are a [`WireError`], never a panic and never a guess.
//! Nothing here decides anything, and nothing blocks.

#![warn(missing_docs)]
// A new key, event, command or role is thought about wherever one is matched.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod convert;
pub mod document;
pub mod event;
mod field;
pub mod input;
pub mod outgoing;
pub mod refs;
pub mod view;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident = $($file:literal),+;)*) => {$(
        $(#[$doc])*
        #[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
        pub mod $name {
            $(include!(concat!(env!("OUT_DIR"), "/", $file));)+
        }
    )*};
}

generated! {
    /// What the ledger stores: `proto/store.proto`.
    store = "maojiawan.store.v1.rs";
    /// What the feed's socket carries: `proto/feed.proto`; with serde's traits for its JSON form.
    feed = "maojiawan.feed.v1.rs", "maojiawan.feed.v1.serde.rs";
    /// What the media socket carries: `proto/media.proto`.
    media = "maojiawan.media.v1.rs";
    /// What nodes say to each other: `proto/link.proto`.
    link = "maojiawan.link.v1.rs";
}

/// Why bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They are no message of ours.
    #[error("not a message")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a version that this one does not know.
    #[error("version {0} is not known")]
    Version(u32),
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field holds a value that this version does not know.
    #[error("{field} has the unknown value {value}")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// The value; texts are not repeated.
        value: i64,
    },
    /// The row says another kind or id than the bytes.
    #[error("the row is {row}, its bytes are {bytes}")]
    Mismatch {
        /// What the row says.
        row: String,
        /// What the bytes are.
        bytes: String,
    },
}
