//! Brings the resources of the cluster to what ARM says: one configuration at a time, and only
//! where something differs from what the watch has told.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt as _, stream};
use gitmoor_arm::ClusterId;
use gitmoor_crds::{ANNOTATION_ARM_ID, Scope, SourceControlConfiguration};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::desired::{Desired, secret_name};
use crate::{
    admission::Admission,
    configurations::{Configurations, Key},
    digest::digest,
    names::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_VALUE, SOURCE, SOURCE_ARM},
    origin::arm_id,
    pair::Pair,
};

/// How many configurations are written at once.
const WRITERS: usize = 16;

/// Why a configuration is not in the cluster as ARM says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It never will be, unless someone changes something.
    Fault(String),
    /// It is tried again at the next poll.
    Failure(String),
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Fault(message) | Self::Failure(message)) = self;
        f.write_str(message)
    }
}

/// What came of a configuration.
pub(super) struct Settled {
    pub(super) key: Key,
    /// The generation of the resource that says what ARM says.
    pub(super) generation: Option<i64>,
    pub(super) obstacle: Option<Obstacle>,
    /// Of what was desired, so that what the API server made of it is not asked for again.
    digest: u64,
    /// Of the credentials that were written, and of who owns them.
    credentials: Option<u64>,
}

/// Writes the resources that come from ARM.
pub(super) struct Settler {
    pub(super) client: Client,
    pub(super) cluster: ClusterId,
    /// Whether ARM's lists tell of credentials at all: Azure's own do not.
    pub(super) has_secrets: bool,
    pub(super) own_namespace: String,
    pub(super) admission: Admission,
    pub(super) configurations: Arc<Configurations>,
    pub(super) settled: HashMap<Key, Settled>,
}

impl Settler {
    /// Creates and changes what differs.
    pub(super) async fn settle(&mut self, desired: Vec<Desired>) {
        let this = &*self;
        let settled: Vec<Settled> = stream::iter(desired)
            .map(|one| this.settle_one(one))
            .buffer_unordered(WRITERS)
            .collect()
            .await;
        self.settled = settled
            .into_iter()
            .map(|one| (one.key.clone(), one))
            .collect();
    }

    async fn settle_one(&self, mut desired: Desired) -> Settled {
        let before = self.settled.get(&desired.key);
        let live = self.configurations.one(&desired.key);
        // Azure's own tells of known hosts and no more: a Secret that someone else names has all.
        if !self.has_secrets
            && let Some(live) = &live
            && live.spec.credentials.is_some()
            && !has_our_credentials(live, &desired.key)
        {
            desired.credentials = None;
            desired.spec.credentials = None;
        }
        let mut settled = Settled {
            key: desired.key.clone(),
            generation: live.as_ref().and_then(|live| live.metadata.generation),
            obstacle: None,
            digest: digest(&(&desired.spec, desired.annotations(), &desired.credentials)),
            credentials: before.and_then(|before| before.credentials),
        };
        if let Err(fault) = self.check(&desired, live.as_deref()) {
            settled.obstacle = Some(Obstacle::Fault(fault));
            return settled;
        }
        let stands = live.as_ref().is_some_and(|live| self.says(live, &desired));
        // The API server may refuse a resource, or keep a field that someone else has set. Asked
        // again, it would say the same.
        let answered = before.filter(|before| {
            before.digest == settled.digest
                && before.generation == settled.generation
                && !matches!(before.obstacle, Some(Obstacle::Failure(_)))
        });
        let outcome = match answered {
            Some(before) if !stands => {
                settled.obstacle = before.obstacle.clone();
                return settled;
            }
            _ => {
                self.write(&desired, live.as_deref(), stands, &mut settled)
                    .await
            }
        };
        if let Err(error) = outcome {
            settled.obstacle = Some(obstacle(&error));
        }
        settled
    }

    fn check(
        &self,
        desired: &Desired,
        live: Option<&SourceControlConfiguration>,
    ) -> Result<(), String> {
        self.admission
            .check(&desired.pair(), true)
            .map_err(|refusal| refusal.to_string())?;
        let Some(live) = live else { return Ok(()) };
        if arm_id(live, &self.cluster).as_ref() != Some(&desired.id) {
            return Err(format!(
                "the cluster has a configuration {} that did not come from here: delete that one, \
                 or give this one another name or operatorNamespace",
                desired.key
            ));
        }
        if live.spec.scope != desired.spec.scope {
            return Err(format!(
                "operatorScope was {} and cannot be changed: delete the configuration and create \
                 it anew",
                live.spec.scope
            ));
        }
        Ok(())
    }

    /// Whether a resource says what is desired. Credentials that ARM has not told of are the
    /// business of whoever put them there: Azure's ARM never tells of any.
    fn says(&self, live: &SourceControlConfiguration, desired: &Desired) -> bool {
        let mut spec = live.spec.clone();
        let withdrawn = self.has_secrets && has_our_credentials(live, &desired.key);
        if desired.credentials.is_none() && !withdrawn {
            spec.credentials = None;
        }
        let says = |(name, value): (&str, &str)| {
            let live = live.annotations().get(name);
            live.is_some_and(|live| live == value)
        };
        spec == desired.spec && desired.annotations().into_iter().all(says)
    }

    async fn write(
        &self,
        desired: &Desired,
        live: Option<&SourceControlConfiguration>,
        stands: bool,
        settled: &mut Settled,
    ) -> Result<(), kube::Error> {
        // Before the resource that names them, so that no operator looks for them in vain.
        self.write_credentials(desired, live, settled).await?;
        if stands {
            return Ok(());
        }
        let written = match self.apply(desired, live).await {
            Err(error) if is_missing_namespace(&error) => {
                self.create_namespace(&desired.key.namespace).await?;
                self.apply(desired, live).await?
            }
            other => other?,
        };
        settled.generation = written.metadata.generation;
        // Their owner is known only now.
        self.write_credentials(desired, Some(&written), settled)
            .await
    }

