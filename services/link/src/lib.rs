//! The ports between roles, [`intake`] and [`media`]: within one process the roles hold each other's handles, between
//! nodes [`net`] carries the same ports over HTTP/2. One suite holds both to the same promises.
//! Nothing here decides anything or knows SQL.

pub mod intake;
pub mod media;
pub mod net;
