//! The gateway over real sockets, with a real ledger and the real writer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod clock;
mod demo;
mod exhibits;
mod feed;
mod files;
mod house;
mod logins;
mod media;
mod problems;
mod screens;
mod sessions;
mod site;
