//! Tests that span rooms: the house itself first.
#![cfg(test)]
#![allow(clippy::unwrap_used)]

mod arrows;
