//! Deleting an object, if it is still the one that we applied and nobody else holds it.

use gitmoor_crds::ANNOTATION_ORIGIN;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Applier, ownership, refusal};
use crate::{
    ObjectKey, Problem, Reason,
    fingerprint::Seen,
    kinds::Resource,
    names::origin_names,
    requests::{self, Error, Target},
};

/// What became of an object that should go.
#[derive(Debug)]
pub(crate) enum Deletion {
    /// It is gone.
    Gone,
    /// It goes when these finalizers are done.
    Lingers(Vec<String>),
    /// It is not ours to delete: someone took the label or made the object anew.
    NotOurs,
    /// It says that it must not be pruned, or another object owns it.
    Kept,
    /// It is still there, and why.
    Failed(Problem),
}

impl Applier {
    /// Deletes one object, if it is still the one that we applied.
    pub(crate) async fn delete(
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
        let (seen, metadata) = match self.look_before(key, uid, target).await {
            Ok(found) => found,
            Err(end) => return end,
        };
        if is_kept(&metadata, &seen) {
            return Deletion::Kept;
        }
        if metadata.deletion_timestamp.is_some() {
            return Deletion::Lingers(metadata.finalizers.unwrap_or_default());
        }
        match self
            .patiently(|| requests::delete(&self.client, target, seen.uid))
            .await
        {
            Ok(None) => Deletion::Gone,
            Ok(Some(metadata)) => Deletion::Lingers(metadata.finalizers.unwrap_or_default()),
            Err(error) => Deletion::Failed(refusal::explain_deletion(key, &error)),
        }
    }

    /// Whether there is an object that a deletion would delete.
    pub(crate) async fn would_delete(
        &self,
        key: &ObjectKey,
        uid: Option<u128>,
        resource: &Resource,
    ) -> Result<bool, Problem> {
        let target = Target {
            key,
            version: &resource.version,
            plural: &resource.plural,
        };
        match self.look_before(key, uid, target).await {
            Ok((seen, metadata)) => Ok(!is_kept(&metadata, &seen)),
            Err(Deletion::Failed(problem)) => Err(problem),
            Err(_) => Ok(false),
        }
    }

    /// The live object, if it is ours.
    async fn look_before(
        &self,
        key: &ObjectKey,
        uid: Option<u128>,
        target: Target<'_>,
    ) -> Result<(Seen, ObjectMeta), Deletion> {
        let look = || requests::look(&self.client, target);
        let metadata = match self.patiently(look).await {
            Ok(Some(metadata)) => metadata,
            Ok(None) => return Err(Deletion::Gone),
            // Nothing of ours was ever known there: it is what the server refused to apply.
            Err(Error::Refused(refusal)) if uid.is_none() && refusal.code == 403 => {
                return Err(Deletion::NotOurs);
            }
            Err(error) => return Err(Deletion::Failed(refusal::explain_deletion(key, &error))),
        };
        match Seen::of(&metadata, &self.manager) {
            // Another uid than we know of is ours if we have made it: the checkpoint may be older.
            Some(seen)
                if (uid.is_none_or(|uid| uid == seen.uid) || seen.fingerprint.is_some())
                    && self.is_marked(key, &metadata)
                    && !ownership::is_taken_over(&metadata, &self.manager) =>
            {
                Ok((seen, metadata))
            }
            _ => Err(Deletion::NotOurs),
        }
    }

    fn is_marked(&self, key: &ObjectKey, metadata: &ObjectMeta) -> bool {
        let origin = metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ANNOTATION_ORIGIN));
        ownership::has_label(metadata, &self.label)
            && origin.is_some_and(|origin| origin_names(origin, key))
    }
}

/// Whether the live object says that it must not be pruned, or goes when its owner does.
fn is_kept(metadata: &ObjectMeta, seen: &Seen) -> bool {
    let says = |name: &str, wanted: &str| {
        let annotations = metadata.annotations.as_ref();
        let value = annotations.and_then(|annotations| annotations.get(name));
        value.is_some_and(|value| value == wanted)
    };
    let owned = metadata
        .owner_references
        .as_ref()
        .is_some_and(|owners| !owners.is_empty());
    owned
        || seen.opted_out
        || says("gitmoor.io/prune", "never")
        || says("fluxcd.io/ignore", "sync_only")
}

/// The problem of an object that should be gone and lingers.
pub(crate) fn lingers(key: &ObjectKey, finalizers: &[String]) -> Problem {
    Problem {
        path: String::new(),
        line: None,
        object: Some(key.clone()),
        reason: Reason::Lingers,
        message: format!(
            "no longer declared, and deleted, but still there: {}",
            refusal::waits_for(finalizers)
        ),
    }
}
