//! Whose an object is, by its metadata alone: which other configurations and engines hold it, and
//! what must be changed in it so that it is ours completely. Pure.

use gitmoor_crds::LABEL_CONFIGURATION;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value, json};

use crate::ObjectKey;

/// What `kubectl apply` keeps its own memory in: left where it is, a later `kubectl apply` would
/// bring back what it once applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Says of a label or annotation of Argo CD for which object it was written.
const ARGO_TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// The label by which Helm knows its own; charts that were rendered into a repository carry it too.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Something that keeps objects as it wants them, and deletes them when it no longer does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Engine {
    name: &'static str,
    managers: &'static [&'static str],
    /// Labels and annotations that only it sets, on objects that it holds.
    marks: &'static [&'static str],
}

/// The engines that are known. What they set was read from their own sources.
const ENGINES: &[Engine] = &[
    Engine {
        name: "Flux",
        managers: &["kustomize-controller", "helm-controller", "flux"],
        marks: &[
            "kustomize.toolkit.fluxcd.io/name",
            "kustomize.toolkit.fluxcd.io/namespace",
            "helm.toolkit.fluxcd.io/name",
            "helm.toolkit.fluxcd.io/namespace",
        ],
    },
    Engine {
        // It applies with kubectl, and so has no field manager of its own.
        name: "Flux 1",
        managers: &[],
        marks: &[
            "fluxcd.io/sync-gc-mark",
            "fluxcd.io/sync-checksum",
            "flux.weave.works/sync-gc-mark",
            "flux.weave.works/sync-checksum",
            "helm.fluxcd.io/antecedent",
        ],
    },
    Engine {
        name: "Argo CD",
        managers: &[
            "argocd-controller",
            "argocd-application-controller",
            "argocd",
        ],
        marks: &[ARGO_TRACKING, "argocd.argoproj.io/instance"],
    },
    Engine {
        name: "Config Sync",
        managers: &["configsync", "configmanagement.gke.io"],
        marks: &[
            "configsync.gke.io/resource-id",
            "configsync.gke.io/declared-version",
            "configmanagement.gke.io/managed",
            "configmanagement.gke.io/token",
        ],
    },
    Engine {
        name: "kapp",
        managers: &["kapp", "kapp-controller", "kapp-server"],
        marks: &[
            "kapp.k14s.io/app",
            "kapp.k14s.io/association",
            "kapp.k14s.io/identity",
            "kapp.k14s.io/original",
        ],
    },
    Engine {
        name: "Fleet",
        managers: &["fleetagent", "fleet-agent"],
        marks: &[
            "objectset.rio.cattle.io/hash",
            "objectset.rio.cattle.io/id",
            "objectset.rio.cattle.io/applied",
        ],
    },
    Engine {
        name: "kluctl",
        managers: &["kluctl"],
        marks: &["kluctl.io/discriminator"],
    },
    Engine {
        name: "Helm",
        managers: &["helm", "Helm"],
        marks: &[
            "meta.helm.sh/release-name",
            "meta.helm.sh/release-namespace",
        ],
    },
];

/// Who holds an object, beside us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Another configuration, by its field manager.
    Configuration(String),
    /// Another engine, and what shows it.
    Engine(&'static Engine, String),
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(manager) => {
                let name = manager.strip_prefix("gitmoor:").unwrap_or(manager);
                write!(f, "the configuration {}", name.replace(':', "/"))
            }
            Self::Engine(engine, by) => write!(f, "{} ({by})", engine.name),
        }
    }
}

