//! The end of a configuration: what it applied stays, unless it says otherwise.

use std::time::Duration;

use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use super::{Follow, deploy_key::DeployKey};
use crate::{ObjectKey, pace::jitter, plan::of_deletion, tenant::Chain};

/// Holds the deletion of a configuration until what it applied is deleted.
const FINALIZER: &str = "gitmoor.io/prune";

/// How long to wait before objects that linger are looked at again.
const LINGER: Duration = Duration::from_secs(3);

impl Follow {
    /// Whether the configuration waits for us to be deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
            && self.object.finalizers().iter().any(|one| one == FINALIZER)
    }

    /// Sees to it that the finalizer is there if and only if the configuration asks to be pruned.
    pub(super) async fn keep_finalizer(&mut self) {
        let has = self.object.finalizers().iter().any(|one| one == FINALIZER);
        let wants = self.object.spec.prune_on_delete;
        if has != wants && self.object.metadata.deletion_timestamp.is_none() {
            self.set_finalizer(wants).await;
        }
    }

    async fn set_finalizer(&mut self, wanted: bool) -> bool {
        let mut finalizers = self.object.finalizers().to_vec();
        finalizers.retain(|one| one != FINALIZER);
        if wanted {
            finalizers.push(FINALIZER.to_owned());
        }
        let api: Api<gitmoor_crds::SourceControlConfiguration> = Api::namespaced(
            self.tenant.client.clone(),
            &self.tenant.assignment.namespace,
        );
        let patch = json!({"metadata": {
            "finalizers": finalizers,
            // The list is replaced as a whole: not one that someone else has changed since.
            "resourceVersion": self.object.metadata.resource_version,
        }});
        let name = self.object.name_any();
        match api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            // The newer version is on its way, and this is tried again with it.
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the finalizer was not written");
                false
            }
        }
    }

    /// Deletes what the configuration applied, then lets it go. A suspended one deletes nothing.
    pub(super) async fn prune_all(&mut self) {
        while !self.object.spec.suspend {
            let mut keys: Vec<ObjectKey> =
                self.inventory.iter().map(|(key, _)| key.clone()).collect();
            keys.sort_by_cached_key(|key| (of_deletion(key), key.clone()));
            // Whatever was declared with a kind that is no longer there is gone with it.
            keys.retain(|key| self.kinds.preferred(&key.group, &key.kind).is_some());
            let deleted = self.delete(&keys, false).await;
            if deleted.failed + deleted.lingering == 0 {
                break;
            }
            self.facts.progress = Some(format!(
                "deleting what was applied: {} objects are still there",
                deleted.failed + deleted.lingering
            ));
            self.report().await;
            tokio::select! {
                () = self.cancel.cancelled() => return self.write_checkpoint().await,
                () = sleep(jitter(LINGER)) => {}
            }
        }
        loop {
            let api: Api<gitmoor_crds::SourceControlConfiguration> = Api::namespaced(
                self.tenant.client.clone(),
                &self.tenant.assignment.namespace,
            );
            match api.get_opt(&self.object.name_any()).await {
                Ok(Some(object)) => self.object = object.into(),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the configuration was not read")
                }
            }
            if self.set_finalizer(false).await {
                break;
            }
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = sleep(jitter(LINGER)) => {}
            }
        }
        self.clean_up().await;
    }

    /// Whether the configuration is gone and its inventory is not going with it. An agent ends an
    /// operator when its last configuration is gone, which the operator may not have heard of yet;
    /// an inventory in another namespace has no owner to go with.
    pub(super) async fn is_gone(&self) -> bool {
        let assignment = &self.tenant.assignment;
        if assignment.home == assignment.namespace {
            return false;
        }
        let api: Api<gitmoor_crds::SourceControlConfiguration> =
            Api::namespaced(self.tenant.client.clone(), &assignment.namespace);
        let found = api.get_metadata_opt(&self.object.name_any()).await;
        matches!(found, Ok(None))
    }

    /// The configuration is gone: what it applied stays, its inventory and deploy key do not.
    pub(super) async fn clean_up(&mut self) {
        self.source.remove().await;
        let deploy_key = DeployKey::of(&self.tenant, &self.object);
        for attempt in 0..5 {
            let inventory = self.store.delete().await;
            let key = deploy_key.delete().await;
            if let Err(error) = &inventory {
                tracing::warn!(error = %Chain(error), "the inventory was not deleted");
            }
            if let Err(error) = &key {
                tracing::warn!(error = %Chain(error), "the deploy key was not deleted");
            }
            if inventory.is_ok() && key.is_ok() {
                return;
            }
            sleep(Duration::from_secs(1 << attempt)).await;
        }
    }
}
