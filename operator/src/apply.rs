//! Sends what a plan says: each object on its own, so that one failure holds back nothing else. It
//! returns the outcome of every object and decides nothing about the rest.

mod refusal;

use std::{sync::Arc, time::Duration};

use gitmoor_crds::{ANNOTATION_ORIGIN, LABEL_CONFIGURATION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::sleep};

use crate::{
    ObjectKey, Problem, Reason,
    bodies::Bodies,
    fingerprint::{Seen, write_uid},
    kinds::Resource,
    names::{Origin, origin_names},
    pace::jitter,
    plan::Work,
    requests::{self, Error, Target},
};

/// How often an object is tried in one sync when the server asks to come again. More would hold up
/// the rest of the sync; the next one tries again.
const ATTEMPTS: u32 = 4;

/// How long the server may ask us to wait before an object is left for later.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of an object.
#[derive(Debug)]
pub enum Outcome {
    /// It is live as declared.
    Applied {
        /// How it is now.
        seen: Seen,
        /// The kinds that it defines, as `(group, kind, version)`, when it is a definition.
        defines: Vec<(String, String, String)>,
    },
    /// It is not, and why.
    Failed(Problem),
}

/// What became of an object that should go.
#[derive(Debug)]
pub enum Deletion {
    /// It is gone.
    Gone,
    /// It goes when its finalizers are done.
    Lingers,
    /// It is not ours to delete: someone took the label or made the object anew.
    NotOurs,
    /// It says that it must not be pruned.
    Kept,
    /// It is still there, and why.
    Failed(Problem),
}

/// Acts on the objects of one configuration.
pub struct Applier {
    /// With the rights of the operator.
    pub client: Client,
    /// The field manager of the configuration.
    pub manager: String,
    /// The value of the label of the configuration.
    pub label: String,
    /// How many requests may be under way, shared by the whole process.
    pub bound: Arc<Semaphore>,
}

impl Applier {
    /// Applies one object.
    pub async fn apply(&self, work: &Work, bodies: &Bodies) -> Outcome {
        let body = match bodies.object(work.blob, work.index) {
            Ok(body) => body,
            Err(what) => {
                return Outcome::Failed(work.problem(
                    Reason::Unreadable,
                    format!("read the file from the Git store: {what}"),
                ));
            }
        };
        let defines = definitions(&work.key, &body);
        match self.send(work, body).await {
            Ok(metadata) => match Seen::of(&metadata, &self.manager) {
                Some(seen) => Outcome::Applied { seen, defines },
                None => Outcome::Failed(work.problem(
                    Reason::Unavailable,
                    "the API server's answer names no uid or resource version".to_owned(),
                )),
            },
            Err(error) => Outcome::Failed(refusal::explain(work, &error)),
        }
    }

    async fn send(&self, work: &Work, mut body: Value) -> Result<ObjectMeta, Error> {
        self.mark(work, &mut body);
        let target = Target {
            key: &work.key,
            version: &work.version,
            plural: &work.plural,
        };
        if work.create_only {
            return match self
                .patiently(|| requests::create(&self.client, target, &body, &self.manager))
                .await
            {
                Err(Error::Refused(refusal)) if refusal.code == 409 => {
                    let metadata = self
                        .patiently(|| requests::look(&self.client, target))
                        .await?;
                    metadata.ok_or(Error::Refused(refusal))
                }
                other => other,
            };
        }
        let mut ours = work.ours;
        if let Some(uid) = ours {
            // Ours is the object with this uid: one that somebody made anew meanwhile is not.
            set(&mut body, &["metadata", "uid"], write_uid(uid));
        }
        loop {
            let force = ours.is_some();
            let result = self
                .patiently(|| requests::apply(&self.client, target, &body, &self.manager, force))
                .await;
            match result {
                Err(Error::Refused(refusal)) if refusal.code == 409 => {
                    if ours.take().is_some() && refusal::other_owners(&refusal).is_empty() {
                        unset(&mut body, "uid");
                        continue;
                    }
                    if !refusal::may_take_over(&refusal) {
                        return Err(Error::Refused(refusal));
                    }
                    return self
                        .patiently(|| {
                            requests::apply(&self.client, target, &body, &self.manager, true)
                        })
                        .await;
                }
                other => return other,
            }
        }
    }

