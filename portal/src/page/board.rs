//! All that lists show, as one visitor may see it.

use std::sync::Arc;

use gitmoor_arm::Timestamp;

use super::{Pages, session::Visitor};
use crate::{StoreError, store::ClusterSummary};

/// The clusters that there are, at one moment.
pub(super) struct Board {
    pub(super) clusters: Vec<ClusterSummary>,
    pub(super) now: Timestamp,
}

impl Pages {
    /// The board of this moment.
    pub(super) async fn board(&self) -> Result<Arc<Board>, StoreError> {
        Ok(Arc::new(Board {
            clusters: self.store.summaries().await?,
            now: Timestamp::now(),
        }))
    }
}

impl Board {
    /// What a visitor may see of it: what the API's lists would show them.
    pub(super) fn seen_by(&self, visitor: &Visitor) -> impl Iterator<Item = &ClusterSummary> {
        self.clusters
            .iter()
            .filter(|cluster| visitor.principal.reads(&(&cluster.id).into()))
    }
}
