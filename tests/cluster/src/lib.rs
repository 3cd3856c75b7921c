//! A real Kubernetes control plane for tests and the demo: etcd, kube-apiserver and
//! kube-controller-manager on 127.0.0.1, with RBAC, ServiceAccount tokens and an audit log that
//! counts requests. There is no kubelet and no scheduler, so no Pod ever runs.
//!
//! ```no_run
//! # async fn example() -> Result<(), gitmoor_cluster::Error> {
//! let cluster = gitmoor_cluster::Cluster::start().await?;
//! let client = cluster.user_client("alice", &["developers"]);
//! let before = cluster.audit().mark()?;
//! // ... what is measured ...
//! let sent = gitmoor_cluster::count(&cluster.audit().since(before).await?);
//! # Ok(()) }
//! ```
//!
//! The servers come from one Go program (`go.mod`, `main.go` in this directory), which is built
//! once per machine: see [`program`]. They end with the process that started them, however it
//! ends, and take their temporary directory with them.

mod access;
mod arguments;
mod audit;
mod authority;
mod cluster;
mod directory;
mod options;
mod process;
mod program;
mod readiness;

pub use audit::{Audit, AuditError, Counted, Mark, Request, count};
pub use cluster::{Cluster, Error};
pub use directory::DirectoryError;
pub use options::{Component, Controllers, Options};
pub use process::Usage;
pub use program::{BuildError, kubernetes_version, program};

/// The user, of group `system:masters`, that this crate's own requests are made as, so that they
/// can be told from everyone else's in the audit log.
pub const OWN_USER: &str = "gitmoor-cluster";

/// The user, of group `system:masters`, of [`Cluster::admin_config`] and [`Cluster::kubeconfig`].
pub const ADMIN_USER: &str = "admin";
