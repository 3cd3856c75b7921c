//! What a configuration reports: the `status`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, transform::RecursiveTransform};
use serde::{Deserialize, Serialize};

/// How many problems a status lists; the number of the others is in `problemsOmitted`.
pub const MAX_PROBLEMS: usize = 100;

/// How many objects a status lists.
pub const MAX_OBJECTS: usize = 1000;

/// How many drifts a status lists.
pub const MAX_DRIFTS: usize = 20;

/// The condition types. They follow kstatus, so that `kubectl wait --for=condition=Ready` and
/// every tool that knows those conventions judge a configuration rightly.
pub mod conditions {
    /// `True`: the newest commit is applied without a problem, and its objects are healthy.
    /// `Unknown`: some are not healthy yet.
    pub const READY: &str = "Ready";
    /// `True`: work is under way; absent otherwise.
    pub const RECONCILING: &str = "Reconciling";
    /// `True`: nothing will improve until someone changes something; absent otherwise.
    pub const STALLED: &str = "Stalled";
}

/// The reasons of the conditions, stable for scripts. Problems have reasons of their own.
pub mod reasons {
    /// The commit is applied.
    pub const APPLIED: &str = "Applied";
    /// The commit is applied but for the objects in `problems`.
    pub const PROBLEMS: &str = "Problems";
    /// `suspend` is true.
    pub const SUSPENDED: &str = "Suspended";
    /// A commit is being applied, or the first one has not arrived yet.
    pub const PROGRESSING: &str = "Progressing";
    /// The configuration asks for what the agent's settings do not allow.
    pub const NOT_ALLOWED: &str = "NotAllowed";
}

/// What became of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = RecursiveTransform(without_unsigned))]
pub struct SourceControlConfigurationStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`, and when true `Reconciling` or `Stalled`, by the conventions of kstatus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The commit that was last tried, as a full hexadecimal id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_revision: Option<String>,

    /// The commit that was last gone through to the end: what could be applied of it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,

    /// Who wrote the commit `appliedRevision`, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_commit: Option<Commit>,

    /// When `appliedRevision` was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_time: Option<Time>,

    /// How many objects there are, and in which state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Counts>,

    /// How the objects fare: at most 1000 of them, those that are not well first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub inventory: Vec<ObjectState>,

    /// What others had changed and was put right, the newest first; at most 20. What has drifted and
    /// is not put right is a problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub drifts: Vec<Drift>,

    /// What is wrong, each with its place in the repository; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub problems: Vec<Problem>,

    /// How many problems are not listed; the operator's log has them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems_omitted: Option<u32>,

    /// The operator process that serves the configuration. A newer one writes its own here when it
    /// starts, which tells an older one to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,

    /// The public half of the SSH key by which the repository is read, in the form of an
    /// `authorized_keys` line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_public_key: Option<String>,
}

/// The API server warns of a format that it does not know; `minimum: 0` says as much.
fn without_unsigned(schema: &mut Schema) {
    if schema
        .get("format")
        .is_some_and(|format| format == "uint32")
    {
        schema.remove("format");
    }
}

/// How many objects a configuration has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Objects in the inventory: applied and not pruned.
    pub total: u32,
    /// Objects that the last sync created or changed.
    pub changed: u32,
    /// Objects that the last sync deleted.
    pub pruned: u32,
    /// Drifts that were put right since the last commit.
    pub healed: u32,
    /// Objects that are not healthy, or not yet.
    #[serde(default)]
    pub unhealthy: u32,
    /// Problems, those that `problems` does not list included.
    pub problems: u32,
}

/// Who wrote a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// The author's name, as the commit says it; nobody has checked it.
    pub author: String,
    /// When, as the commit says it.
    pub authored_at: Time,
    /// The first line of its message.
    pub title: String,
}

/// How an object fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectState {
    /// The object, as `Kind.group namespace/name`.
    pub object: String,
    /// A word of kstatus: `Current`, `InProgress`, `Failed`, `Terminating`, `NotFound` or `Unknown`.
    /// `Failed` also where it could not be applied.
    pub health: String,
    /// What it lacks; nothing when it is `Current`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// An object that was no longer as declared, and was put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The object, as `Kind.group namespace/name`.
    pub object: String,
    /// When it was put right.
    pub time: Time,
    /// Whether it had been deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The field manager that changed the object last, such as `kubectl-edit`; absent where the API
    /// server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

/// Something that is wrong with a place in the repository, or with the object that it declares.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The file, from the root of the repository; empty when it is not about a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The line in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The object, as `Kind.group namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A stable word in CamelCase, such as `InvalidYaml` or `Forbidden`.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}
