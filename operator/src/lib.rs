//! The engine of Gitmoor: what turns commits into live objects.
//!
//! One *operator* serves one pair of namespace and scope and hosts every configuration of it. The
//! modules stand in the order in which a commit meets them: `fetch` brings a `Snapshot` of the
//! repository, [`read`] makes `Manifests` and problems of it ([`manifest`] knows YAML), `plan`
//! compares them with the `inventory`, `apply` sends what differs, `observe` watches what was
//! applied, `report` writes the status. It knows nothing of ARM, the agent or the portal.

mod apply;
pub mod bodies;
pub mod connections;
pub mod differences;
pub mod engine;
pub mod events;
pub mod fetch;
pub mod fingerprint;
mod follow;
pub mod health;
pub mod inventory;
pub mod key;
pub mod kinds;
pub mod manifest;
pub mod metadata;
pub mod metrics;
pub mod names;
pub mod observe;
mod pace;
pub mod plan;
pub mod problem;
pub mod read;
pub mod report;
pub mod requests;
pub mod settings;
mod siblings;
pub mod snapshot;
mod tenant;

pub use engine::{Assignment, Engine, Error, run};
pub use key::ObjectKey;
pub use problem::{Problem, Reason};
pub use settings::{EngineSettings, Settings};