    /// Says on the object whose it is.
    fn mark(&self, work: &Work, body: &mut Value) {
        let origin = Origin {
            object: &work.key,
            path: &work.path,
            digest: work.digest,
        };
        set(
            body,
            &["metadata", "labels", LABEL_CONFIGURATION],
            self.label.clone(),
        );
        set(
            body,
            &["metadata", "annotations", ANNOTATION_ORIGIN],
            origin.to_string(),
        );
        if let Some(namespace) = &work.key.namespace {
            set(body, &["metadata", "namespace"], namespace.to_string());
        }
    }

    /// Deletes one object, if it is still the one that we applied.
    pub async fn delete(
        &self,
        key: &ObjectKey,
        uid: Option<u128>,
        resource: &Resource,
    ) -> Deletion {
        let target = Target {
            key,
            version: &resource.version,
            plural: &resource.plural,
        };
        let failed = |error: &Error| Deletion::Failed(refusal::explain_deletion(key, error));
        let metadata = match self
            .patiently(|| requests::look(&self.client, target))
            .await
        {
            Ok(Some(metadata)) => metadata,
            Ok(None) => return Deletion::Gone,
            // Nothing of ours was ever known there: it is what the server refused to apply.
            Err(Error::Refused(refusal)) if uid.is_none() && refusal.code == 403 => {
                return Deletion::NotOurs;
            }
            Err(error) => return failed(&error),
        };
        let Some(seen) = Seen::of(&metadata, &self.manager) else {
            return Deletion::NotOurs;
        };
        if uid.is_some_and(|uid| uid != seen.uid) || !self.is_marked(key, &metadata) {
            return Deletion::NotOurs;
        }
        let annotations = metadata.annotations.unwrap_or_default();
        if annotations
            .get("gitmoor.io/prune")
            .is_some_and(|value| value == "never")
        {
            return Deletion::Kept;
        }
        if metadata.deletion_timestamp.is_some() {
            return Deletion::Lingers;
        }
        // The uid alone: a status that changed since is no reason not to delete.
        match self
            .patiently(|| requests::delete(&self.client, target, seen.uid, None))
            .await
        {
            Ok(true) => Deletion::Gone,
            Ok(false) => Deletion::Lingers,
            Err(error) => failed(&error),
        }
    }

    fn is_marked(&self, key: &ObjectKey, metadata: &ObjectMeta) -> bool {
        let label = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(LABEL_CONFIGURATION));
        let origin = metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ANNOTATION_ORIGIN));
        label == Some(&self.label) && origin.is_some_and(|origin| origin_names(origin, key))
    }

    /// Sends a request, and again when the server asks for it.
    async fn patiently<T, F>(&self, request: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempt = 1;
        loop {
            let result = {
                let _place = self
                    .bound
                    .acquire()
                    .await
                    .expect("the semaphore is never closed");
                request().await
            };
            let Err(Error::Refused(refusal)) = &result else {
                return result;
            };
            let wait = match (refusal.code, refusal.retry_after) {
                (429 | 503 | 504, Some(after)) => after,
                (429, None) => Duration::from_secs(1 << attempt),
                _ => return result,
            };
            if attempt == ATTEMPTS || wait > PATIENCE {
                return result;
            }
            attempt += 1;
            sleep(jitter(wait)).await;
        }
    }
}

/// The kinds that a CustomResourceDefinition brings.
fn definitions(key: &ObjectKey, body: &Value) -> Vec<(String, String, String)> {
    if &*key.kind != "CustomResourceDefinition" {
        return Vec::new();
    }
    let text = |pointer: &str| body.pointer(pointer)?.as_str().map(str::to_owned);
    let (Some(group), Some(kind)) = (text("/spec/group"), text("/spec/names/kind")) else {
        return Vec::new();
    };
    let versions = body.pointer("/spec/versions").and_then(Value::as_array);
    versions
        .into_iter()
        .flatten()
        .filter(|version| version["served"] == true)
        .filter_map(|version| {
            Some((
                group.clone(),
                kind.clone(),
                version["name"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

/// Sets a text below maps, which are made where they are missing or null. What is no map is left
/// for the API server to refuse.
fn set(value: &mut Value, path: &[&str], text: String) {
    let [head, rest @ ..] = path else {
        *value = Value::String(text);
        return;
    };
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(map) = value {
        set(map.entry(*head).or_insert(Value::Null), rest, text);
    }
}

fn unset(body: &mut Value, field: &str) {
    if let Some(Value::Object(metadata)) = body.get_mut("metadata") {
        metadata.remove(field);
    }
}