/// Who holds an object that we want to hold as `manager`. What `body`, the object as we apply it,
/// declares itself is no mark of anyone.
pub(super) fn owners(
    metadata: &ObjectMeta,
    body: &Value,
    key: &ObjectKey,
    manager: &str,
) -> Vec<Owner> {
    let mut owners = Vec::new();
    let managers = || {
        let entries = metadata.managed_fields.iter().flatten();
        entries
            .filter(|entry| is_of_the_object(entry))
            .filter_map(|entry| entry.manager.as_deref())
    };
    for other in managers().filter(|other| other.starts_with("gitmoor:") && *other != manager) {
        let owner = Owner::Configuration(other.to_owned());
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    for engine in ENGINES {
        let mark = engine.marks.iter().find_map(|mark| {
            let (field, value) = found(metadata, body, mark)?;
            let of_this = *mark != ARGO_TRACKING || tracks(value, key);
            of_this.then(|| format!("{field} {mark}: {value}"))
        });
        let by = mark.or_else(|| {
            let manager = managers().find(|manager| engine.managers.contains(manager))?;
            Some(format!("field manager {manager}"))
        });
        owners.extend(by.map(|by| Owner::Engine(engine, by)));
    }
    owners
}

/// A label or annotation that is live and not of our own declaring: which of both, and its value.
fn found<'a>(metadata: &'a ObjectMeta, body: &Value, key: &str) -> Option<(&'static str, &'a str)> {
    let places = [
        ("label", "labels", &metadata.labels),
        ("annotation", "annotations", &metadata.annotations),
    ];
    places.into_iter().find_map(|(word, field, live)| {
        let value = live.as_ref()?.get(key)?;
        let declared = body["metadata"][field].get(key).is_some();
        (!declared).then_some((word, value.as_str()))
    })
}

/// Whether the tracking id of Argo CD, `application:group/kind:namespace/name`, names this object:
/// one that was copied with the object that it was on claims nothing.
fn tracks(id: &str, key: &ObjectKey) -> bool {
    let mut parts = id.splitn(3, ':').skip(1);
    let (Some(kind), Some(name)) = (parts.next(), parts.next()) else {
        return false;
    };
    let namespace = key.namespace.as_deref();
    kind == format!("{}/{}", key.group, key.kind)
        && (name == format!("{}/{}", namespace.unwrap_or_default(), key.name)
            || (namespace.is_none() && name.rsplit('/').next() == Some(&*key.name)))
}

/// Whether an entry speaks of the object itself, and not of its status or scale: those belong to
/// controllers and autoscalers, and are never ours.
fn is_of_the_object(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// Whether people left this entry with `kubectl`. What `kubectl rollout restart` leaves is no wish
/// for how the object should be: taking it away would restart every pod.
fn is_kubectl(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    manager.starts_with("kubectl") && manager != "kubectl-rollout"
}

/// What must be changed in an object, as a JSON patch, before we apply it by force, so that our
/// apply removes what others applied and we do not: their entries become part of ours. Nothing when
/// it is ours completely. `owners` are those who are given up on.
///
/// It is how client-go's `csaupgrade` does it, for more than one predecessor.
pub(super) fn fold(
    metadata: &ObjectMeta,
    body: &Value,
    owners: &[Owner],
    manager: &str,
) -> Option<Value> {
    let is_owner = |entry: &ManagedFieldsEntry| {
        let name = entry.manager.as_deref().unwrap_or_default();
        owners.iter().any(|owner| match owner {
            Owner::Configuration(other) => other == name,
            Owner::Engine(engine, _) => engine.managers.contains(&name),
        })
    };
    let is_ours = |entry: &ManagedFieldsEntry, operation: &str| {
        entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some(operation)
    };
    let (mut kept, mut ours, mut others) = (Vec::new(), None, Vec::new());
    let mut unowned = false;
    for entry in metadata.managed_fields.iter().flatten().cloned() {
        if !is_of_the_object(&entry) {
            kept.push(entry);
        } else if is_ours(&entry, "Apply") {
            ours = Some(entry);
        } else if is_kubectl(&entry) || is_owner(&entry) || is_ours(&entry, "Update") {
            others.push(entry);
        } else if entry.manager.as_deref() == Some("before-first-apply") {
            // Everything that was there before owners were written down, by whomever: nothing of
            // it is taken away, but what we stop declaring must not be held by it.
            unowned = true;
        } else {
            kept.push(entry);
        }
    }
    let mut changes = Vec::new();
    let mut marks: Vec<&str> = vec![LAST_APPLIED];
    for owner in owners {
        if let Owner::Engine(engine, _) = owner {
            marks.extend(engine.marks);
        }
    }
    for mark in marks {
        if let Some((word, _)) = found(metadata, body, mark) {
            changes.push(removal(word, mark));
        }
    }
    let was_of_helm = metadata.labels.as_ref().and_then(|all| all.get(MANAGED_BY));
    if was_of_helm.is_some_and(|value| value == "Helm")
        && owners
            .iter()
            .any(|owner| matches!(owner, Owner::Engine(engine, _) if engine.name == "Helm"))
        && found(metadata, body, MANAGED_BY).is_some()
    {
        changes.push(removal("label", MANAGED_BY));
    }
    if others.is_empty() && changes.is_empty() && !unowned {
        return None;
    }
    let mut union = ours.unwrap_or_else(|| ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: body["apiVersion"].as_str().map(str::to_owned),
        fields_type: Some("FieldsV1".to_owned()),
        time: others.first().and_then(|entry| entry.time.clone()),
        ..ManagedFieldsEntry::default()
    });
    let mut fields = union
        .fields_v1
        .take()
        .map_or(Value::Null, |fields| fields.0);
    for entry in others {
        if let Some(FieldsV1(other)) = entry.fields_v1 {
            unite(&mut fields, other);
        }
    }
    if fields.is_object() {
        union.fields_v1 = Some(FieldsV1(fields));
        kept.push(union);
    }
    changes.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": kept}));
    changes.push(json!({
        // Not of an object that has changed since it was looked at.
        "op": "replace", "path": "/metadata/resourceVersion", "value": metadata.resource_version,
    }));
    Some(Value::Array(changes))
}

