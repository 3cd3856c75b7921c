//! What the agent has made for operators, as watches on it tell: so that what someone takes away
//! comes back, and what nobody needs goes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, future::join_all};
use gitmoor_crds::Scope;
use gitmoor_operator::fingerprint::{Seen, write_uid};
use kube::{
    Api, Client, ResourceExt as _,
    core::{DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::sync::mpsc;

use crate::{
    names::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_VALUE, OPERATOR},
    objects::{Kind, ObjectKey, pair_of},
    pair::Pair,
};

/// What a watch said last of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live(Seen),
    /// Deleted, or no longer labelled as ours, at this version.
    Gone(u64),
}

/// What exists, by operator.
pub(crate) struct Made {
    agent_namespace: String,
    held: Mutex<HashMap<Pair, BTreeMap<ObjectKey, State>>>,
    /// Told of the pairs of which something changed.
    changed: mpsc::UnboundedSender<Pair>,
}

impl Made {
    pub(crate) fn new(agent_namespace: String) -> (Arc<Self>, mpsc::UnboundedReceiver<Pair>) {
        let (changed, changes) = mpsc::unbounded_channel();
        let made = Self {
            agent_namespace,
            held: Mutex::default(),
            changed,
        };
        (Arc::new(made), changes)
    }

    /// The objects of a pair that exist, with their uids.
    pub(crate) fn live(&self, pair: &Pair) -> Vec<(ObjectKey, String)> {
        let held = self.held();
        let objects = held.get(pair).into_iter().flatten();
        objects
            .filter_map(|(key, state)| match state {
                State::Live(seen) => Some((key.clone(), write_uid(seen.uid))),
                State::Gone(_) => None,
            })
            .collect()
    }

    /// Whether something happened to an object since it was applied.
    pub(crate) fn drifted(&self, pair: &Pair, key: &ObjectKey, applied: &Seen) -> bool {
        let held = self.held();
        match held.get(pair).and_then(|objects| objects.get(key)) {
            // The watch has not told of it yet.
            None => false,
            Some(State::Gone(version)) => *version > applied.version,
            Some(State::Live(seen)) => {
                seen.version > applied.version
                    && (seen.uid != applied.uid || seen.fingerprint != applied.fingerprint)
            }
        }
    }

    /// After an object was deleted, so that it is not deleted again before the watch tells.
    pub(crate) fn deleted(&self, pair: &Pair, key: &ObjectKey) {
        if let Some(state) = self
            .held()
            .get_mut(pair)
            .and_then(|objects| objects.get_mut(key))
        {
            *state = State::Gone(u64::MAX);
        }
    }

    /// Forgets what is gone of a pair that has no operator.
    pub(crate) fn forget_gone(&self, pair: &Pair) {
        let mut held = self.held();
        if let Some(objects) = held.get_mut(pair) {
            objects.retain(|_, state| matches!(state, State::Live(_)));
            if objects.is_empty() {
                held.remove(pair);
            }
        }
    }

    /// Follows the cluster; ends only when it is dropped.
    pub(crate) async fn follow(&self, client: &Client, config: &watcher::Config) {
        let config = config
            .clone()
            .labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
        let watches = Kind::ALL.into_iter().flat_map(|kind| {
            let resource = kind.resource();
            let all = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), &resource);
            if kind != Kind::Deployment {
                return vec![self.watch(kind, None, all, config.clone())];
            }
            // A Deployment may hold a tenant's secrets in its environment: only those that the
            // agent can have made are read.
            let own = Api::namespaced_with(client.clone(), &self.agent_namespace, &resource);
            let tenants = config.clone().fields(&format!("metadata.name={OPERATOR}"));
            vec![
                self.watch(kind, Some(Scope::Namespace), all, tenants),
                self.watch(kind, Some(Scope::Cluster), own, config.clone()),
            ]
        });
        join_all(watches).await;
    }

    /// One watch; `scope` when it sees only the objects of operators with that scope.
    async fn watch(
        &self,
        kind: Kind,
        scope: Option<Scope>,
        api: Api<PartialObjectMeta<DynamicObject>>,
        config: watcher::Config,
    ) {
        let mut events = watcher::watcher(api, config).default_backoff().boxed();
        let mut list = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => list.clear(),
                Ok(Event::InitApply(object)) => {
                    if let Some((pair, key)) = self.see(kind, &object, State::Live) {
                        list.insert((pair, key));
                    }
                }
                Ok(Event::InitDone) => {
                    self.miss(kind, scope, &list);
                    list = HashSet::new();
                }
                Ok(Event::Apply(object)) => {
                    self.see(kind, &object, State::Live);
                }
                Ok(Event::Delete(object)) => {
                    self.see(kind, &object, |seen| State::Gone(seen.version));
                }
                Err(error) => tracing::warn!(
                    ?kind,
                    error = &error as &dyn std::error::Error,
                    "watch what was made for operators; trying again"
                ),
            }
        }
    }

    fn see(
        &self,
        kind: Kind,
        object: &PartialObjectMeta<DynamicObject>,
        state: impl FnOnce(Seen) -> State,
    ) -> Option<(Pair, ObjectKey)> {
        let key = ObjectKey {
            kind,
            namespace: object.namespace(),
            name: object.name_any(),
        };
        // By its name: anyone can write labels.
        let pair = pair_of(&key, &self.agent_namespace)?;
        let state = state(Seen::of(&object.metadata, FIELD_MANAGER)?);
        let before = self
            .held()
            .entry(pair.clone())
            .or_default()
            .insert(key.clone(), state);
        if before != Some(state) {
            self.tell(&pair);
        }
        Some((pair, key))
    }

    /// What was there before and is not in a new list is gone.
    fn miss(&self, kind: Kind, scope: Option<Scope>, list: &HashSet<(Pair, ObjectKey)>) {
        let mut told = HashSet::new();
        for (pair, objects) in self.held().iter_mut() {
            if scope.is_some_and(|scope| scope != pair.scope) {
                continue;
            }
            for (key, state) in objects {
                if matches!(state, State::Live(_))
                    && key.kind == kind
                    && !list.contains(&(pair.clone(), key.clone()))
                {
                    // An object that was made while the list was read is told of next; should it
                    // be applied once more before that, nothing changes.
                    *state = State::Gone(u64::MAX);
                    told.insert(pair.clone());
                }
            }
        }
        told.iter().for_each(|pair| self.tell(pair));
    }

    fn tell(&self, pair: &Pair) {
        // The receiver is gone only when the agent stops.
        let _ = self.changed.send(pair.clone());
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Pair, BTreeMap<ObjectKey, State>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
