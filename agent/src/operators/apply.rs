//! The writes of a keeper.

use gitmoor_operator::fingerprint::Seen;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::{DynamicObject, PartialObjectMeta},
};

use crate::{
    names::FIELD_MANAGER,
    objects::{Kind, ObjectKey},
};

/// What was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("apply {key}")]
    Apply {
        key: ObjectKey,
        source: Box<kube::Error>,
    },
    #[error("delete {key}")]
    Delete {
        key: ObjectKey,
        source: Box<kube::Error>,
    },
    #[error("apply {key}: the answer has no metadata")]
    Answer { key: ObjectKey },
}

impl Error {
    /// Whether the namespace is being deleted, so that nothing can be made in it any more.
    pub(super) fn is_namespace_terminating(&self) -> bool {
        let Self::Apply { source, .. } = self else {
            return false;
        };
        let kube::Error::Api(status) = &**source else {
            return false;
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .into_iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    }
}

/// Applies an object by force: its fields are the agent's, whoever wrote them last.
pub(super) async fn apply(
    client: &Client,
    key: &ObjectKey,
    object: &DynamicObject,
) -> Result<Seen, Error> {
    let answer = match patch(client, key, object).await {
        // A binding's role cannot be changed: someone has put another one in its place.
        Err(kube::Error::Api(status))
            if status.code == 422
                && matches!(key.kind, Kind::RoleBinding | Kind::ClusterRoleBinding) =>
        {
            delete_any(client, key, DeleteParams::default()).await?;
            patch(client, key, object).await
        }
        answer => answer,
    };
    let answer = answer.map_err(|source| Error::Apply {
        key: key.clone(),
        source: Box::new(source),
    })?;
    Seen::of(&answer.metadata, FIELD_MANAGER).ok_or_else(|| Error::Answer { key: key.clone() })
}

async fn patch(
    client: &Client,
    key: &ObjectKey,
    object: &DynamicObject,
) -> Result<PartialObjectMeta<DynamicObject>, kube::Error> {
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api(client, key)
        .patch_metadata(&key.name, &parameters, &Patch::Apply(object))
        .await
}

/// Deletes the object that was seen, and no other that has its name since.
pub(super) async fn delete(client: &Client, key: &ObjectKey, uid: &str) -> Result<(), Error> {
    let parameters = DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    });
    delete_any(client, key, parameters).await
}

async fn delete_any(
    client: &Client,
    key: &ObjectKey,
    parameters: DeleteParams,
) -> Result<(), Error> {
    match api(client, key).delete(&key.name, &parameters).await {
        // Gone, or another one by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(Error::Delete {
            key: key.clone(),
            source: Box::new(source),
        }),
        Ok(_) => Ok(()),
    }
}

fn api(client: &Client, key: &ObjectKey) -> Api<DynamicObject> {
    let resource = key.kind.resource();
    match &key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}
