//! What the crate promises, as properties.

mod golden;
mod stored;
mod views;
