//! The configurations of the cluster, as the one watch on them tells. Both loops read here, so
//! that neither asks the API server for what it already said.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use futures::StreamExt as _;
use gitmoor_crds::SourceControlConfiguration;
use kube::{
    Api, Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::sync::watch;

/// Namespace and name of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    fn of(configuration: &impl kube::Resource) -> Self {
        let meta = configuration.meta();
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Every configuration, by key.
pub(crate) type All = BTreeMap<Key, Arc<SourceControlConfiguration>>;

/// What the watch has told so far.
pub(crate) struct Configurations {
    held: RwLock<All>,
    /// How many changes there were; 0 until the first list is complete.
    changes: watch::Sender<u64>,
}

impl Configurations {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            held: RwLock::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// Tells of every change; the value is 0 while the first list is not complete.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All of them at this moment.
    pub(crate) fn all(&self) -> All {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// One of them at this moment.
    pub(crate) fn one(&self, key: &Key) -> Option<Arc<SourceControlConfiguration>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(key).cloned()
    }

    /// Follows the cluster; ends only when it is dropped.
    pub(crate) async fn follow(&self, client: Client, config: watcher::Config) {
        let api: Api<DeserializeGuard<SourceControlConfiguration>> = Api::all(client);
        let mut events = watcher::watcher(api, config).default_backoff().boxed();
        let mut list = All::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => list.clear(),
                Ok(Event::InitApply(guard)) => {
                    if let Some((key, configuration)) = self.read(guard) {
                        list.insert(key, configuration);
                    }
                }
                Ok(Event::InitDone) => self.change(|held| *held = std::mem::take(&mut list)),
                Ok(Event::Apply(guard)) => {
                    if let Some((key, configuration)) = self.read(guard) {
                        self.change(|held| {
                            held.insert(key, configuration);
                        });
                    }
                }
                Ok(Event::Delete(guard)) => {
                    let key = Key::of(&guard);
                    self.change(|held| {
                        held.remove(&key);
                    });
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "watch the configurations; is the CustomResourceDefinition installed? \
                     Trying again"
                ),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut All)) {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }

    /// A configuration that cannot be read counts as what it last was: it must not cost the
    /// others, nor its own operator.
    fn read(
        &self,
        guard: DeserializeGuard<SourceControlConfiguration>,
    ) -> Option<(Key, Arc<SourceControlConfiguration>)> {
        let key = Key::of(&guard);
        match guard.0 {
            Ok(mut configuration) => {
                // Most of the object's bytes, and nobody here reads them.
                configuration.managed_fields_mut().clear();
                configuration
                    .annotations_mut()
                    .remove("kubectl.kubernetes.io/last-applied-configuration");
                Some((key, Arc::new(configuration)))
            }
            Err(error) => {
                tracing::warn!(configuration = %key, %error, "read a configuration");
                let held = self.one(&key)?;
                Some((key, held))
            }
        }
    }
}
