//! Watches for new kinds, while a commit waits for one: definitions and aggregated groups, wherever
//! the operator may see those. Where it may not, the kinds are asked for from time to time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::pace::jitter;

/// How long a watch lasts before it is renewed, in seconds; the longest that kube allows.
const WATCH: u32 = 290;

/// How long to wait after a watch failed.
const RETRY: Duration = Duration::from_secs(5);

/// The watches, while they are needed.
#[derive(Default)]
pub(super) struct Coming {
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    news: Notify,
    /// How many watches are open.
    open: AtomicUsize,
}

/// What brings kinds. A version of a group is an APIService, whoever serves it; a further kind in
/// it is not.
const BRINGERS: [(&str, &str); 2] = [
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
];

impl Coming {
    /// Watches if and only if a kind is awaited.
    pub(super) fn await_kinds(&mut self, client: &Client, awaited: bool) {
        if !awaited {
            self.tasks.abort_all();
            self.tasks = JoinSet::new();
            self.shared = Arc::default();
            return;
        }
        if !self.tasks.is_empty() {
            return;
        }
        for (group, kind) in BRINGERS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            let api = Api::all_with(client.clone(), &resource);
            self.tasks.spawn(watch(api, Arc::clone(&self.shared)));
        }
    }

    /// Whether nothing can come unseen.
    pub(super) fn sees_all(&self) -> bool {
        self.shared.open.load(Ordering::Relaxed) == BRINGERS.len()
    }

    /// Waits until a kind may have come.
    pub(super) async fn news(&self) {
        self.shared.news.notified().await;
    }
}

async fn watch(api: Api<DynamicObject>, shared: Arc<Shared>) {
    loop {
        let started = Instant::now();
        match until_ended(&api, &shared).await {
            Err(kube::Error::Api(status)) if status.code == 403 => return,
            Err(error) => tracing::debug!(%error, "watch for new kinds interrupted"),
            Ok(()) => {}
        }
        if started.elapsed() < RETRY {
            sleep(jitter(RETRY)).await;
        }
    }
}

async fn until_ended(api: &Api<DynamicObject>, shared: &Shared) -> Result<(), kube::Error> {
    // From now on: what is there already, the discovery knows.
    let list = api.list_metadata(&ListParams::default().limit(1)).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let parameters = WatchParams::default().timeout(WATCH);
    let stream = api.watch_metadata(&parameters, &version).await?;
    let _open = Open::new(&shared.open);
    // Or something has come between the last discovery and this watch.
    shared.news.notify_one();
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        match event? {
            WatchEvent::Added(_) | WatchEvent::Modified(_) => shared.news.notify_one(),
            WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    Ok(())
}

/// Counts as an open watch for as long as it is there.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn new(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
