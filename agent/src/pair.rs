//! What one operator serves: a namespace and a scope.

use std::fmt;

use gitmoor_crds::{Scope, SourceControlConfiguration};
use kube::ResourceExt as _;

/// A namespace and a scope. Each pair that has a configuration has one operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// The namespace of the configurations.
    pub(crate) namespace: String,
    /// Their scope.
    pub(crate) scope: Scope,
}

impl Pair {
    /// The pair that a configuration belongs to.
    pub(crate) fn of(configuration: &SourceControlConfiguration) -> Self {
        Self {
            namespace: configuration.namespace().unwrap_or_default(),
            scope: configuration.spec.scope,
        }
    }

    /// The namespace of the operator's ServiceAccount. That of a cluster-wide operator is never
    /// its tenant's: whoever may create pods or tokens in a namespace can take on every
    /// ServiceAccount that lives there.
    pub(crate) fn home<'a>(&'a self, agent_namespace: &'a str) -> &'a str {
        match self.scope {
            Scope::Namespace => &self.namespace,
            Scope::Cluster => agent_namespace,
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.namespace, self.scope)
    }
}
