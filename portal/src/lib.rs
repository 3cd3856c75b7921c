//! The portal: a self-hosted server of the `sourceControlConfigurations` API of Azure Resource
//! Manager, and of the data plane by which agents read secrets and report status. It knows ARM's
//! types and SQL; Kubernetes and Git are none of its business.
//!
//! Words: a *principal* is whoever writes configurations, a *cluster* is whoever follows them; both
//! hold *tokens* ([`tokens`]). The *ARM API* is for principals, the *data plane* for clusters.

mod api;
mod server;
mod settings;
mod store;
mod tls;
pub mod tokens;

pub use server::{Error, Portal, run};
pub use settings::{Limits, Settings, TlsSettings};
pub use store::{Store, StoreError};
pub use tls::TlsError;
