//! `fluxConfigurations`, which came after `sourceControlConfigurations`: one Git repository, and of
//! it any number of *kustomizations*, each a path that is applied by itself. Each of those is a
//! configuration of the agent's, so that nothing between portal and cluster need know of this API.
//!
//! Every field that Gitmoor does not follow is refused by name, and none is passed over: a client that
//! asks for a tag must not get a branch.

mod parts;
mod read;

pub use parts::{MAX_KUSTOMIZATIONS, check_flux, flux_parts, part_name};
pub use read::FluxRequest;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::OperatorScope;

/// The resource type in every such configuration's `type`.
pub const FLUX_RESOURCE_TYPE: &str = "Microsoft.KubernetesConfiguration/fluxConfigurations";

/// The api-versions that are answered, oldest first: all since the first stable one, but for the
/// newest preview.
pub const FLUX_API_VERSIONS: [&str; 7] = [
    "2022-03-01",
    "2022-07-01",
    "2022-11-01",
    "2023-05-01",
    "2024-04-01-preview",
    "2024-11-01",
    "2025-04-01",
];

/// What stands between the names of a Flux configuration and of a kustomization of it in the name of
/// the agent's configuration. Neither of the two may hold it, so no two pairs have the same name.
pub const PART_SEPARATOR: &str = "--";

/// The one kind of source.
pub const GIT_REPOSITORY: &str = "GitRepository";

/// ARM's default of every interval and timeout, in seconds.
const DEFAULT_SECONDS: u64 = 600;

/// What is desired, in the form in which ARM gives it back; without secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FluxProperties {
    /// How far the rights of the operators reach.
    pub scope: OperatorScope,
    /// The namespace of the operators.
    pub namespace: String,
    /// [`GIT_REPOSITORY`].
    pub source_kind: String,
    /// Whether nothing is fetched, applied or healed.
    pub suspend: bool,
    /// The source.
    pub git_repository: GitRepository,
    /// What of it is applied, by name.
    pub kustomizations: BTreeMap<String, Kustomization>,
}

/// A Git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitRepository {
    /// Its address.
    pub url: String,
    /// How long a fetch may take. Has no effect: operators bound their fetches by their own settings.
    pub timeout_in_seconds: u64,
    /// How often it is asked for a new commit.
    pub sync_interval_in_seconds: u64,
    /// What is followed.
    pub repository_ref: Option<RepositoryRef>,
    /// A known_hosts file in base64.
    pub ssh_known_hosts: Option<String>,
    /// The user name for HTTPS, in clear.
    pub https_user: Option<String>,
    /// Certificate authorities for HTTPS, PEM in base64.
    #[serde(rename = "httpsCACert")]
    pub https_ca_cert: Option<String>,
}

/// What of a repository is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryRef {
    /// The branch; the one of the repository's `HEAD` when there is none.
    pub branch: Option<String>,
}

/// A path of the repository that is applied by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kustomization {
    /// From the root of the repository; empty for all of it.
    pub path: String,
    /// Other kustomizations of the same configuration that must be ready first.
    pub depends_on: Vec<String>,
    /// How long an object may take until it is healthy.
    pub timeout_in_seconds: u64,
    /// How often drift is looked for at least. Has no effect: it is seen at once.
    pub sync_interval_in_seconds: u64,
    /// How long to wait after a failure. Has no effect: operators have a measure of their own.
    pub retry_interval_in_seconds: Option<u64>,
    /// Whether objects that the repository no longer has are deleted.
    pub prune: bool,
    /// Always false.
    pub force: bool,
    /// Always true.
    pub wait: bool,
}

impl Default for Kustomization {
    fn default() -> Self {
        Self {
            path: String::new(),
            depends_on: Vec::new(),
            timeout_in_seconds: DEFAULT_SECONDS,
            sync_interval_in_seconds: DEFAULT_SECONDS,
            retry_interval_in_seconds: None,
            prune: false,
            force: false,
            wait: true,
        }
    }
}
