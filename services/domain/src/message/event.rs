//! Events of messages.

use crate::{
    event::Happening,
    ids::{BlobId, MessageId},
    message::Message,
};

/// What happens to a message.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageEvent {
    /// A message came in or goes out.
    Kept {
        /// The message.
        message: Message,
    },
    /// The gateway took an outgoing message, or gave up.
    Sent {
        /// Which.
        message: MessageId,
        /// Taken.
        ok: bool,
    },
}

impl Happening for MessageEvent {
    type Id = MessageId;

    fn name(&self) -> &'static str {
        match self {
            Self::Kept { .. } => "message_kept",
            Self::Sent { .. } => "message_sent",
        }
    }

    fn id(&self) -> MessageId {
        match self {
            Self::Kept { message } => message.id,
            Self::Sent { message, .. } => *message,
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Kept { .. } | Self::Sent { .. } => Vec::new(),
        }
    }
}
