//! Life on a site that it is given: its sensors, departments, phones, people and cameras, and faults on demand.
//!
//! Nothing else needs this crate to work; it talks to the centre only over the public contracts (MQTT, HTTP with HMAC,
//! RTSP). Everything is deterministic from one seed, every queue is bounded, and no generated person is real.

pub mod agenda;
mod api;
pub mod cameras;
pub mod config;
pub mod courier;
pub mod departments;
pub mod faults;
pub mod field;
pub mod happenings;
pub mod people;
pub mod phones;
pub mod records;
mod run;
pub mod seed;
pub mod sign;
pub mod world;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use faults::{CameraFault, CameraFaults, CameraRefusal, NoCameras};
pub use run::{Error, Simulator, run};
