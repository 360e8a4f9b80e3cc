//! What browsers reach: accounts and sessions, the REST interface with its OpenAPI document, the feed and media sockets,
//! and the dashboard's files.
//!
//! Nothing is decided here: commands go to the writer through [`link::intake::Intake`] and are answered after they are
//! durable; what may be seen is asked of [`domain::access`], and masking happens in [`wire::view`] before anything is
//! serialised. Bodies, sockets, rings, caches and waiting logins are bounded. Password hashing and picture work run on
//! the blocking pool; nothing else blocks.

#![warn(missing_docs)]

pub mod accounts;
mod api;
mod body;
mod config;
mod desk;
mod error;
mod feed;
mod files;
mod guard;
mod leftover;
mod media;
mod mirror;
mod photos;
mod places;
mod preview;
mod problem;
mod ready;
mod relay;
mod serve;
mod session;
mod texts;

pub use api::openapi;
pub use config::{Config, DemoAccount, DemoConfig};
pub use desk::MetricsPage;
pub use error::GatewayError;
pub use guard::{OPEN, OPERATIONS, SIGNED};
pub use preview::{
    Preview, PreviewAside, PreviewField, PreviewLayout, PreviewRefused, PreviewRow, PreviewValue, Previewed,
    RecordSource,
};
pub use problem::{Problem, ProblemBody};
pub use ready::{Connector, Connectors, Dependency, NothingElse, Readiness, Status, StoreWatch};
pub use serve::{Gateway, listen, serve};
