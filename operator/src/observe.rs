//! Watches what was applied: one watch for each kind, filtered by the configuration's label on the
//! server; of metadata alone where that tells how an object fares. What is seen is handed over per
//! object, the newest only.

mod judged;

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use gitmoor_crds::LABEL_CONFIGURATION;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    core::{DynamicResourceScope, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use crate::{
    ObjectKey,
    fingerprint::{Seen, changed_by},
    health::{self, Health},
    kinds::{self, api_version},
    pace::{jitter, spread},
};
use judged::Judged;

/// How long a watch lasts before it is renewed. The API server ends those that name no time after
/// 30 to 60 minutes; longer ones would keep a stale authorization alive.
const WATCH: Duration = Duration::from_mins(50);

/// How long a watch that begins now lasts, in seconds.
pub(crate) fn watch_seconds() -> u32 {
    u32::try_from(jitter(WATCH).as_secs()).unwrap_or(u32::MAX)
}

/// How long to wait after a watch failed, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// How long to wait at most before a watch that was forbidden is tried again.
const FORBIDDEN: Duration = Duration::from_mins(10);

/// After so many refusals in a row a kind that was watched counts as one that may not be: an API
/// server that has just started knows no roles for a moment, and refuses everyone.
const REFUSALS: u32 = 4;

/// A kind by group and name.
pub type Kind = (Arc<str>, Arc<str>);

/// What a watch saw of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It is there.
    There {
        /// What was seen.
        seen: Seen,
        /// The list that it was part of, or came after.
        epoch: u32,
        /// How it fares, unless it fares well.
        unwell: Option<Health>,
        /// The field manager that changed it last, if that is not this configuration's; absent for
        /// what a list shows.
        changed_by: Option<String>,
    },
    /// It is gone, or has lost our label, since this resource version.
    Gone(u64),
}

/// What was seen since it was last taken.
#[derive(Default)]
pub struct Sightings {
    state: Mutex<State>,
    news: Notify,
    /// How many lists have begun.
    epoch: AtomicU32,
}

/// What was seen, as it is taken.
#[derive(Default)]
pub struct State {
    /// Objects, the newest sighting of each.
    pub objects: HashMap<ObjectKey, Sighting>,
    /// Kinds of which a list is complete, and the list's number.
    pub listed: Vec<(Kind, u32)>,
    /// Kinds that may not be watched, and why.
    pub unwatched: HashMap<Kind, String>,
    /// Kinds that the API server no longer has in the version in which they were watched.
    pub lost: Vec<Kind>,
}

impl Sightings {
    /// The number of the last list that has begun: what is applied from now on may be missing in it.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Waits until there is something to take.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes what was seen. Objects come before the lists that they are part of.
    pub fn take(&self) -> State {
        let mut state = self.lock();
        let unwatched = state.unwatched.clone();
        std::mem::replace(
            &mut state,
            State {
                unwatched,
                ..State::default()
            },
        )
    }

    fn add(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.news.notify_one();
    }

