//! What becomes live, as an outsider sees it who watches: how many objects of packages there are,
//! the values of ConfigMaps, and how many bytes that takes.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use gitmoor_crds::LABEL_CONFIGURATION;
use http::{Request, header::ACCEPT};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams},
    client::Body,
    core::PartialObjectMeta,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Duration, timeout},
};

use crate::{stage::Stage, tree::PACKAGE_KINDS};

/// How long to wait for something to become live.
const LIMIT: Duration = Duration::from_secs(900);

/// kube takes watches of up to 295 s, in seconds; no measurement of one takes longer.
const WATCH: u32 = 290;

/// Counts the objects of packages that carry a configuration's label.
pub(crate) struct Count {
    count: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Count {
    /// Counts from now on, everywhere.
    pub(crate) async fn start(stage: &Stage) -> Result<Self> {
        let (sender, count) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for (group, version, kind, plural) in PACKAGE_KINDS {
            let resource = ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(group, version, kind),
                plural,
            );
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::all_with(stage.client.clone(), &resource);
            let parameters = WatchParams::default()
                .labels(LABEL_CONFIGURATION)
                .timeout(WATCH);
            let mut events = Box::pin(api.watch_metadata(&parameters, "0").await?);
            let sender = sender.clone();
            tasks.spawn(async move {
                while let Some(event) = events.next().await {
                    if let Ok(WatchEvent::Added(_)) = event {
                        sender.send_modify(|count| *count += 1);
                    }
                }
            });
        }
        Ok(Self {
            count,
            _tasks: tasks,
        })
    }

    /// When so many are live.
    pub(crate) async fn reached(&mut self, wanted: usize) -> Result<Instant> {
        let reached = timeout(LIMIT, self.count.wait_for(|count| *count >= wanted)).await;
        let now = Instant::now();
        reached
            .ok()
            .and_then(Result::ok)
            .with_context(|| format!("{wanted} objects are not live after {LIMIT:?}"))?;
        Ok(now)
    }
}

/// Counts what comes on a watch like that of an operator: metadata alone, of what carries a label.
pub(crate) struct Read {
    bytes: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Read {
    /// Counts from now on.
    pub(crate) async fn start(stage: &Stage, namespace: &str) -> Result<Self> {
        let api: Api<ConfigMap> = Api::namespaced(stage.client.clone(), namespace);
        let now = api.list_metadata(&ListParams::default().limit(1)).await?;
        let version = now.metadata.resource_version.unwrap_or_default();
        let request = Request::get(format!(
            "/api/v1/namespaces/{namespace}/configmaps?watch=true&resourceVersion={version}&timeoutSeconds={WATCH}&labelSelector={LABEL_CONFIGURATION}"
        ))
        .header(
            ACCEPT,
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        )
        .body(Body::empty())?;
        let mut body = stage.client.send(request).await?.into_body();
        let bytes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&bytes);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, |data| data.len());
                count.fetch_add(length, Ordering::Relaxed);
            }
        });
        Ok(Self {
            bytes,
            _tasks: tasks,
        })
    }

    /// How many bytes have come.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A ConfigMap that has changed.
struct Change {
    name: String,
    value: String,
    at: Instant,
}

/// The values of the ConfigMaps of a namespace, as they change.
pub(crate) struct Values {
    changes: mpsc::UnboundedReceiver<Change>,
    /// Changes that came while another was waited for.
    seen: HashMap<(String, String), Instant>,
    _tasks: JoinSet<()>,
}

impl Values {
    /// Changes from now on.
    pub(crate) async fn start(stage: &Stage, namespace: &str) -> Result<Self> {
        let api: Api<ConfigMap> = Api::namespaced(stage.client.clone(), namespace);
        let now = api.list_metadata(&ListParams::default().limit(1)).await?;
        let mut version = now.metadata.resource_version.unwrap_or_default();
        let (sender, changes) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let parameters = WatchParams::default().timeout(WATCH);
                let events = match api.watch(&parameters, &version).await {
                    Ok(events) => events,
                    Err(error) => return eprintln!("the watch from outside ended: {error}"),
                };
                let mut events = Box::pin(events);
                while let Some(event) = events.next().await {
                    let at = Instant::now();
                    match event {
                        Ok(WatchEvent::Added(map) | WatchEvent::Modified(map)) => {
                            version = map.metadata.resource_version.unwrap_or_default();
                            let value = map.data.and_then(|mut data| data.remove("key"));
                            let change = Change {
                                name: map.metadata.name.unwrap_or_default(),
                                value: value.unwrap_or_default(),
                                at,
                            };
                            if sender.send(change).is_err() {
                                return;
                            }
                        }
                        Ok(WatchEvent::Bookmark(bookmark)) => {
                            version = bookmark.metadata.resource_version;
                        }
                        Ok(WatchEvent::Deleted(_)) => {}
                        Ok(WatchEvent::Error(error)) => {
                            return eprintln!("the watch from outside ended: {error:?}");
                        }
                        Err(_) => break,
                    }
                }
            }
        });
        Ok(Self {
            changes,
            seen: HashMap::new(),
            _tasks: tasks,
        })
    }

    /// When a ConfigMap was seen with a value, first since the last call of [`forget`](Self::forget).
    pub(crate) async fn has(&mut self, name: &str, value: &str) -> Result<Instant> {
        let wanted = (name.to_owned(), value.to_owned());
        loop {
            if let Some(at) = self.seen.get(&wanted) {
                return Ok(*at);
            }
            let change = timeout(LIMIT, self.changes.recv()).await.ok().flatten();
            let change = change.with_context(|| format!("{name} does not become {value}"))?;
            let key = (change.name, change.value);
            self.seen.entry(key).or_insert(change.at);
        }
    }

    /// What was seen so far counts no more.
    pub(crate) fn forget(&mut self) {
        while self.changes.try_recv().is_ok() {}
        self.seen.clear();
    }
}
