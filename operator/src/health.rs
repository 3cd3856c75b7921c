//! How an object fares, judged from the object alone: by the rules of kstatus for the kinds it
//! knows, by conditions for the rest. Pure: no client, no clock. What needs a clock, a deadline that
//! turns `InProgress` into a failure, is not here.
//!
//! The statuses are those of kstatus
//! (<https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus>), so that scripts which
//! know Flux, Config Sync or Helm know these. Where a rule departs from it, a comment says why.

mod ends;
mod fields;
mod network;
mod pods;
mod registered;
mod storage;
mod workloads;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use fields::{Conditions, Wrong};

/// The words of kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is not yet what its spec says, and nothing says that it will not be.
    InProgress,
    /// It will not become what its spec says unless something changes.
    Failed,
    /// It is what its spec says.
    Current,
    /// It is being deleted.
    Terminating,
    /// There is no such object; never said of an object that was given.
    NotFound,
    /// It cannot be judged.
    Unknown,
}

impl Status {
    /// Its name in kstatus.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Failed => "Failed",
            Self::Current => "Current",
            Self::Terminating => "Terminating",
            Self::NotFound => "NotFound",
            Self::Unknown => "Unknown",
        }
    }
}

/// How an object fares and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How.
    pub status: Status,
    /// Why, for a person; with the words of the object itself where it has some.
    pub message: String,
}

impl Health {
    fn current(message: impl Into<String>) -> Self {
        Self::new(Status::Current, message)
    }

    fn in_progress(message: impl Into<String>) -> Self {
        Self::new(Status::InProgress, message)
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

/// Whether objects of a kind fare well as soon as they are there, so that nothing but their metadata
/// needs to be seen. Of a kind that is not built in that is never known.
pub fn is_trivial(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(
            kind,
            "ConfigMap"
                | "Endpoints"
                | "LimitRange"
                | "Namespace"
                | "PodTemplate"
                | "ResourceQuota"
                | "Secret"
                | "ServiceAccount"
        ),
        "networking.k8s.io" => matches!(kind, "IngressClass" | "NetworkPolicy"),
        "admissionregistration.k8s.io"
        | "coordination.k8s.io"
        | "discovery.k8s.io"
        | "node.k8s.io"
        | "rbac.authorization.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io" => true,
        _ => false,
    }
}

/// Of an object of which nothing but metadata is seen: nothing, unless it is being deleted.
pub(crate) fn of_metadata(metadata: &ObjectMeta) -> Option<Health> {
    metadata.deletion_timestamp.as_ref()?;
    let mut message = "it is being deleted".to_owned();
    if let Some(finalizers) = &metadata.finalizers {
        message += &format!("; it waits for its finalizers {}", finalizers.join(", "));
    }
    Some(Health::new(Status::Terminating, message))
}

/// Judges an object as the API server gave it, status included. Whatever is no such object is
/// `Unknown`.
pub fn health(object: &Value) -> Health {
    judge(object).unwrap_or_else(|wrong| Health::new(Status::Unknown, wrong.to_string()))
}

fn judge(object: &Value) -> Result<Health, Wrong> {
    let kind = fields::text(object, "kind")?.ok_or(Wrong::Missing("kind"))?;
    let version = fields::text(object, "apiVersion")?.ok_or(Wrong::Missing("apiVersion"))?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let conditions = Conditions::of(object)?;
    if let Some(decided) = of_any_kind(object, &conditions)? {
        return Ok(decided);
    }
    let has_status = fields::any(object, "status")?.is_some();
    match (group, kind) {
        ("apps" | "extensions", "Deployment") => workloads::deployment(object, &conditions),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => {
            workloads::replicas(object, &conditions)
        }
        ("apps", "StatefulSet") => workloads::stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => workloads::daemon_set(object),
        ("", "Pod") => pods::pod(object, &conditions),
        ("batch", "Job") => ends::job(object, &conditions),
        ("batch", "CronJob") => ends::cron_job(object),
        ("", "PersistentVolumeClaim") => storage::claim(object),
        ("", "PersistentVolume") => storage::volume(object),
        ("", "Service") => network::service(object),
        ("networking.k8s.io" | "extensions", "Ingress") => network::ingress(object),
        ("policy", "PodDisruptionBudget") if has_status => {
            workloads::disruption_budget(object, &conditions)
        }
        ("autoscaling", "HorizontalPodAutoscaler") if has_status => {
            workloads::autoscaler(object, &conditions)
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            Ok(registered::definition(&conditions))
        }
        ("apiregistration.k8s.io", "APIService") => Ok(registered::api_service(&conditions)),
        _ => by_conditions(object, &conditions),
    }
}

/// What decides before any rule of a kind.
fn of_any_kind(object: &Value, conditions: &Conditions<'_>) -> Result<Option<Health>, Wrong> {
    if fields::text(object, "metadata.deletionTimestamp")?.is_some_and(|time| !time.is_empty()) {
        return Ok(Some(terminating(object, conditions)?));
    }
    let generation = fields::number(object, "metadata.generation")?;
    let observed = fields::number(object, "status.observedGeneration")?;
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return Ok(Some(Health::in_progress(format!(
            "its controller has seen generation {observed}, and it is at {generation}"
        ))));
    }
    Ok(conditions.iter().find_map(|one| match one.kind {
        "Reconciling" if one.is_true() => {
            Some(Health::in_progress(one.told("it is being reconciled")))
        }
        "Stalled" if one.is_true() => Some(Health::failed(one.told("its controller is stuck"))),
        _ => None,
    }))
}

fn terminating(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    let finalizers = fields::list(object, "metadata.finalizers")?;
    let finalizers: Vec<&str> = finalizers.iter().filter_map(Value::as_str).collect();
    let mut message = "it is being deleted".to_owned();
    if !finalizers.is_empty() {
        message += &format!("; it waits for its finalizers {}", finalizers.join(", "));
    }
    // A Namespace says in these what is left in it.
    for one in conditions.iter() {
        if one.kind.starts_with("Namespace") && one.is_true() {
            message += &format!("; {}", one.told(one.kind));
        }
    }
    Ok(Health::new(Status::Terminating, message))
}

const NOTHING_AGAINST: &str = "its status has nothing against it";

/// The rule for kinds without one of their own.
fn by_conditions(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    let Some(ready) = conditions.find("Ready") else {
        return Ok(Health::current(match fields::any(object, "status")? {
            None => "it exists and has no status",
            Some(_) => NOTHING_AGAINST,
        }));
    };
    // kstatus does not look at this; by the API's conventions such a condition is out of date.
    let generation = fields::number(object, "metadata.generation")?;
    if let (Some(generation), Some(observed)) = (generation, ready.observed_generation)
        && observed < generation
    {
        return Ok(Health::in_progress(format!(
            "its condition Ready is of generation {observed}, and it is at {generation}"
        )));
    }
    Ok(match ready.status {
        "True" => Health::current(ready.told("it is ready")),
        "False" => Health::in_progress(ready.told("it is not ready")),
        "Unknown" => Health::in_progress(ready.told("it is not known to be ready")),
        _ => Health::current(NOTHING_AGAINST),
    })
}
