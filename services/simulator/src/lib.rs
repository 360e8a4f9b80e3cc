//! A whole synthetic site: its plan, its sensors, departments, phones and cameras, and faults on demand.
//!
//! Nothing else needs this crate to work; it talks to the centre only over the public contracts (MQTT, HTTP with HMAC,
//! RTSP). Everything is deterministic from one seed, every queue is bounded, and no generated person is real.

pub mod agenda;
pub mod cameras;
pub mod config;
pub mod courier;
pub mod field;
pub mod people;
pub mod seed;
pub mod sign;
pub mod site;