    async fn apply(
        &self,
        desired: &Desired,
        live: Option<&SourceControlConfiguration>,
    ) -> Result<SourceControlConfiguration, kube::Error> {
        let api: Api<SourceControlConfiguration> =
            Api::namespaced(self.client.clone(), &desired.key.namespace);
        let mut annotations = desired.annotations();
        annotations.insert(ANNOTATION_ARM_ID, desired.id.as_str());
        let patch = json!({
            "apiVersion": SourceControlConfiguration::api_version(&()),
            "kind": SourceControlConfiguration::kind(&()),
            "metadata": {
                "name": desired.key.name,
                // Only the one that was looked at.
                "uid": live.and_then(|live| live.uid()),
                "labels": {SOURCE: SOURCE_ARM},
                "annotations": annotations,
            },
            "spec": desired.spec,
        });
        let mut parameters = PatchParams::apply(FIELD_MANAGER);
        // One that someone has just made is refused by its conflicting fields.
        parameters.force = live.is_some();
        tracing::info!(configuration = %desired.key, "ARM's configuration is applied");
        api.patch(&desired.key.name, &parameters, &Patch::Apply(patch))
            .await
    }

    async fn write_credentials(
        &self,
        desired: &Desired,
        live: Option<&SourceControlConfiguration>,
        settled: &mut Settled,
    ) -> Result<(), kube::Error> {
        let withdrawn = live.is_some_and(|live| has_our_credentials(live, &desired.key));
        if desired.credentials.is_none() && !(withdrawn && self.has_secrets) {
            settled.credentials = None;
            return Ok(());
        }
        let pair = desired.pair();
        let home = pair.home(&self.own_namespace);
        // An owner must be in the same namespace; the Secret then goes with it.
        let owner = live
            .filter(|_| desired.spec.scope == Scope::Namespace)
            .and_then(|live| live.owner_ref(&()));
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret_name(&desired.key),
                "labels": {MANAGED_BY: MANAGED_BY_VALUE},
                "ownerReferences": Vec::from_iter(owner),
            },
            "type": "Opaque",
            // None: what was there is taken out.
            "data": desired.credentials.clone().unwrap_or_default(),
        });
        let digest = digest(&secret);
        if settled.credentials == Some(digest) {
            return Ok(());
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), home);
        let name = secret_name(&desired.key);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(Sensitive(secret));
        // What the answer holds beside metadata is nobody's business.
        match api.patch_metadata(&name, &parameters, &patch).await {
            Err(error) if is_missing_namespace(&error) => {
                self.create_namespace(home).await?;
                api.patch_metadata(&name, &parameters, &patch).await?;
            }
            other => {
                other?;
            }
        }
        settled.credentials = Some(digest);
        Ok(())
    }

    async fn create_namespace(&self, name: &str) -> Result<(), kube::Error> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))
            .expect("a name is all that a namespace needs");
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api.create(&parameters, &namespace).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                tracing::info!(namespace = name, "created for a configuration of ARM");
                Ok(())
            }
        }
    }

    /// Deletes a resource that ARM no longer has.
    pub(super) async fn delete(&self, live: &SourceControlConfiguration) {
        let pair = Pair::of(live);
        let key = Key {
            namespace: pair.namespace.clone(),
            name: live.name_any(),
        };
        match self.try_delete(live, &pair, &key).await {
            Ok(()) => tracing::info!(configuration = %key, "deleted, as in ARM"),
            Err(error) => tracing::warn!(
                configuration = %key,
                error = &error as &dyn std::error::Error,
                "delete a configuration that ARM no longer has; trying again"
            ),
        }
    }

    async fn try_delete(
        &self,
        live: &SourceControlConfiguration,
        pair: &Pair,
        key: &Key,
    ) -> Result<(), kube::Error> {
        // In another namespace than the resource, so nothing else takes them away. First, because
        // the resource is what we would find again.
        if pair.scope == Scope::Cluster && has_our_credentials(live, key) {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.own_namespace);
            let name = secret_name(key);
            found(api.delete(&name, &DeleteParams::default()).await)?;
        }
        let api: Api<SourceControlConfiguration> =
            Api::namespaced(self.client.clone(), &key.namespace);
        let parameters = DeleteParams::default().preconditions(Preconditions {
            uid: live.uid(),
            resource_version: None,
        });
        found(api.delete(&key.name, &parameters).await)
    }
}

/// Whatever is not there needs no deletion.
fn found<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn has_our_credentials(live: &SourceControlConfiguration, key: &Key) -> bool {
    let credentials = live.spec.credentials.as_ref();
    credentials.is_some_and(|credentials| credentials.secret_name == secret_name(key))
}

/// The API server's words for what was asked; whether they would be others tomorrow.
fn obstacle(error: &kube::Error) -> Obstacle {
    match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 409 | 422) => {
            Obstacle::Fault(format!("the cluster refuses it: {}", status.message))
        }
        kube::Error::Api(status) => {
            Obstacle::Failure(format!("the cluster does not take it: {}", status.message))
        }
        // What else there is speaks of connections.
        _ => Obstacle::Failure("the cluster's API server does not answer".to_owned()),
    }
}

fn is_missing_namespace(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    status.code == 404 && status.message.starts_with("namespaces ")
}

/// A Secret on its way: kube asks patches for `Debug`.
struct Sensitive(Value);

impl serde::Serialize for Sensitive {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl std::fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
