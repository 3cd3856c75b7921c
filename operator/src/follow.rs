//! One configuration, from its first sight to its end: polls the repository, syncs its commits,
//! heals what drifts, and reports. Everything it knows can be lost at any moment: it is rebuilt
//! from the configuration, the inventory, the Git store and the watches.

mod checks;
mod coming;
mod course;
mod definitions;
mod depends;
mod deploy_key;
mod drift;
mod end;
mod health;
mod prune;
mod record;
mod secrets;
mod source;
mod states;
mod sync;
mod tell;
mod turns;
mod watching;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use gitmoor_crds::{
    ANNOTATION_CONFIRM_PRUNE, ANNOTATION_REQUESTED_AT, Scope, SourceControlConfiguration,
};
use kube::ResourceExt as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    ObjectKey, Problem, Reason,
    apply::Applier,
    bodies::Bodies,
    events::sender::Events,
    inventory::{Inventory, store::Store},
    kinds::Kinds,
    metrics::Meter,
    names,
    observe::{Kind, Observer, Sightings},
    pace::{Pace, jitter},
    read::{Manifests, Reader},
    report::{Facts, Obstacle, Reporter},
    snapshot::CommitId,
    tenant::{Chain, Tenant},
};
use checks::Checks;
use coming::Coming;
use drift::Fights;
use health::Unwell;
use source::Source;
use tell::Told;

type Newest = watch::Receiver<Option<Arc<SourceControlConfiguration>>>;

/// How long after a list an object that it did not show may still be seen: a watch cache lags
/// behind a write by less.
const LAG: Duration = Duration::from_secs(1);

/// What is known of one configuration.
struct Follow {
    tenant: Arc<Tenant>,
    /// The configuration as it was seen last.
    object: Arc<SourceControlConfiguration>,
    /// The configuration as it is now.
    newest: Newest,
    /// Whether that has not been taken in.
    unread: bool,
    cancel: CancellationToken,
    source: Source,
    /// When the repository is asked next.
    poll: Option<Instant>,
    /// What it has answered while a sync was under way.
    pending: Option<source::Event>,
    reader: Reader,
    /// The commit whose manifests these are.
    commit: Option<CommitId>,
    manifests: Arc<Manifests>,
    bodies: Arc<Bodies>,
    /// Problems of the commit, then of its plan, then of its objects.
    read_problems: Vec<Problem>,
    plan_problems: Vec<Problem>,
    object_problems: BTreeMap<ObjectKey, Problem>,
    kinds: Arc<Kinds>,
    /// Whether the API server has refused an object for having no such kind.
    kinds_in_doubt: bool,
    /// For kinds that are missing.
    coming: Coming,
    /// Objects that others hold: they are looked at before they are tried again.
    contested: HashSet<ObjectKey>,
    /// Whether something depends on what other configurations declare.
    waits: bool,
    inventory: Inventory,
    store: Store,
    applier: Arc<Applier>,
    observer: Observer,
    sightings: Arc<Sightings>,
    /// Lists that are complete, and when what they did not show counts as gone.
    lists: Vec<(Instant, Kind, u32)>,
    fights: Fights,
    /// The commit and generation that what this depends on was ready for.
    released: Option<(CommitId, Option<i64>)>,
    /// Kinds of which it is known how their objects fare, or that this cannot be known.
    listed: HashSet<Kind>,
    /// What is not well.
    unwell: BTreeMap<ObjectKey, Unwell>,
    /// When the first of those has had its time.
    next_late: Option<Instant>,
    checks: Checks,
    /// When those of kinds that cannot be watched are compared next.
    patrol: Option<Instant>,
    checkpoint: Option<Instant>,
    retry: Pace,
    facts: Facts,
    reporter: Reporter,
    told: Told,
    meter: Meter,
}

