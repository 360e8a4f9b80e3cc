//! placeholder

pub mod cameras;
