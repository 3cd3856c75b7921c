//! Which configurations get an operator. Pure: the rules are the agent's settings.

use gitmoor_arm::ClusterId;
use gitmoor_crds::{Scope, SourceControlConfiguration};

use crate::{
    origin::arm_id,
    pair::Pair,
    settings::{ClusterScope, Settings},
};

/// Why a configuration gets no operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "namespace {namespace} is not given to an operator: whoever may administer it has the \
         whole cluster, or the agent's setting protectedNamespaces names it; use another namespace"
    )]
    Protected { namespace: String },
    #[error(
        "scope cluster is not allowed here: the agent's setting allowClusterScope is {setting}; \
         use scope namespace, or ask those who run the agent"
    )]
    ClusterScope { setting: &'static str },
}

/// The rules of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    own_namespace: String,
    protected: Vec<String>,
    cluster_scope: ClusterScope,
    /// Where none is set, nothing came from ARM.
    cluster_in_arm: Option<ClusterId>,
}

impl Admission {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            own_namespace: settings.namespace.clone(),
            protected: settings.protected_namespaces.clone(),
            cluster_scope: settings.allow_cluster_scope,
            cluster_in_arm: settings.arm.as_ref().map(|arm| arm.cluster_id.clone()),
        }
    }

    /// The operator that serves a configuration of the cluster.
    pub(crate) fn admit(
        &self,
        configuration: &SourceControlConfiguration,
    ) -> Result<Pair, Refusal> {
        let pair = Pair::of(configuration);
        let cluster = self.cluster_in_arm.as_ref();
        let from_arm = cluster.is_some_and(|cluster| arm_id(configuration, cluster).is_some());
        self.check(&pair, from_arm)?;
        Ok(pair)
    }

    /// Whether a pair may have an operator.
    pub(crate) fn check(&self, pair: &Pair, from_arm: bool) -> Result<(), Refusal> {
        match pair.scope {
            Scope::Namespace if self.is_protected(&pair.namespace) => Err(Refusal::Protected {
                namespace: pair.namespace.clone(),
            }),
            Scope::Namespace => Ok(()),
            Scope::Cluster => match self.cluster_scope {
                ClusterScope::Always => Ok(()),
                ClusterScope::FromArm if from_arm => Ok(()),
                ClusterScope::FromArm => Err(Refusal::ClusterScope { setting: "fromArm" }),
                ClusterScope::Never => Err(Refusal::ClusterScope { setting: "never" }),
            },
        }
    }

    fn is_protected(&self, namespace: &str) -> bool {
        namespace.starts_with("kube-")
            || namespace == self.own_namespace
            || self.protected.iter().any(|one| one == namespace)
    }
}
