//! Which configuration of ARM a resource was made from.

use gitmoor_arm::{ClusterId, ConfigurationId};
use gitmoor_crds::{ANNOTATION_ARM_ID, SourceControlConfiguration};
use kube::ResourceExt as _;

use crate::names::{SOURCE, SOURCE_ARM};

/// The configuration of a cluster in ARM that a resource was made from; nothing when people made
/// it, or an agent that stood for another cluster.
///
/// Anyone who may write the resource can write what this reads. That only those who may have the
/// whole cluster write one of scope `cluster` is the admission policy's business.
pub(crate) fn arm_id(
    resource: &SourceControlConfiguration,
    cluster: &ClusterId,
) -> Option<ConfigurationId> {
    if resource.labels().get(SOURCE).map(String::as_str) != Some(SOURCE_ARM) {
        return None;
    }
    let id: ConfigurationId = resource
        .annotations()
        .get(ANNOTATION_ARM_ID)?
        .parse()
        .ok()?;
    (id.cluster() == *cluster).then_some(id)
}
