//! The cluster's own key for a repository over SSH: made once for a configuration that brings none,
//! and kept in a Secret for as long as the configuration lives.

use std::collections::BTreeMap;

use gitmoor_crds::SourceControlConfiguration;
use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, PostParams, Preconditions},
    core::ObjectMeta,
};

use crate::{
    fetch::Key,
    names::{self, CONFIGURATION_UID},
    tenant::{Chain, Tenant},
};

/// Where the deploy key of one configuration is kept.
pub(super) struct DeployKey {
    api: Api<Secret>,
    name: String,
    /// The configuration, where it lies in the same namespace: the key goes with it.
    owner: Option<OwnerReference>,
    uid: String,
}

impl DeployKey {
    /// The deploy key of a configuration.
    pub(super) fn of(tenant: &Tenant, object: &SourceControlConfiguration) -> Self {
        let home = &tenant.assignment.home;
        let namespace = object.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(tenant.client.clone(), home),
            name: names::deploy_key(&namespace, &object.name_any()),
            owner: object.owner_ref(&()).filter(|_| *home == namespace),
            uid: object.uid().unwrap_or_default(),
        }
    }

    /// Gives the key, which is made when there is none.
    ///
    /// # Errors
    /// In words, when there is none to be had.
    pub(super) async fn read_or_make(&self) -> Result<Key, String> {
        let name = &self.name;
        let failed = |attempt: &str, error: &kube::Error| {
            format!("{attempt} the deploy key ({name}): {}", Chain(error))
        };
        let found = self.api.get_opt(name).await;
        if let Some(secret) = found.map_err(|error| failed("read", &error))? {
            if self.is_ours(&secret) {
                return read(secret).map_err(|what| {
                    format!(
                        "the deploy key ({name}): {what}; or delete the Secret, and a new one is made"
                    )
                });
            }
            let deleted = self.delete_this(&secret).await;
            deleted.map_err(|error| failed("delete", &error))?;
        }
        let key = Key::generate();
        let secret = self.secret(&key);
        let made = self.api.create(&PostParams::default(), &secret).await;
        // Another process may have made one at the same moment; it is found the next time.
        made.map_err(|error| failed("make", &error))?;
        tracing::info!(secret = name, "a deploy key was made");
        Ok(key)
    }

    /// Deletes the key, where it has no owner to go with.
    pub(super) async fn delete(&self) -> Result<(), kube::Error> {
        if self.owner.is_some() {
            return Ok(());
        }
        match self.api.get_opt(&self.name).await? {
            Some(secret) if self.is_ours(&secret) => self.delete_this(&secret).await,
            _ => Ok(()),
        }
    }

    fn is_ours(&self, secret: &Secret) -> bool {
        secret.annotations().get(CONFIGURATION_UID) == Some(&self.uid)
    }

    async fn delete_this(&self, secret: &Secret) -> Result<(), kube::Error> {
        let parameters = DeleteParams::default().preconditions(Preconditions {
            uid: secret.uid(),
            resource_version: None,
        });
        match self.api.delete(&self.name, &parameters).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(|_| ()),
        }
    }

    fn secret(&self, key: &Key) -> Secret {
        let bytes = |text: String| ByteString(text.into_bytes());
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                annotations: Some(BTreeMap::from([(
                    CONFIGURATION_UID.to_owned(),
                    self.uid.clone(),
                )])),
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([
                ("identity".to_owned(), bytes(key.private())),
                ("identity.pub".to_owned(), bytes(key.public())),
            ])),
            ..Secret::default()
        }
    }
}

fn read(secret: Secret) -> Result<Key, String> {
    let identity = secret.data.unwrap_or_default().remove("identity");
    let ByteString(bytes) = identity.ok_or("it has no identity")?;
    let text = String::from_utf8(bytes).map_err(|_| "identity is no UTF-8 text")?;
    Key::read(&text).map_err(|what| format!("identity: {what}"))
}
