//! What the configurations of one operator know of each other, so that an object that moves from
//! one to another changes hands and is never deleted: neither prunes what another declares, and
//! each lets go of what it declares no more.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gitmoor_crds::{Reference, Scope, SourceControlConfiguration, conditions};
use kube::ResourceExt as _;
use tokio::sync::{Notify, watch};

use crate::{
    ObjectKey, names,
    read::{Manifests, Sync},
    snapshot::CommitId,
};

/// The configurations of a namespace, as far as their operator has heard of them.
pub(crate) struct Siblings {
    namespace: String,
    scope: Scope,
    state: Mutex<State>,
    /// Counts what was learned of any of them.
    learned: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Whether there are no more than these.
    complete: bool,
    all: HashMap<String, Sibling>,
}

struct Sibling {
    manager: String,
    /// Absent for one of another scope: another operator serves it, and what it has read is not
    /// known here.
    source: Option<(String, Reference)>,
    suspended: bool,
    depends_on: Vec<String>,
    /// Whether it was ready when it was last seen, and at which commit.
    ready: Option<String>,
    read: Option<Read>,
    poll: Arc<Notify>,
}

/// What a configuration has read.
#[derive(Clone)]
pub(crate) struct Read {
    pub(crate) commit: CommitId,
    pub(crate) manifests: Arc<Manifests>,
    /// Whether it may declare more than it could read.
    pub(crate) hidden: bool,
}

impl Siblings {
    pub(crate) fn new(namespace: &str, scope: Scope) -> Self {
        Self {
            namespace: namespace.to_owned(),
            scope,
            state: Mutex::default(),
            learned: watch::Sender::default(),
        }
    }

    /// Takes in a configuration as it is now, whatever its scope.
    pub(crate) fn seen(&self, object: &SourceControlConfiguration) {
        let (name, spec) = (object.name_any(), &object.spec);
        let mut state = self.lock();
        let sibling = state.all.entry(name.clone()).or_insert_with(|| Sibling {
            manager: names::field_manager(&self.namespace, &name),
            source: None,
            suspended: false,
            depends_on: Vec::new(),
            ready: None,
            read: None,
            poll: Arc::default(),
        });
        sibling.suspended = spec.suspend;
        sibling.depends_on.clone_from(&spec.depends_on);
        let ready = ready_at(object);
        let is_news = sibling.ready != ready;
        sibling.ready = ready;
        sibling.source =
            (spec.scope == self.scope).then(|| (spec.repository.clone(), spec.reference.clone()));
        drop(state);
        if is_news {
            self.learn();
        }
    }

    /// Takes in that there are these and no others.
    pub(crate) fn complete(&self, names: &[String]) {
        let mut state = self.lock();
        state.all.retain(|name, _| names.contains(name));
        state.complete = true;
        drop(state);
        self.learn();
    }

    /// Takes in that a configuration is gone.
    pub(crate) fn gone(&self, name: &str) {
        self.lock().all.remove(name);
        self.learn();
    }

    /// Takes in what a configuration declares in a commit that it has read; nothing when what it
    /// has read counts no more.
    pub(crate) fn has_read(&self, name: &str, read: Option<Read>) {
        let known = read.is_some();
        if let Some(sibling) = self.lock().all.get_mut(name) {
            sibling.read = read;
        }
        if known {
            self.learn();
        }
    }

    /// Changes whenever something was learned.
    pub(crate) fn learned(&self) -> watch::Receiver<u64> {
        self.learned.subscribe()
    }

    /// Tells when a configuration should ask its repository, since another has found a new commit
    /// there.
    pub(crate) fn poll(&self, name: &str) -> Arc<Notify> {
        let state = self.lock();
        let sibling = state.all.get(name);
        sibling.map(|one| Arc::clone(&one.poll)).unwrap_or_default()
    }

    /// What the others declare.
    pub(crate) fn declared_by_others(&self, name: &str) -> Vec<Arc<Manifests>> {
        let state = self.lock();
        let others = state.all.iter().filter(|(other, _)| *other != name);
        others
            .filter_map(|(_, other)| Some(Arc::clone(&other.read.as_ref()?.manifests)))
            .collect()
    }

