//! What can go wrong, told apart by what the caller can do about it. Never carries stored values or key material.

use std::error::Error as StdError;

use crate::Head;

/// Result of the ledger.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// Why the ledger refused or failed. After any of them nothing of the call was stored, but for `Io`, after which all of it
/// may be; the same store keeps working once the cause is gone.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another writer opened the log: this one must stop.
    #[error("another writer took over: term {} is over, {} writes now", .expected.term, .actual.term)]
    Fenced {
        /// What the caller believed.
        expected: Head,
        /// What the log says.
        actual: Head,
    },
    /// The log is not where the caller believes: it must reload.
    #[error("the head moved: expected seq {}, found {}", .expected.seq, .actual.seq)]
    HeadMoved {
        /// What the caller believed.
        expected: Head,
        /// What the log says.
        actual: Head,
    },
    /// A row with this identity exists: an idempotency key, a vault id, an account.
    #[error("{what} exists already")]
    Conflict {
        /// The kind of row.
        what: &'static str,
    },
    /// The input breaks a limit or a rule of the port; retrying is useless.
    #[error("{what}: {reason}")]
    Invalid {
        /// The field or row.
        what: &'static str,
        /// The rule.
        reason: String,
    },
    /// The disk, or the quota of the store, is full.
    #[error("the store is full")]
    Full(#[source] Source),
    /// Another process holds the store, or too many readers wait; try again.
    #[error("the store is busy")]
    Busy(#[source] Source),
    /// The database does not answer, and nothing of the call came to it; try again.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Source),
    /// The store cannot be written.
    #[error("the store is read-only")]
    ReadOnly(#[source] Source),
    /// Stored bytes are damaged, or were sealed by another master key.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What is damaged.
        what: String,
        /// Why.
        #[source]
        source: Option<Source>,
    },
    /// The file system or the database failed otherwise.
    #[error("the store failed")]
    Io(#[source] Source),
    /// The master key file is missing, readable by others, or not a key.
    #[error("master key {file}: {reason}")]
    MasterKey {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The database is not there, but files of one are.
    #[error("the database is gone, but its files are there: {files}")]
    Orphans {
        /// A folder or a file.
        files: String,
    },
    /// A backup or an archive is cut off or damaged.
    #[error("{file}: byte {at}: {what}")]
    File {
        /// The file.
        file: String,
        /// Where, in bytes from its beginning.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// The database was migrated by a newer program, or an applied migration changed.
    #[error("schema: {0}")]
    Schema(String),
}

impl LedgerError {
    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, reason: reason.into() }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), source: None }
    }

    /// A stable name for health pages and problem details.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fenced { .. } => "ledger.fenced",
            Self::HeadMoved { .. } => "ledger.head_moved",
            Self::Conflict { .. } => "ledger.conflict",
            Self::Invalid { .. } => "ledger.invalid",
            Self::Full(_) => "ledger.full",
            Self::Busy(_) => "ledger.busy",
            Self::Unavailable(_) => "ledger.unavailable",
            Self::ReadOnly(_) => "ledger.read_only",
            Self::Corrupt { .. } => "ledger.corrupt",
            Self::Io(_) => "ledger.io",
            Self::MasterKey { .. } => "ledger.master_key",
            Self::Orphans { .. } => "ledger.orphans",
            Self::File { .. } => "ledger.file",
            Self::Schema(_) => "ledger.schema",
        }
    }

    /// What people read first, Chinese; names no values.
    pub fn zh(&self) -> &'static str {
        match self {
            Self::Fenced { .. } => "另一个写入者接管了台账",
            Self::HeadMoved { .. } => "台账的末尾已变",
            Self::Conflict { .. } => "已经存在",
            Self::Invalid { .. } => "内容不合规则",
            Self::Full(_) => "存储已满",
            Self::Busy(_) => "存储繁忙",
            Self::Unavailable(_) => "数据库无法连接",
            Self::ReadOnly(_) => "存储不可写",
            Self::Corrupt { .. } => "存储已损坏",
            Self::Io(_) => "存储出错",
            Self::MasterKey { .. } => "主密钥不可用",
            Self::Orphans { .. } => "没有数据库，但它的文件还在",
            Self::File { .. } => "文件缺损",
            Self::Schema(_) => "数据属于其他版本的程序",
        }
    }

    /// Whether the same call may succeed later without a change by the caller.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Busy(_) | Self::Unavailable(_) | Self::ReadOnly(_) | Self::Io(_))
    }
}

impl From<std::io::Error> for LedgerError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full(error.into()),
            Kind::ReadOnlyFilesystem | Kind::PermissionDenied => Self::ReadOnly(error.into()),
            _ => Self::Io(error.into()),
        }
    }
}
