//! What a configuration asks for: the `spec`.
#![allow(
    unreachable_pub,
    reason = "KubeSchema makes a copy of each type inside a function"
)]

use std::time::Duration;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GoDuration, SourceControlConfigurationStatus};

/// What a configuration asks for.
// The CEL rules stand here and not in the operator, so that `kubectl apply` says at once what is
// wrong.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gitmoor.io",
    version = "v1alpha1",
    kind = "SourceControlConfiguration",
    plural = "sourcecontrolconfigurations",
    shortname = "scc",
    category = "gitmoor",
    namespaced,
    status = "SourceControlConfigurationStatus",
    derive = "PartialEq",
    validation = Rule::new("!has(self.spec.dependsOn) || !(self.metadata.name in self.spec.dependsOn)").message("a configuration cannot depend on itself: take its name out of dependsOn"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name may have at most 63 characters"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].message", name = "Status", type_ = "string"),
    printcolumn(json_path = ".status.appliedRevision", name = "Revision", type_ = "string"),
    printcolumn(json_path = ".status.objects.total", name = "Objects", type_ = "integer"),
    printcolumn(json_path = ".status.objects.problems", name = "Problems", type_ = "integer"),
    printcolumn(json_path = ".spec.repository", name = "Repository", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.reference.branch", name = "Branch", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.scope", name = "Scope", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceControlConfigurationSpec {
    /// The address of the Git repository: `https://`, `ssh://` or `user@host:path`; `http://` where
    /// the operator's settings allow it. Without a password, and but for SSH without a user name:
    /// those belong into a Secret, see `credentials`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(
        // A host that begins with `-` would be a flag of ssh; a query is where tokens are put.
        validation = ("self.matches('^(https|http|ssh)://[^-/\\\\\\\\\\\\s?#][^/\\\\\\\\\\\\s?#]*/[^\\\\s?#]+$|^[^-/@:\\\\\\\\\\\\s?#][^/@:\\\\\\\\\\\\s?#]*@[^-/@:\\\\\\\\\\\\s?#][^/@:\\\\\\\\\\\\s?#]*:[^-\\\\s?#][^\\\\s?#]*$')", "write an address such as https://host/path, ssh://git@host/path or git@host:path"),
        validation = ("!self.matches('^https?://[^/]*@|^ssh://[^/]*:[^/]*@')", "no user name or password here: name a Secret in credentials")
    )]
    pub repository: String,

    /// Which commit of it is followed.
    #[serde(default)]
    pub reference: Reference,

    /// The folders or files of the repository to read, relative to its root; `.` is all of it.
    #[serde(default = "default_paths")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 1024)))]
    #[x_kube(
        validation = ("self.all(path, !path.startsWith('/') && !path.split('/').exists(part, part == '..'))", "a path starts at the root of the repository and stays in it: no leading / and no ..")
    )]
    pub paths: Vec<String>,

    /// How often the repository is asked for a new commit, such as `1m` or `90s`; between 5 s and
    /// 24 h.
    #[serde(default = "default_interval")]
    #[x_kube(
        validation = ("duration(self) >= duration('5s') && duration(self) <= duration('24h')", "the interval is at least 5s and at most 24h")
    )]
    pub interval: GoDuration,

    /// How long an object may take until it is healthy, such as `5m`; then its configuration is not
    /// ready, and says why. Between 1 s and 24 h.
    #[serde(default = "default_timeout")]
    #[x_kube(
        validation = ("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "the timeout is at least 1s and at most 24h")
    )]
    pub timeout: GoDuration,

    /// Names of configurations of this namespace that must be ready first, before a commit is
    /// applied; those that follow the same branch at this very commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub depends_on: Vec<String>,

    /// How to prove to the repository who we are; absent for a public one, and over SSH for a key that
    /// is made in the cluster: `status.repositoryPublicKey` says which one to let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,

    /// How far the rights of the operator reach. `cluster` must be allowed by the agent's settings.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "the scope cannot be changed: delete the configuration and create it anew"))]
    pub scope: Scope,

    /// Whether objects that the repository no longer has are deleted.
    #[serde(default = "yes")]
    pub prune: bool,

    /// What is done about live objects that are no longer as they were applied. `enforce` puts them
    /// right; `detect` shows what differs, field by field, and writes nothing; `off` neither shows
    /// nor heals it. A commit is applied whatever is chosen here, and with it what it changes. Write
    /// `"off"` in quotes: the bare word is a boolean in YAML.
    #[serde(default)]
    pub heal: Heal,

    /// Whether deleting this configuration also deletes what it applied; not while it is suspended.
    #[serde(default)]
    pub prune_on_delete: bool,

    /// Whether objects that another engine holds (Flux, Argo CD, Helm, Config Sync and others) are
    /// taken over, with everything that it applied to them. Take them from the other engine as well:
    /// two that hold one object undo each other's work. Objects that people applied with `kubectl`
    /// are always taken over, those of another configuration never.
    #[serde(default)]
    pub adopt: bool,

    /// Stop: fetch, apply and heal nothing until this is false again.
    #[serde(default)]
    pub suspend: bool,
}

impl SourceControlConfigurationSpec {
    /// A spec that follows the default branch of a repository, all the rest at its default.
    pub fn new(repository: impl Into<String>) -> Self {
        Self {
            repository: repository.into(),
            reference: Reference::default(),
            paths: default_paths(),
            interval: default_interval(),
            timeout: default_timeout(),
            depends_on: Vec::new(),
            credentials: None,
            scope: Scope::default(),
            prune: true,
            heal: Heal::default(),
            prune_on_delete: false,
            adopt: false,
            suspend: false,
        }
    }
}

/// Which commit of a repository is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// The branch; absent for the one that the repository's `HEAD` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(
        // git-check-ref-format(1), with `--branch`.
        validation = ("self.matches('^[^\\\\x00-\\\\x20\\\\x7f~^:?*\\\\[\\\\\\\\]+$') && !self.matches('^-|^/|/$|//|^[.]|/[.]|[.]$|[.][.]|[.]lock(/|$)|@[{]|^HEAD$')", "this is no name of a Git branch")
    )]
    pub branch: Option<String>,
}

/// How to prove to a repository who we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// A Secret in the namespace of the operator's ServiceAccount (for scope `namespace` that of
    /// the configuration). Over HTTPS it has `username` and `password`, and optionally `ca.crt`. Over
    /// SSH it has `identity`, a private key without a passphrase (without it one is made in the
    /// cluster), and `known_hosts`, which the hosts of GitHub, GitLab, Bitbucket and Azure DevOps do
    /// not need. A server whose host key is not known is refused.
    // By the rule for names of Secrets: it becomes part of an address.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: String,
}

/// What is done about live objects that are no longer as they were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Heal {
    /// They are put right.
    #[default]
    Enforce,
    /// What differs is shown.
    Detect,
    /// Nothing.
    Off,
}

/// How far the rights of an operator reach.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Objects of the configuration's own namespace.
    #[default]
    Namespace,
    /// Objects of every namespace, and those of none.
    Cluster,
}

impl Scope {
    /// The word in the resource: `namespace` or `cluster`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Cluster => "cluster",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn default_paths() -> Vec<String> {
    vec![".".to_owned()]
}

/// Flux v1 asks every five minutes; its users found that slow, and one request for a reference is
/// cheap.
fn default_timeout() -> GoDuration {
    GoDuration(Duration::from_mins(5))
}

fn default_interval() -> GoDuration {
    GoDuration(Duration::from_mins(1))
}

fn yes() -> bool {
    true
}