/// Follows a configuration until it is deleted, cancelled, or taken over by a newer process.
pub(crate) async fn follow(
    tenant: Arc<Tenant>,
    object: Arc<SourceControlConfiguration>,
    mut newest: Newest,
    cancel: CancellationToken,
) {
    let name = object.name_any();
    let span =
        tracing::info_span!("configuration", namespace = %tenant.assignment.namespace, %name);
    let life = async {
        let Some(mut follow) = Follow::start(tenant, object, &mut newest, &cancel).await else {
            return;
        };
        let end = follow.run().await;
        tracing::info!(?end, "no longer followed");
        match end {
            End::Cancelled if follow.is_gone().await => follow.clean_up().await,
            End::Cancelled => follow.write_checkpoint().await,
            End::Deleting => follow.prune_all().await,
            End::Deleted => follow.clean_up().await,
            // Whatever there is to write is the other's to write.
            End::TakenOver => cancel.cancelled().await,
        }
    };
    life.instrument(span).await;
}

/// Why a configuration is no longer followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cancelled,
    /// Its deletion waits until what it applied is deleted.
    Deleting,
    Deleted,
    TakenOver,
}

impl Follow {
    /// Claims the configuration and reads its inventory, for as long as it takes.
    async fn start(
        tenant: Arc<Tenant>,
        mut object: Arc<SourceControlConfiguration>,
        newest: &mut Newest,
        cancel: &CancellationToken,
    ) -> Option<Self> {
        let mut wait = Duration::from_millis(500);
        loop {
            let mut reporter = Reporter::new(tenant.client.clone(), &object);
            let name = object.name_any();
            let home = &tenant.assignment.home;
            let mut store = Store::new(tenant.client.clone(), home, &object);
            let attempt = async {
                reporter
                    .claim(&tenant.instance)
                    .await
                    .map_err(|error| Chain(&error).to_string())?;
                let kinds = tenant.engine.discovery.kinds(&tenant.client).await;
                let kinds = kinds.map_err(|error| Chain(&error).to_string())?;
                let (inventory, damaged) = store
                    .read()
                    .await
                    .map_err(|error| Chain(&error).to_string())?;
                Ok::<_, String>((kinds, inventory, damaged))
            };
            let error = tokio::select! {
                () = cancel.cancelled() => return None,
                result = attempt => match result {
                    Ok((kinds, inventory, damaged)) => {
                        for chunk in damaged {
                            tracing::warn!(chunk, "a part of the inventory is not legible");
                        }
                        let inventory = (inventory, store);
                        return Some(Self::new(tenant, object, newest.clone(), cancel, kinds, inventory, reporter));
                    }
                    Err(error) => error,
                },
            };
            tracing::warn!(%name, error, "the configuration cannot be served yet");
            tokio::select! {
                () = cancel.cancelled() => return None,
                () = sleep(jitter(wait)) => wait = (wait * 2).min(Duration::from_secs(30)),
                changed = newest.changed() => changed.ok()?,
            }
            object = newest.borrow_and_update().clone()?;
        }
    }

    fn new(
        tenant: Arc<Tenant>,
        object: Arc<SourceControlConfiguration>,
        newest: Newest,
        cancel: &CancellationToken,
        kinds: Arc<Kinds>,
        (inventory, store): (Inventory, Store),
        reporter: Reporter,
    ) -> Self {
        let (namespace, name) = (&tenant.assignment.namespace, object.name_any());
        let manager = names::field_manager(namespace, &name);
        let label = names::label(namespace, &name);
        let watched = match tenant.assignment.scope {
            Scope::Namespace => Some(namespace.clone()),
            Scope::Cluster => None,
        };
        let observer = Observer::new(tenant.client.clone(), watched, &manager, &label);
        let source = Source::new(&tenant, &object);
        let metrics = Arc::clone(&tenant.engine.metrics);
        let client = tenant.client.clone();
        let events = Events::new(client, &object, &tenant.instance, cancel.clone());
        Self {
            meter: Meter::new(metrics, namespace, &name),
            bodies: Arc::new(Bodies::new(source.blobs())),
            source,
            newest,
            unread: false,
            poll: None,
            pending: None,
            reader: Reader::default(),
            commit: None,
            manifests: Arc::default(),
            read_problems: Vec::new(),
            plan_problems: Vec::new(),
            object_problems: BTreeMap::new(),
            kinds,
            kinds_in_doubt: false,
            coming: Coming::default(),
            contested: HashSet::new(),
            waits: false,
            inventory,
            store,
            applier: Arc::new(Applier {
                client: tenant.client.clone(),
                name: format!("{namespace}/{name}"),
                manager,
                label,
                adopt: object.spec.adopt,
                siblings: Arc::clone(&tenant.siblings),
                bound: Arc::clone(&tenant.engine.requests),
            }),
            sightings: observer.sightings(),
            observer,
            lists: Vec::new(),
            fights: Fights::default(),
            released: None,
            listed: HashSet::new(),
            unwell: BTreeMap::new(),
            next_late: None,
            checks: Checks::default(),
            patrol: None,
            checkpoint: None,
            retry: Pace::new(Duration::from_secs(2), Duration::from_mins(10)),
            facts: Facts {
                instance: tenant.instance.clone(),
                drifts: reporter.written().drifts.clone(),
                public_key: reporter.written().repository_public_key.clone(),
                ..Facts::default()
            },
            reporter,
            told: Told::new(events, object.status.as_ref()),
            cancel: cancel.clone(),
            object,
            tenant,
        }
    }

