//! What can be set about an operator process.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use gitmoor_crds::{GoDuration, Scope};
use serde::{Deserialize, Serialize};

/// The settings of an operator process. Durations are written like `30s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The namespace whose configurations it serves. An agent that hosts operators gives it.
    pub namespace: Option<String>,
    /// The scope of the configurations it serves.
    pub scope: Scope,
    /// The namespace of its ServiceAccount, its inventory and its copy of credentials; the served
    /// namespace when absent.
    pub home: Option<String>,
    /// Where metrics and probes are served over plain HTTP, such as `[::]:8080`; nowhere when
    /// absent.
    pub metrics_address: Option<SocketAddr>,
    /// What holds for every operator of the process.
    pub engine: EngineSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: None,
            scope: Scope::Namespace,
            home: None,
            metrics_address: None,
            engine: EngineSettings::default(),
        }
    }
}

/// Settings that every operator of a process shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EngineSettings {
    /// Whether repositories may be read over plain HTTP, which anyone on the way can change.
    pub allow_http: bool,
    /// Where the Git stores are kept; what is there can be lost at any moment.
    pub directory: PathBuf,
    /// How many requests a sync has under way at once.
    pub concurrency: usize,
    /// A sync that would delete more objects than this, and more of its configuration's than
    /// `guard_percent`, waits for a confirmation.
    pub guard_objects: usize,
    /// See `guard_objects`; in percent.
    pub guard_percent: usize,
    /// How often objects of kinds that the operator may not watch are compared with what is
    /// declared.
    pub verify_interval: GoDuration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            allow_http: false,
            directory: PathBuf::from("/var/lib/gitmoor"),
            // Measured against a local API server: more brings nothing, fewer leaves it idle.
            concurrency: 32,
            guard_objects: 10,
            guard_percent: 50,
            verify_interval: GoDuration(Duration::from_mins(10)),
        }
    }
}
