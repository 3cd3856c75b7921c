//! The portal: a self-hosted server of the `sourceControlConfigurations` and `fluxConfigurations` APIs
//! of Azure Resource Manager, and of the data plane by which agents read secrets and report status. It knows ARM's
//! types and SQL; Kubernetes and Git are none of its business.
//!
//! Words: a *principal* is whoever calls ([`identity`]). The *ARM API* is for those who read and
//! write resources, the *data plane* for the agents of clusters, the *page* for people with a browser.

mod api;
mod encryption;
pub mod identity;
mod page;
mod server;
mod settings;
mod store;
mod tls;

pub use encryption::{Encryption, EncryptionError, KeySource, Vault};
pub use server::{Error, Portal, run};
pub use settings::{GitHost, Limits, Rate, Settings, Throttling, TlsSettings};
pub use store::{
    AuditEntry, BackupError, Credential, Location, LocationError, Store, StoreError, back_up,
    restore,
};
pub use tls::TlsError;