    /// The loop: whatever comes first is dealt with, one at a time.
    async fn run(&mut self) -> End {
        if self.is_deleting() {
            return End::Deleting;
        }
        self.keep_finalizer().await;
        self.facts.generation = self.object.metadata.generation;
        self.facts.suspended = self.object.spec.suspend;
        self.publish_key();
        if self.facts.suspended {
            self.reporter.changed();
        } else {
            self.watch_inventory();
            self.poll = Some(Instant::now());
        }
        let mut learned = self.tenant.siblings.learned();
        let nudge = self.tenant.siblings.poll(&self.object.name_any());
        loop {
            let sightings = Arc::clone(&self.sightings);
            let cancel = self.cancel.clone();
            let next_list = self.lists.iter().map(|(at, ..)| *at).min();
            let active = !self.facts.suspended;
            let (waits, pending, unread) = (self.waits, self.pending.take(), self.unread);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return End::Cancelled,
                changed = changed(&mut self.newest, unread) => {
                    self.unread = false;
                    self.pending = pending;
                    let object = self.newest.borrow_and_update().clone();
                    let (true, Some(object)) = (changed, object) else { return End::Deleted };
                    if let Some(end) = self.configuration_changed(object) {
                        return end;
                    }
                    self.keep_finalizer().await;
                }
                () = std::future::ready(()), if pending.is_some() => {
                    if let Some(source::Event::Answer(answer)) = pending {
                        self.answered(answer).await;
                    }
                }
                () = sightings.news(), if active => self.look().await,
                () = at(next_list), if active => self.judge_lists().await,
                () = at(self.next_late), if active => self.are_late().await,
                () = at(self.fights.next()), if active => self.heal_postponed().await,
                () = at(self.checks.next()), if active => self.check().await,
                () = at(self.patrol), if active => self.patrol(),
                event = self.source.event() => match event {
                    source::Event::Credentials => self.credentials_changed(),
                    source::Event::Answer(answer) => self.answered(answer).await,
                },
                () = at(self.poll) => self.ask(),
                () = nudge.notified(), if active => self.poll = Some(Instant::now()),
                Ok(()) = learned.changed(), if active && waits => self.others_learned().await,
                // A new kind is served a moment after it is there.
                () = self.coming.news(), if active => self.retry.soon(Duration::from_millis(200)),
                () = at(self.retry.due()) => self.sync_again().await,
                () = at(self.reporter.due()) => self.report().await,
                () = at(self.checkpoint) => self.write_checkpoint().await,
            }
        }
    }

    /// Asks the repository.
    fn ask(&mut self) {
        self.poll = None;
        if self.facts.suspended {
            return;
        }
        self.source.ask(&self.tenant, &self.cancel);
    }

    /// There are other credentials: the repository is asked with them.
    fn credentials_changed(&mut self) {
        self.publish_key();
        self.poll = Some(Instant::now());
    }

    /// Says which key must be let in, before it is.
    fn publish_key(&mut self) {
        if let Some(key) = self.source.public_key()
            && self.facts.public_key != key
        {
            self.facts.public_key = key;
            self.reporter.changed();
        }
    }

    /// Another configuration has read a commit, or is gone: what waited for that is tried again.
    async fn others_learned(&mut self) {
        self.sync_again().await;
        let Some(commit) = self.commit.filter(|_| self.waits) else {
            return;
        };
        // Whoever is not behind may be ahead.
        let name = self.object.name_any();
        let behind = self.tenant.siblings.behind(&name, &self.object, commit);
        if !behind.is_empty() {
            self.poll = Some(Instant::now());
        }
    }

    /// Takes in what someone changed about the configuration, or what we did ourselves.
    fn configuration_changed(&mut self, object: Arc<SourceControlConfiguration>) -> Option<End> {
        let before = std::mem::replace(&mut self.object, object);
        self.reporter.seen(&self.object);
        let instance = self
            .object
            .status
            .as_ref()
            .and_then(|status| status.instance.as_ref());
        if instance.is_some_and(|instance| *instance != self.tenant.instance) {
            return Some(End::TakenOver);
        }
        if self.is_deleting() {
            return Some(End::Deleting);
        }
        let differs = |annotation: &str| {
            before.annotations().get(annotation) != self.object.annotations().get(annotation)
        };
        if before.spec == self.object.spec && !differs(ANNOTATION_CONFIRM_PRUNE) {
            if differs(ANNOTATION_REQUESTED_AT) && !self.facts.suspended {
                self.poll = Some(Instant::now());
            }
            return None;
        }
        self.facts.generation = self.object.metadata.generation;
        self.facts.suspended = self.object.spec.suspend;
        self.source.changed(&self.tenant, &self.object);
        self.publish_key();
        // The same commit may come to something else now.
        self.commit = None;
        self.pending = None;
        self.tenant.siblings.has_read(&self.object.name_any(), None);
        if self.applier.adopt != self.object.spec.adopt {
            self.applier = Arc::new(Applier {
                adopt: self.object.spec.adopt,
                ..Applier::clone(&self.applier)
            });
        }
        self.retry.reset();
        self.fights = Fights::default();
        self.forget_who_is_late();
        self.object_problems
            .retain(|_, problem| problem.reason != Reason::Fight);
        if before.spec.heal != self.object.spec.heal {
            self.heal_otherwise();
        }
        self.poll = (!self.facts.suspended).then(Instant::now);
        if !self.facts.suspended {
            self.watch_inventory();
        }
        self.reporter.changed();
        None
    }

    /// The repository has answered: syncs its commit when that is new.
    async fn answered(&mut self, answer: Result<CommitId, Obstacle>) {
        let commit = answer.as_ref().ok().copied();
        self.settle(answer.map(|_| ()));
        if let Some(commit) = commit.filter(|commit| self.commit != Some(*commit)) {
            self.arrived(commit).await;
        }
    }

    /// Takes note of whether the repository gives commits, and when to ask it again.
    fn settle(&mut self, answer: Result<(), Obstacle>) {
        let settled = answer.is_ok();
        match answer {
            Ok(()) => {
                if self.facts.obstacle.take().is_some() {
                    self.reporter.changed();
                }
            }
            Err(obstacle) => self.obstructed(obstacle),
        }
        let interval = self.object.spec.interval.into();
        self.poll = Some(Instant::now() + self.source.next_poll(settled, interval));
    }

    fn obstructed(&mut self, obstacle: Obstacle) {
        if self.facts.obstacle.as_ref() != Some(&obstacle) {
            tracing::warn!(reason = obstacle.reason, "{}", obstacle.message);
            self.facts.obstacle = Some(obstacle);
            self.reporter.changed();
        }
    }
}

/// Waits until the configuration has changed, unless that is known; false when it never will.
async fn changed(newest: &mut Newest, unread: bool) -> bool {
    unread || newest.changed().await.is_ok()
}

/// Waits until a moment, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