    fn add_unwatched(&self, kind: &Kind, why: &str) {
        if self
            .lock()
            .unwatched
            .get(kind)
            .is_none_or(|known| known != why)
        {
            self.add(|state| {
                state.unwatched.insert(kind.clone(), why.to_owned());
            });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watches of one configuration. Dropping it ends them.
pub struct Observer {
    client: Client,
    /// Absent for objects of every namespace.
    namespace: Option<String>,
    manager: Arc<str>,
    selector: String,
    sightings: Arc<Sightings>,
    /// In which version, and how to end it.
    watched: HashMap<Kind, (Arc<str>, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Observer {
    /// An observer that watches nothing yet.
    pub fn new(client: Client, namespace: Option<String>, manager: &str, label: &str) -> Self {
        Self {
            client,
            namespace,
            manager: manager.into(),
            selector: format!("{LABEL_CONFIGURATION}={label}"),
            sightings: Arc::default(),
            watched: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// What the watches see.
    pub fn sightings(&self) -> Arc<Sightings> {
        Arc::clone(&self.sightings)
    }

    /// Whether changes of a kind are seen.
    pub fn is_watched(&self, kind: &Kind) -> bool {
        self.watched.contains_key(kind) && !self.sightings.lock().unwatched.contains_key(kind)
    }

    /// Watches a kind anew, if the resource is of another version than the one that is watched.
    pub fn watch_anew(&mut self, kind: &Kind, resource: &kinds::Resource) {
        let is_other = |(version, _): &(Arc<str>, AbortHandle)| *version != resource.version;
        if self.watched.get(kind).is_some_and(is_other) {
            if let Some((_, task)) = self.watched.remove(kind) {
                task.abort();
            }
            self.watch(kind, resource);
        }
    }

    /// The kinds whose objects are watched for how they fare.
    pub fn judged(&self) -> impl Iterator<Item = &Kind> {
        let kinds = self.watched.keys();
        kinds.filter(|kind| !health::is_trivial(&kind.0, &kind.1))
    }

    /// Whether it is seen how objects of a kind fare.
    pub fn is_judged(&self, kind: &Kind) -> bool {
        !health::is_trivial(&kind.0, &kind.1) && self.is_watched(kind)
    }

    /// Watches a kind from now on, if it is not watched yet.
    pub fn watch(&mut self, kind: &Kind, resource: &kinds::Resource) {
        if self.watched.contains_key(kind) {
            return;
        }
        if !resource.watchable {
            let why = "the API server offers no watch of them";
            self.sightings.add_unwatched(kind, why);
            return;
        }
        let api_resource = ApiResource {
            api_version: api_version(&kind.0, &resource.version),
            plural: resource.plural.to_string(),
            ..ApiResource::from_gvk(&GroupVersionKind::gvk(&kind.0, &resource.version, &kind.1))
        };
        let namespace = self.namespace.clone().filter(|_| resource.namespaced);
        let namespace = namespace.as_deref();
        if health::is_trivial(&kind.0, &kind.1) {
            self.spawn::<PartialObjectMeta<DynamicObject>>(kind, namespace, &api_resource);
        } else {
            self.spawn::<Judged>(kind, namespace, &api_resource);
        }
    }
}

impl Observer {
    fn spawn<K: Shown>(&mut self, kind: &Kind, namespace: Option<&str>, resource: &ApiResource) {
        let client = self.client.clone();
        let watch = Watch::<K> {
            api: match namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, resource),
                None => Api::all_with(client, resource),
            },
            kind: kind.clone(),
            manager: Arc::clone(&self.manager),
            selector: self.selector.clone(),
            sightings: Arc::clone(&self.sightings),
        };
        let task = self.tasks.spawn(watch.run());
        let version = Arc::from(resource.version.as_str());
        self.watched.insert(kind.clone(), (version, task));
    }
}

/// What is kept of an object that a watch shows.
trait Shown:
    Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + 'static
{
    /// How it fares, unless it fares well.
    fn unwell(self) -> Option<Health>;
}

impl Shown for PartialObjectMeta<DynamicObject> {
    fn unwell(self) -> Option<Health> {
        health::of_metadata(&self.metadata)
    }
}

/// One watch.
struct Watch<K> {
    api: Api<K>,
    kind: Kind,
    manager: Arc<str>,
    selector: String,
    sightings: Arc<Sightings>,
}

impl<K: Shown> Watch<K> {
    async fn run(self) {
        let config = watcher::Config::default()
            .labels(&self.selector)
            .timeout(watch_seconds());
        // The first list as a stream of objects, never whole in memory on either side.
        self.follow(config.clone().streaming_lists(), true).await;
        self.follow(config, false).await;
    }

    /// Watches for ever, or until it is clear that the API server streams no lists.
    async fn follow(&self, config: watcher::Config, streaming: bool) {
        let mut stream = std::pin::pin!(watcher(self.api.clone(), config));
        let mut wait = RETRY.0;
        let mut refusals = REFUSALS;
        let mut epoch = 0;
        while let Some(event) = stream.next().await {
            let error = match event {
                Ok(event) => {
                    // A list that begins has not been answered yet.
                    if !matches!(event, Event::Init) {
                        wait = RETRY.0;
                        refusals = 0;
                    }
                    self.event(event, &mut epoch);
                    continue;
                }
                Err(error) => error,
            };
            let most = match refusal(&error) {
                // Before streaming lists: 422, or 400 where the parameter is not known.
                Some((400 | 422, _)) if streaming => return,
                Some((code @ 403..=405, message)) => {
                    refusals += 1;
                    if refusals > REFUSALS {
                        self.sightings.add_unwatched(&self.kind, &message);
                    }
                    if code == 404 {
                        let kind = self.kind.clone();
                        self.sightings.add(|state| state.lost.push(kind));
                    }
                    FORBIDDEN
                }
                _ => {
                    tracing::debug!(kind = %self.kind.1, %error, "watch interrupted");
                    RETRY.1
                }
            };
            // After the API server restarts, everyone's watches begin anew.
            sleep(spread(wait)).await;
            wait = (wait * 2).min(most);
        }
    }

    fn event(&self, event: Event<K>, epoch: &mut u32) {
        match event {
            Event::Init => *epoch = self.sightings.epoch.fetch_add(1, Ordering::Relaxed) + 1,
            Event::InitApply(object) => self.there(object, *epoch, None),
            Event::Apply(object) => {
                let changed_by = changed_by(object.meta(), &self.manager);
                self.there(object, *epoch, changed_by);
            }
            Event::InitDone => self.sightings.add(|state| {
                state.unwatched.remove(&self.kind);
                state.listed.push((self.kind.clone(), *epoch));
            }),
            Event::Delete(object) => {
                if let Some((key, seen)) = self.see(&object) {
                    self.sightings.add(|state| {
                        state.objects.insert(key, Sighting::Gone(seen.version));
                    });
                }
            }
        }
    }

    fn there(&self, object: K, epoch: u32, changed_by: Option<String>) {
        let Some((key, seen)) = self.see(&object) else {
            return;
        };
        let sighting = Sighting::There {
            seen,
            epoch,
            unwell: object.unwell(),
            changed_by,
        };
        self.sightings.add(|state| {
            state.objects.insert(key, sighting);
        });
    }

    fn see(&self, object: &K) -> Option<(ObjectKey, Seen)> {
        let metadata = object.meta();
        let key = ObjectKey {
            group: Arc::clone(&self.kind.0),
            kind: Arc::clone(&self.kind.1),
            namespace: metadata.namespace.as_deref().map(Arc::from),
            name: metadata.name.as_deref()?.into(),
        };
        Some((key, Seen::of(metadata, &self.manager)?))
    }
}

/// The status code and words of an API server that refused a watch.
fn refusal(error: &watcher::Error) -> Option<(u16, String)> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            return Some((status.code, status.message.clone()));
        }
        source = error.source();
    }
    None
}
