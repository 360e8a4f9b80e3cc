//! Why the gateway cannot serve.

/// Errors of the gateway as a whole; those of single requests are [`crate::problem::Problem`]s.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The ledger failed.
    #[error("ledger")]
    Ledger(#[from] ledger::LedgerError),
    /// A stored document or event cannot be read.
    #[error("stored {what}")]
    Stored {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: wire::WireError,
    },
    /// Passwords cannot be hashed.
    #[error("passwords")]
    Passwords(#[from] crate::accounts::HashError),
    /// The socket failed.
    #[error("listener")]
    Listener(#[from] std::io::Error),
}
