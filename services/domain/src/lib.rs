//! The pure core.

pub mod ids;
pub mod site;
pub mod time;
