//! The inventory in the cluster: ConfigMaps in the namespace of the operator's ServiceAccount.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gitmoor_crds::SourceControlConfiguration;
use k8s_openapi::{
    ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
    core::ObjectMeta,
};

use super::Inventory;
use crate::{
    ObjectKey,
    names::{self, CONFIGURATION_UID},
};

/// On each ConfigMap: the configuration, like the label on the objects.
const LABEL: &str = "gitmoor.io/inventory";

/// The entry of the ConfigMap.
const KEY: &str = "objects.jsonl.gz";

/// How many chunks are written at once.
const CONCURRENCY: usize = 8;

/// Why the inventory is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused.
    #[error("{attempt} the inventory ({name})")]
    Request {
        /// `read`, `write` or `delete`.
        attempt: &'static str,
        /// The ConfigMap.
        name: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// Someone else has written it since it was read.
    #[error("write the inventory: another operator has written {name} in the meantime")]
    Taken {
        /// The ConfigMap.
        name: String,
    },
}

/// Where the inventory of one configuration is kept.
pub struct Store {
    api: Api<ConfigMap>,
    namespace: String,
    name: String,
    /// The configuration, where it lies in the same namespace: the inventory goes with it, even when
    /// its operator is gone before.
    owner: Option<OwnerReference>,
    uid: String,
    /// The resource version of each chunk, as last read or written.
    versions: BTreeMap<u32, String>,
}

impl Store {
    /// The inventory of a configuration, kept in the namespace `home`.
    pub fn new(client: Client, home: &str, configuration: &SourceControlConfiguration) -> Self {
        let namespace = configuration.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(client, home),
            owner: configuration.owner_ref(&()).filter(|_| home == namespace),
            name: configuration.name_any(),
            uid: configuration.uid().unwrap_or_default(),
            namespace,
            versions: BTreeMap::new(),
        }
    }

    fn label(&self) -> String {
        names::label(&self.namespace, &self.name)
    }

    /// The name carries the operator's namespace too: the inventories of every cluster-scoped
    /// operator lie in one namespace.
    fn chunk_name(&self, chunk: u32) -> String {
        format!("gitmoor-inventory.{}.{}.{chunk}", self.namespace, self.name)
    }

    /// Reads it, and says which chunks were not legible: what only they knew is applied anew, and
    /// never pruned.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn read(&mut self) -> Result<(Inventory, Vec<String>), Error> {
        let list = self
            .api
            .list(&ListParams::default().labels(&format!("{LABEL}={}", self.label())))
            .await
            .map_err(|source| Error::Request {
                attempt: "read",
                name: self.chunk_name(0),
                source: source.into(),
            })?;
        let mut inventory = Inventory::default();
        let mut damaged = Vec::new();
        self.versions.clear();
        let mut chunks: Vec<_> = list
            .items
            .into_iter()
            .filter_map(|map| {
                let name = map.metadata.name.clone()?;
                let chunk: u32 = name.rsplit('.').next()?.parse().ok()?;
                (name == self.chunk_name(chunk)).then_some((chunk, map))
            })
            .collect();
        // Higher chunks first: they are written first, and so are never the older ones.
        chunks.sort_by_key(|(chunk, _)| std::cmp::Reverse(*chunk));
        for (chunk, map) in chunks {
            let of_another = map
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(CONFIGURATION_UID))
                != Some(&self.uid);
            self.versions
                .insert(chunk, map.metadata.resource_version.unwrap_or_default());
            let data = map.binary_data.unwrap_or_default();
            let bytes = data.get(KEY).map_or(&[][..], |ByteString(bytes)| bytes);
            // Nothing that another configuration applied is ours to prune.
            let bytes = if of_another { &[][..] } else { bytes };
            if let Err(what) = inventory.decode(chunk, bytes)
                && !of_another
            {
                damaged.push(format!("{}: {what}", self.chunk_name(chunk)));
            }
        }
        Ok((inventory, damaged))
    }

    /// Reads anew in which state the cluster has each chunk, after a write whose outcome is not
    /// known. What is in memory stands: it is newer.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn reread_versions(&mut self) -> Result<(), Error> {
        self.read().await.map(|_| ())
    }

    /// Takes objects in and writes that before it returns.
    ///
    /// # Errors
    /// When a chunk cannot be written: nothing may be applied then.
    pub async fn announce(
        &mut self,
        inventory: &mut Inventory,
        objects: impl IntoIterator<Item = (ObjectKey, Arc<str>)>,
    ) -> Result<(), Error> {
        let chunks = inventory.announce(objects);
        self.write(inventory, chunks).await
    }

    /// Writes what the cluster has an older state of.
    ///
    /// # Errors
    /// When a chunk cannot be written; it stays to be written.
    pub async fn checkpoint(&mut self, inventory: &mut Inventory) -> Result<(), Error> {
        let chunks = inventory.stale();
        self.write(inventory, chunks).await
    }

    async fn write(&mut self, inventory: &mut Inventory, chunks: Vec<u32>) -> Result<(), Error> {
        // The new ones before those that lose what has moved to them.
        let (known, new): (Vec<_>, Vec<_>) = chunks
            .into_iter()
            .partition(|chunk| self.versions.contains_key(chunk));
        for group in [new, known] {
            let this = &*self;
            let state = &*inventory;
            let written: Vec<(u32, String)> = stream::iter(group)
                .map(|chunk| async move { Ok((chunk, this.write_chunk(state, chunk).await?)) })
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            for (chunk, version) in written {
                self.versions.insert(chunk, version);
                inventory.written(chunk);
            }
        }
        Ok(())
    }

    async fn write_chunk(&self, inventory: &Inventory, chunk: u32) -> Result<String, Error> {
        let name = self.chunk_name(chunk);
        let version = self.versions.get(&chunk).cloned();
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                resource_version: version.clone(),
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                annotations: Some(BTreeMap::from([(
                    CONFIGURATION_UID.to_owned(),
                    self.uid.clone(),
                )])),
                labels: Some(BTreeMap::from([
                    (LABEL.to_owned(), self.label()),
                    (
                        "app.kubernetes.io/managed-by".to_owned(),
                        "gitmoor".to_owned(),
                    ),
                ])),
                ..ObjectMeta::default()
            },
            binary_data: Some(BTreeMap::from([(
                KEY.to_owned(),
                ByteString(inventory.encode(chunk)),
            )])),
            ..ConfigMap::default()
        };
        let parameters = PostParams {
            field_manager: Some("gitmoor".to_owned()),
            ..PostParams::default()
        };
        let result = match version {
            Some(_) => self.api.replace(&name, &parameters, &map).await,
            None => self.api.create(&parameters, &map).await,
        };
        match result {
            Ok(map) => Ok(map.metadata.resource_version.unwrap_or_default()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(Error::Taken { name }),
            Err(source) => Err(Error::Request {
                attempt: "write",
                name,
                source: source.into(),
            }),
        }
    }

    /// Deletes it: the configuration is gone.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&mut self) -> Result<(), Error> {
        for (chunk, version) in self.versions.iter().rev() {
            let name = self.chunk_name(*chunk);
            let parameters = DeleteParams::default().preconditions(Preconditions {
                resource_version: Some(version.clone()),
                uid: None,
            });
            match self.api.delete(&name, &parameters).await {
                Ok(_) => {}
                // Gone, or that of a newer configuration of this name by now.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(source) => {
                    return Err(Error::Request {
                        attempt: "delete",
                        name,
                        source: source.into(),
                    });
                }
            }
        }
        self.versions.clear();
        Ok(())
    }
}
