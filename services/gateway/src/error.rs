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

impl GatewayError {
    /// What people read first, Chinese; names no values.
    pub(crate) fn zh(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.zh(),
            Self::Stored { .. } => "存储的内容无法读取",
            Self::Passwords(_) => "口令无法校验",
            Self::Listener(_) => "端口不可用",
        }
    }
}
