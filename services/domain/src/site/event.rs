//! Events of the site document.

use std::sync::Arc;

use crate::{event::Happening, ids::BlobId, site::Site};

/// What happens to the site document.
#[derive(Clone, Debug, PartialEq)]
pub enum SiteEvent {
    /// A site document took effect.
    Changed {
        /// The whole site.
        site: Arc<Site>,
    },
}

impl Happening for SiteEvent {
    type Id = ();

    fn name(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "site_changed",
        }
    }

    fn id(&self) {}

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Changed { .. } => Vec::new(),
        }
    }
}
