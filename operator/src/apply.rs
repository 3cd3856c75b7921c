//! Sends what a plan says: each object on its own, so that one failure holds back nothing else. It
//! returns the outcome of every object and decides nothing about the rest.

mod compare;
mod delete;
mod ownership;
mod refusal;
mod replace;
mod takeover;

use std::{sync::Arc, time::Duration};

use gitmoor_crds::{ANNOTATION_ORIGIN, LABEL_CONFIGURATION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::sleep};

pub(crate) use compare::Comparison;
pub(crate) use delete::{Deletion, lingers};

use crate::{
    ObjectKey, Problem, Reason,
    bodies::Bodies,
    fingerprint::{Seen, write_uid},
    names::Origin,
    pace::jitter,
    plan::Work,
    requests::{self, Error, Refusal, Target},
    siblings::Siblings,
};
use ownership::Owner;

/// How often an object is tried in one sync when the server asks to come again. More would hold up
/// the rest of the sync; the next one tries again.
const ATTEMPTS: u32 = 4;

/// How long the server may ask us to wait before an object is left for later.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long an answer may take until the request no longer counts as one that is under way: it
/// waits for a webhook, most likely, and objects that do not need that one shall not wait with it.
const SLOW: Duration = Duration::from_secs(1);

/// What became of an object.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is live as declared.
    Applied {
        /// How it is now.
        seen: Seen,
    },
    /// It is not.
    Failed {
        /// Why.
        problem: Problem,
        /// Who holds it, where that is the reason.
        held_by: Option<Holder>,
    },
}

/// Who holds an object that we may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Another configuration: it may let go.
    Configuration,
    /// Another engine.
    Engine,
}

/// Why an object is not as declared.
#[derive(Debug)]
enum Failure {
    Request(Error),
    /// What it should be cannot be read from the Git store.
    Unreadable(String),
    /// Others hold it.
    Owned(Vec<Owner>),
    /// It was to be replaced, and the new one was refused.
    NotReplaceable {
        immutable: Box<Refusal>,
        refused: Error,
    },
    /// It is deleted to be replaced, and lingers until these finalizers are done.
    Lingers(Vec<String>),
}

impl Failure {
    fn held_by(&self) -> Option<Holder> {
        let Self::Owned(owners) = self else {
            return None;
        };
        let configuration = |owner: &Owner| matches!(owner, Owner::Configuration(_));
        Some(if owners.iter().any(configuration) {
            Holder::Configuration
        } else {
            Holder::Engine
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

/// Acts on the objects of one configuration.
#[derive(Clone)]
pub(crate) struct Applier {
    /// With the rights of the operator.
    pub(crate) client: Client,
    /// The configuration, as namespace and name.
    pub(crate) name: String,
    /// The field manager of the configuration.
    pub(crate) manager: String,
    /// The value of the label of the configuration.
    pub(crate) label: String,
    /// Whether objects of other engines are taken over.
    pub(crate) adopt: bool,
    /// Which objects other configurations let go of.
    pub(crate) siblings: Arc<Siblings>,
    /// How many requests may be under way, shared by the whole process.
    pub(crate) bound: Arc<Semaphore>,
}

impl Applier {
    /// Applies one object.
    pub(crate) async fn apply(&self, work: &Work, bodies: &Bodies) -> Outcome {
        let failed = |problem| Outcome::Failed {
            problem,
            held_by: None,
        };
        let sent = match bodies.object(work.blob, work.index) {
            Ok(body) => self.send(work, body).await,
            Err(what) => Err(Failure::Unreadable(what)),
        };
        match sent {
            Ok(metadata) => match Seen::of(&metadata, &self.manager) {
                Some(seen) => Outcome::Applied { seen },
                None => {
                    let message = "the API server's answer names no uid or resource version";
                    failed(work.problem(Reason::Unavailable, message.to_owned()))
                }
            },
            Err(failure) => Outcome::Failed {
                problem: refusal::explain(work, &self.name, &failure),
                held_by: failure.held_by(),
            },
        }
    }

    async fn send(&self, work: &Work, mut body: Value) -> Result<ObjectMeta, Failure> {
        self.mark(work, &mut body);
        if work.create_only {
            return Ok(self.create(work, &body).await?);
        }
        let result = match work.ours {
            Some(uid) => self.again(work, &mut body, uid).await,
            None => self.first(work, &mut body).await,
        };
        match result {
            Err(Failure::Request(Error::Refused(refusal)))
                if work.replace && refusal::is_immutable(&refusal) =>
            {
                self.replace(work, &mut body, refusal).await
            }
            other => other,
        }
    }

    /// Creates an object, or leaves the one that is there.
    async fn create(&self, work: &Work, body: &Value) -> Result<ObjectMeta, Error> {
        let target = target(work);
        let create = || requests::create(&self.client, target, body, &self.manager, false);
        match self.patiently(create).await {
            Err(Error::Refused(refusal)) if refusal.code == 409 => {
                let metadata = self
                    .patiently(|| requests::look(&self.client, target))
                    .await?;
                metadata.ok_or(Error::Refused(refusal))
            }
            other => other,
        }
    }

    /// Applies an object that is ours already.
    async fn again(&self, work: &Work, body: &mut Value, uid: u128) -> Result<ObjectMeta, Failure> {
        if work.wary {
            let look = || requests::look(&self.client, target(work));
            let live = self.patiently(look).await?;
            let seen = live.as_ref().and_then(|live| Seen::of(live, &self.manager));
            if let (Some(live), Some(seen)) = (live, seen)
                && seen.opted_out
            {
                return Ok(live);
            }
        }
        // Ours is the object with this uid: one that somebody made anew meanwhile is not.
        set(body, &["metadata", "uid"], write_uid(uid));
        let result = self.request(work, body, true).await;
        unset(body, "uid");
        match result {
            Err(Error::Refused(refusal))
                if refusal.code == 409 && refusal::other_owners(&refusal).is_empty() =>
            {
                self.first(work, body).await
            }
            Ok(metadata) if ownership::is_held_twice(&metadata, &self.manager) => {
                self.first(work, body).await
            }
            other => Ok(other?),
        }
    }

    async fn request(&self, work: &Work, body: &Value, force: bool) -> Result<ObjectMeta, Error> {
        let target = target(work);
        self.patiently(|| requests::apply(&self.client, target, body, &self.manager, force))
            .await
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
        match &work.key.namespace {
            Some(namespace) => set(body, &["metadata", "namespace"], namespace.to_string()),
            None => unset(body, "namespace"),
        }
    }

    /// Sends a request, and again when the server asks for it.
    async fn patiently<T, F>(&self, request: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempt = 1;
        loop {
            let place = self
                .bound
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let result = {
                let mut answer = std::pin::pin!(request());
                tokio::select! {
                    result = &mut answer => {
                        drop(place);
                        result
                    }
                    () = sleep(SLOW) => {
                        drop(place);
                        answer.await
                    }
                }
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
            // Never before the time that was asked for, and not all at that very moment.
            sleep(wait + jitter(wait / 4)).await;
        }
    }
}

fn target(work: &Work) -> Target<'_> {
    Target {
        key: &work.key,
        version: &work.version,
        plural: &work.plural,
    }
}

/// The kinds that a CustomResourceDefinition brings, as `(group, kind, version)`.
pub(crate) fn definitions(key: &ObjectKey, body: &Value) -> Vec<(String, String, String)> {
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
