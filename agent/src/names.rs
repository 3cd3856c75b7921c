//! The names by which what the agent makes is known.

use gitmoor_crds::Scope;

use crate::pair::Pair;

/// The field manager of all that the agent applies.
pub(crate) const FIELD_MANAGER: &str = "gitmoor-agent";

/// On all that the agent makes for an operator, with [`MANAGED_BY_VALUE`].
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// See [`MANAGED_BY`].
pub(crate) const MANAGED_BY_VALUE: &str = "gitmoor";

/// On what is made for an operator: the namespace that it serves.
pub(crate) const SERVED_NAMESPACE: &str = "gitmoor.io/operator-namespace";

/// On what is made for an operator: the scope that it serves.
pub(crate) const SERVED_SCOPE: &str = "gitmoor.io/operator-scope";

/// On a configuration that the agent took from ARM, with [`SOURCE_ARM`].
pub(crate) const SOURCE: &str = "gitmoor.io/source";

/// See [`SOURCE`].
pub(crate) const SOURCE_ARM: &str = "arm";

/// A tenant's ServiceAccount, role, binding and Deployment. The agent's rights name it, so it is
/// the same in every namespace.
pub(crate) const OPERATOR: &str = "gitmoor-operator";

/// A tenant's binding to the Role of its own resource.
pub(crate) const OPERATOR_OWN: &str = "gitmoor-operator-own";

/// What a tenant's operator may do in its namespace.
pub(crate) const NAMESPACE_ROLE: &str = "gitmoor-namespace-operator";

/// What a cluster-wide operator may do.
pub(crate) const CLUSTER_ROLE: &str = "gitmoor-cluster-operator";

/// The ServiceAccount of an operator, which also names its Deployment and its main binding. For
/// the scope `cluster` it contains the namespace, so that two never overwrite each other; at 80
/// characters it is far from the limit of 253.
pub(crate) fn operator(pair: &Pair) -> String {
    match pair.scope {
        Scope::Namespace => OPERATOR.to_owned(),
        Scope::Cluster => format!("{OPERATOR}-{}", pair.namespace),
    }
}