/// Whether we have written it otherwise than by applying it, as for `create-only`: fields that are
/// held so too would outlive their removal from the repository.
pub(super) fn is_held_twice(metadata: &ObjectMeta, manager: &str) -> bool {
    let mut entries = metadata.managed_fields.iter().flatten();
    entries.any(|entry| {
        is_of_the_object(entry)
            && entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Update")
    })
}

/// Whether another configuration holds the object and we do not: it has taken over what our label
/// may still be on.
pub(super) fn is_taken_over(metadata: &ObjectMeta, manager: &str) -> bool {
    let entries = metadata.managed_fields.iter().flatten();
    let mut managers = entries
        .filter(|entry| is_of_the_object(entry))
        .filter_map(|entry| entry.manager.as_deref());
    managers.clone().any(|one| one.starts_with("gitmoor:")) && managers.all(|one| one != manager)
}

/// Sets of fields as the API server writes them are trees of maps.
fn unite(fields: &mut Value, other: Value) {
    match (fields, other) {
        (Value::Object(fields), Value::Object(other)) => {
            for (field, below) in other {
                unite(fields.entry(field).or_insert_with(|| json!({})), below);
            }
        }
        (fields @ Value::Null, other @ Value::Object(_)) => *fields = other,
        _ => {}
    }
}

fn removal(word: &str, key: &str) -> Value {
    // RFC 6901.
    let key = key.replace('~', "~0").replace('/', "~1");
    json!({"op": "remove", "path": format!("/metadata/{word}s/{key}")})
}

/// The object with nothing declared: applied, it takes back everything that only we hold.
pub(super) fn nothing(body: &Value, uid: Option<&str>) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace"] {
        if let Some(value) = body["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    // Or it would be created, had it been deleted meanwhile.
    metadata.insert("uid".to_owned(), json!(uid));
    json!({"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata})
}

/// Whether the label of an object is the one of a configuration.
pub(super) fn has_label(metadata: &ObjectMeta, label: &str) -> bool {
    let labels = metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(LABEL_CONFIGURATION))
        .is_some_and(|value| value == label)
}
