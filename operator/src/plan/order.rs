//! In which order objects are applied and deleted.

use crate::ObjectKey;

/// How many stages there are.
pub const STAGES: usize = 5;

/// The stages of a sync: each begins when the one before is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Namespaces: other objects live in them.
    Namespaces,
    /// CustomResourceDefinitions: other objects are of their kinds.
    Definitions,
    /// The other objects of the cluster: roles and classes that later ones need.
    Cluster,
    /// The objects of namespaces.
    Namespaced,
    /// Webhooks and aggregated APIs, which stand in the way of others until they work.
    Intercepting,
}

impl Stage {
    /// The stage of an object.
    pub fn of(key: &ObjectKey, namespaced: bool) -> Self {
        match (&*key.group, &*key.kind) {
            ("", "Namespace") => Self::Namespaces,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definitions,
            ("admissionregistration.k8s.io", _) | ("apiregistration.k8s.io", "APIService") => {
                Self::Intercepting
            }
            _ if namespaced => Self::Namespaced,
            _ => Self::Cluster,
        }
    }
}

/// The order of kinds within a stage: what others refer to comes first.
pub(super) fn of_kind(key: &ObjectKey) -> u8 {
    match (&*key.group, &*key.kind) {
        ("scheduling.k8s.io", "PriorityClass") | ("storage.k8s.io", "StorageClass") => 0,
        ("", "ResourceQuota" | "LimitRange") | ("networking.k8s.io", "NetworkPolicy") => 1,
        ("policy", "PodDisruptionBudget") => 2,
        ("", "ServiceAccount") => 3,
        ("", "Secret") => 4,
        ("", "ConfigMap") => 5,
        ("", "PersistentVolume") => 6,
        ("", "PersistentVolumeClaim") => 7,
        ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => 8,
        ("rbac.authorization.k8s.io", _) => 9,
        ("", "Service") => 10,
        ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => 11,
        ("autoscaling", _) => 12,
        ("networking.k8s.io", _) => 13,
        _ => 14,
    }
}

/// The order of deletions: that of applying, backwards.
pub(crate) fn of_deletion(key: &ObjectKey) -> u8 {
    match Stage::of(key, key.namespace.is_some()) {
        Stage::Intercepting => 0,
        Stage::Namespaced => 100 - of_kind(key),
        Stage::Cluster => 200 - of_kind(key),
        Stage::Definitions => 201,
        Stage::Namespaces => 202,
    }
}

/// Whether other objects go when this one is deleted.
pub(super) fn holds_others(key: &ObjectKey) -> bool {
    matches!(
        Stage::of(key, key.namespace.is_some()),
        Stage::Namespaces | Stage::Definitions
    )
}