    /// Which others follow the same branch of the same repository and have not read this commit, or
    /// not all of it, so that what they declare is not known. They are made to ask for it.
    pub(crate) fn behind(
        &self,
        name: &str,
        object: &SourceControlConfiguration,
        commit: CommitId,
    ) -> Vec<String> {
        let source = (object.spec.repository.as_str(), &object.spec.reference);
        let mut behind = Vec::new();
        for (other, sibling) in &self.lock().all {
            let same = sibling
                .source
                .as_ref()
                .is_some_and(|(repository, reference)| (repository.as_str(), reference) == source);
            if other == name || !same || sibling.suspended {
                continue;
            }
            match &sibling.read {
                Some(read) if read.commit == commit && !read.hidden => continue,
                Some(read) if read.commit == commit => {}
                _ => sibling.poll.notify_one(),
            }
            behind.push(other.clone());
        }
        behind.sort();
        behind
    }

    /// What a configuration must wait for before it applies a commit.
    pub(crate) fn awaited(
        &self,
        name: &str,
        object: &SourceControlConfiguration,
        commit: CommitId,
    ) -> Option<Awaited> {
        let state = self.lock();
        if let Some(circle) = state.circle(name) {
            return Some(Awaited::Circle(circle));
        }
        let source = (object.spec.repository.as_str(), &object.spec.reference);
        object.spec.depends_on.iter().find_map(|other| {
            let Some(sibling) = state.all.get(other) else {
                return Some(match state.complete {
                    true => Awaited::Missing(other.clone()),
                    false => Awaited::NotReady(other.clone()),
                });
            };
            let same = sibling
                .source
                .as_ref()
                .is_some_and(|(repository, reference)| (repository.as_str(), reference) == source);
            let is_there = sibling
                .ready
                .as_ref()
                .is_some_and(|ready| !same || *ready == commit.to_string());
            if is_there {
                return None;
            }
            if same {
                sibling.poll.notify_one();
            }
            Some(Awaited::NotReady(other.clone()))
        })
    }

    /// Whether the configuration with this field manager leaves an object to us: it is one of this
    /// namespace that has read its repository and does not declare it, or it is there no more.
    pub(crate) fn lets_go(&self, manager: &str, key: &ObjectKey) -> bool {
        let state = self.lock();
        if let Some(other) = state.all.values().find(|other| other.manager == manager) {
            return match &other.read {
                Some(read) if !read.hidden => {
                    let keys = HashSet::from([key]);
                    declared_among(&read.manifests, &self.namespace, &keys).is_empty()
                }
                _ => false,
            };
        }
        let mut parts = manager.splitn(3, ':');
        state.complete
            && parts.next() == Some("gitmoor")
            && parts.next() == Some(&*self.namespace)
            && parts.next().is_some()
    }

    fn learn(&self) {
        self.learned.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a commit is not applied yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// This configuration is not ready, or not at the commit.
    NotReady(String),
    /// There is no such configuration.
    Missing(String),
    /// Each of these waits for the next, and the last for the first.
    Circle(Vec<String>),
}

impl State {
    /// The way by which a configuration waits for itself.
    fn circle(&self, name: &str) -> Option<Vec<String>> {
        let mut ways = vec![vec![name.to_owned()]];
        let mut seen = HashSet::new();
        while let Some(way) = ways.pop() {
            let last = way.last().and_then(|last| self.all.get(last));
            for next in last.map(|last| &last.depends_on).into_iter().flatten() {
                if next == name {
                    return Some(way);
                }
                if seen.insert(next) {
                    ways.push([&way[..], std::slice::from_ref(next)].concat());
                }
            }
        }
        None
    }
}

/// The commit at which a configuration is ready, if it is.
fn ready_at(object: &SourceControlConfiguration) -> Option<String> {
    let status = object.status.as_ref()?;
    let mut conditions = status.conditions.iter();
    let is_ready = status.observed_generation == object.metadata.generation
        && conditions.any(|one| one.type_ == conditions::READY && one.status == "True");
    is_ready.then(|| status.applied_revision.clone().unwrap_or_default())
}

/// Which of some objects are declared, and not only to be left alone. `namespace` is the one of
/// what names none.
pub(crate) fn declared_among<'a>(
    manifests: &Manifests,
    namespace: &str,
    keys: &HashSet<&'a ObjectKey>,
) -> HashSet<&'a ObjectKey> {
    let declared = manifests.declared.iter();
    let declared = declared.filter(|one| one.options.sync != Sync::Ignore);
    let declared = declared.map(|one| &one.key).chain(&manifests.held);
    let mut found = HashSet::new();
    for one in declared {
        found.extend(keys.get(one).copied());
        if one.namespace.is_none() {
            let mut inside = one.clone();
            inside.namespace = Some(namespace.into());
            found.extend(keys.get(&inside).copied());
        }
    }
    found
}
