//! Errors of this crate.

/// Why a decode child cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// GStreamer or one of its plugins is missing or broken.
    #[error("GStreamer: {0}")]
    GStreamer(String),
    /// The system-call filter was not accepted.
    #[error("the process could not be confined")]
    Confinement,
    /// A pipe to the parent broke.
    #[error("pipe to the parent")]
    Pipe(#[source] std::io::Error),
    /// The parent said something that is not understood.
    #[error("request not understood")]
    Request,
}
