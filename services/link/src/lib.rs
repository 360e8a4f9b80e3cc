//! The ports between roles: in-process now, over the network later, one conformance suite for both.
//! Nothing here decides anything or knows SQL.

pub mod intake;
pub mod media;
