//! The media role: pulls all cameras at once, keeps the last seconds of each, and gives live view, stills, a sheet of all
//! cameras, clips and a diagnosis of the picture.
//!
//! Invariants:
//! - One session a camera however many viewers; its main stream only while somebody watches it.
//! - Frames are muxed once and shared. Every ring, queue and count has a bound in [`config`].
//! - Viewers stay when a camera goes and comes back; they get a new generation.
//! - Pictures are decoded in confined child processes only ([`decode`]).
//!
//! Nothing here blocks but the decode child, which is its own process.

mod camera;
mod cameras;
mod changes;
mod clip;
pub mod config;
pub mod decode;
pub mod diagnose;
mod error;
mod gate;
mod mp4;
mod pull;
mod ring;
pub mod rtsp;
pub mod source;
mod sps;
mod stills;
mod stream;
#[cfg(test)]
mod testing;
mod timeline;
mod viewer;

pub use cameras::Cameras;
pub use config::Config;
pub use error::VideoError;
