//! One sync: read the commit, plan, apply stage by stage, prune. What makes it out of date, such as
//! a newer commit, ends it between two objects.

use std::sync::Arc;

use gitmoor_crds::{ANNOTATION_CONFIRM_PRUNE, Heal};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::time::{Duration, Instant};
use tracing::{Instrument as _, Span};

use super::Follow;
use crate::{
    ObjectKey, Problem, Reason,
    apply::{Holder, Outcome},
    metrics::{Ended, Part},
    observe::Kind,
    plan::{Guard, Plan, Stage, Terms, Work, plan},
    siblings::Read,
    snapshot::CommitId,
    tenant::Chain,
};

/// After how long a sync says that it is under way.
const LONG: Duration = Duration::from_secs(2);

/// How often the kinds are asked for after something came that may bring one: the API server serves
/// it within seconds.
const AFTER_A_KIND_CAME: u32 = 4;

/// What became of some objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) failed: usize,
    pub(super) changed: usize,
    /// Whether nothing more shall be begun.
    pub(super) stopped: bool,
    /// Whether the way to the API server is in doubt.
    doubtful: bool,
}

impl Follow {
    /// A commit has arrived: reads it and brings the cluster to it.
    pub(super) async fn arrived(&mut self, commit: CommitId) {
        let span = self.span(commit);
        self.read_and_sync(commit).instrument(span).await;
    }

    /// Brings the cluster to the commit that was read, again.
    pub(super) async fn sync_again(&mut self) {
        let Some(commit) = self.commit else {
            return self.retry.reset();
        };
        let span = self.span(commit);
        self.sync().instrument(span).await;
    }

    /// What traces show of one sync. It has no parent: that of the configuration lasts for ever.
    fn span(&self, commit: CommitId) -> Span {
        let namespace = &self.tenant.assignment.namespace;
        let name = self.object.name_any();
        tracing::info_span!(parent: None, "sync", %namespace, %name, %commit)
    }

    async fn read_and_sync(&mut self, commit: CommitId) {
        let mut reader = std::mem::take(&mut self.reader);
        let store = self.source.store();
        let paths = self.object.spec.paths.clone();
        let started = std::time::Instant::now();
        // Reading is the processor's work: a commit of thousands of new files takes a while, and
        // other configurations shall not wait for it.
        let span = tracing::info_span!("read");
        let read = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let result = store.snapshot(commit).map(|snapshot| {
                (
                    reader.read(&snapshot.files, &paths, &store),
                    snapshot.author,
                )
            });
            (reader, result)
        });
        let (reader, result) = read.await.expect("the reader does not panic");
        self.reader = reader;
        let ((manifests, problems), author) = match result {
            Ok(read) => read,
            Err(error) => return self.obstructed(super::source::obstacle(&error)),
        };
        self.facts.attempted = Some(commit);
        self.facts.author = author;
        self.meter.took(Part::Read, started.elapsed());
        tracing::debug!(%commit, objects = manifests.declared.len(), took = ?started.elapsed(), "read");
        for problem in &problems {
            tracing::warn!(path = problem.path, line = problem.line, reason = %problem.reason, "{}", problem.message);
        }
        self.manifests = manifests.into();
        self.read_problems = problems;
        // What the watches have shown stays until they show something else.
        self.object_problems
            .retain(|_, problem| problem.reason.is_of_drift());
        let inventory = &self.inventory;
        self.contested.retain(|key| inventory.find(key).is_some());
        self.facts.counts.healed = 0;
        self.commit = Some(commit);
        self.retry.reset();
        let read = Read {
            commit,
            manifests: Arc::clone(&self.manifests),
            hidden: self.is_hidden(),
        };
        self.tenant
            .siblings
            .has_read(&self.object.name_any(), Some(read));
        self.sync().await;
    }

    /// Brings the cluster to the commit that was read.
    async fn sync(&mut self) {
        let Some(commit) = self.commit.filter(|_| !self.object.spec.suspend) else {
            self.retry.reset();
            return;
        };
        if self.is_held_up(commit) {
            self.waits = true;
            self.retry.reset();
            return;
        }
        let started = Instant::now();
        self.waits = false;
        let again = self.retry.due().is_some();
        let mut plan = tracing::info_span!("plan").in_scope(|| self.plan(commit, false));
        let mut sent = Sent::default();
        if plan.kinds_missing || std::mem::take(&mut self.kinds_in_doubt) {
            match self.bring_kinds(commit, plan).await {
                Some(newer) => plan = newer,
                None => return self.stopped(),
            }
        }
        let Some(unseen) = self.look_first(commit, &mut plan).await else {
            return self.stopped();
        };
        let (total, unchanged) = (plan.to_apply(), plan.unchanged);
        let announced = self.announce(&plan);
        if announced
            .instrument(tracing::info_span!("announce"))
            .await
            .is_err()
        {
            self.retry.failed();
            self.reporter.changed();
            return;
        }
        for stage in std::mem::take(&mut plan.stages) {
            let span = tracing::info_span!("apply", objects = stage.len());
            let stage = self.send(stage).instrument(span).await;
            sent.changed += stage.changed;
            sent.failed += stage.failed;
            sent.doubtful |= stage.doubtful;
            if stage.stopped {
                tracing::info!(%commit, changed = sent.changed, failed = sent.failed, "ended early");
                return self.stopped();
            }
            if started.elapsed() > LONG {
                self.facts.progress = Some(format!(
                    "applying commit {commit}: {} of {total} objects",
                    sent.changed + sent.failed
                ));
                self.report().await;
            }
        }
        self.meter.took(Part::Apply, started.elapsed());
        self.watch_inventory();
        // What could not be asked of the API server may be true of anything.
        let pruned = if sent.doubtful {
            Default::default()
        } else {
            let span = tracing::info_span!("prune", objects = plan.prune.len());
            self.prune(&plan).instrument(span).await
        };
        if pruned.stopped {
            return self.stopped();
        }
        self.waits |= plan.waits;
        self.plan_problems = plan.problems;
        self.bodies.forget();
        self.facts.progress = None;
        self.facts.counts.pruned = pruned.gone;
        if !again || sent.changed > 0 {
            self.facts.counts.changed = u32::try_from(sent.changed).unwrap_or(u32::MAX);
        }
        if self.facts.applied != Some(commit) {
            self.facts.applied = Some(commit);
            self.facts.applied_at = Some(Timestamp::now());
            self.facts.applied_author = Some(self.facts.author.clone());
        }
        let kinds_awaited = self.plan_problems.iter().any(awaits_a_kind);
        self.coming.await_kinds(&self.tenant.client, kinds_awaited);
        // Those that are watched for need no clock, but for a moment after one has come.
        let kinds_awaited =
            kinds_awaited && (!self.coming.sees_all() || self.retry.attempts() < AFTER_A_KIND_CAME);
        if sent.failed + unseen + pruned.failed + pruned.unwatched > 0
            || kinds_awaited
            || self.plan_problems.iter().any(is_worth_a_retry)
        {
            self.retry.failed();
        } else {
            self.retry.reset();
        }
        self.meter.ended(if self.is_well() {
            Ended::Well
        } else {
            Ended::Problems
        });
        self.changed_inventory();
        self.reporter.changed();
        self.judge_all().await;
        tracing::info!(%commit, changed = sent.changed, unchanged, pruned = pruned.gone, failed = sent.failed, took = ?started.elapsed(), "synced");
    }

    /// A sync has ended early: what it did is known, and what made it end is dealt with next.
    fn stopped(&mut self) {
        self.watch_inventory();
        self.bodies.forget();
        self.facts.progress = None;
        self.meter.ended(Ended::Early);
        // Unless what made it end brings another one.
        self.retry.failed();
        self.changed_inventory();
        self.reporter.changed();
    }

    fn is_hidden(&self) -> bool {
        let mut problems = self.read_problems.iter();
        problems.any(|problem| problem.reason.hides_objects())
    }

    /// Whether nothing is wrong with the commit or its objects.
    fn is_well(&self) -> bool {
        let problems = self.read_problems.iter().chain(&self.plan_problems);
        let mut problems = problems.chain(self.object_problems.values());
        problems.all(|problem| problem.reason.is_warning())
    }

    pub(super) fn plan(&self, commit: CommitId, looked: bool) -> Plan {
        let revision = commit.to_string();
        let annotations = self.object.annotations();
        let confirmed = annotations
            .get(ANNOTATION_CONFIRM_PRUNE)
            .is_some_and(|confirmed| {
                confirmed.len() >= 7 && revision.starts_with(confirmed.as_str())
            });
        let (siblings, name) = (&self.tenant.siblings, self.object.name_any());
        let others = siblings.declared_by_others(&name);
        let behind = siblings.behind(&name, &self.object, commit);
        let settings = &self.tenant.engine.settings;
        let terms = Terms {
            namespace: &self.tenant.assignment.namespace,
            heals: self.object.spec.heal == Heal::Enforce,
            prune: self.object.spec.prune,
            hidden: self.is_hidden(),
            confirmed,
            looked,
            revision: &revision,
            guard: Guard {
                objects: settings.guard_objects,
                percent: settings.guard_percent,
            },
            others: &others,
            behind: &behind,
        };
        plan(&self.manifests, &self.inventory, &self.kinds, terms)
    }

    /// A kind is missing: asks for the kinds anew, and applies the definitions that this commit has
    /// for them first. Nothing when the sync shall end.
    async fn bring_kinds(&mut self, commit: CommitId, mut plan: Plan) -> Option<Plan> {
        let first = std::mem::take(&mut plan.stages[Stage::Definitions as usize]);
        let definitions = self.definitions(&first);
        if !first.is_empty() {
            let mut first = first;
            first.extend(std::mem::take(&mut plan.stages[Stage::Namespaces as usize]));
            let objects = first
                .iter()
                .map(|work| (work.key.clone(), Arc::clone(&work.version)));
            self.doubt_unseen(&first);
            match self
                .store
                .announce(&mut self.inventory, objects.collect::<Vec<_>>())
                .await
            {
                Ok(()) => {
                    if self.send(first).await.stopped {
                        return None;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the inventory was not written")
                }
            }
        }
        if !self.await_kinds(&definitions).await {
            return None;
        }
        let mut plan = self.plan(commit, false);
        for problem in &mut plan.problems {
            self.blocked_by_definition(problem, &definitions);
        }
        Some(plan)
    }

    /// Writes down what is going to be applied, before it is.
    async fn announce(&mut self, plan: &Plan) -> Result<(), ()> {
        let objects: Vec<_> = plan
            .stages
            .iter()
            .flatten()
            .map(|work| (work.key.clone(), Arc::clone(&work.version)))
            .collect();
        for stage in &plan.stages {
            self.doubt_unseen(stage);
        }
        if let Err(error) = self.store.announce(&mut self.inventory, objects).await {
            tracing::warn!(error = %Chain(&error), "nothing is applied, since the inventory cannot be written");
            if let Err(error) = self.store.reread_versions().await {
                tracing::warn!(error = %Chain(&error), "the inventory was not read");
            }
            self.plan_problems = vec![Problem {
                path: String::new(),
                line: None,
                object: None,
                reason: Reason::Unavailable,
                message: format!(
                    "nothing is applied, since the inventory cannot be written: {}",
                    Chain(&error)
                ),
            }];
            return Err(());
        }
        self.inventory
            .declared(plan.declared.iter().map(|(key, place)| (key, *place)));
        for key in &plan.forget {
            self.inventory.remove(key);
            self.object_problems.remove(key);
        }
        Ok(())
    }

    /// What would not be put right after a crash is written down as unknown before it is applied.
    fn doubt_unseen(&mut self, works: &[Work]) {
        let heals = self.object.spec.heal == Heal::Enforce;
        for work in works {
            if !heals || !self.observer.is_watched(&kind_of(&work.key)) {
                self.inventory.doubt(&work.key);
            }
        }
    }

    /// Applies objects, each on its own.
    pub(super) async fn send(&mut self, works: Vec<Work>) -> Sent {
        let mut works = works;
        for work in &mut works {
            // What nobody watches may say by now that it is to be left alone.
            let unseen = work.ours.is_some() && !self.observer.is_watched(&kind_of(&work.key));
            work.wary = unseen || self.contested.contains(&work.key);
        }
        let applier = Arc::clone(&self.applier);
        let bodies = Arc::clone(&self.bodies);
        let apply = move |work: Work| {
            let (applier, bodies) = (Arc::clone(&applier), Arc::clone(&bodies));
            async move {
                let outcome = applier.apply(&work, &bodies).await;
                (work, outcome)
            }
        };
        let mut sent = Sent::default();
        let take = |follow: &mut Self, (work, outcome): (Work, Outcome)| match outcome {
            Outcome::Applied { seen } => {
                sent.changed += 1;
                let epoch = follow.sightings.epoch();
                let before = follow.inventory.find(&work.key).map(|entry| entry.live);
                follow.written(&work.key, &before.unwrap_or_default(), &seen);
                follow
                    .inventory
                    .applied(&work.key, &work.version, work.digest, seen, epoch);
                // A fight is over when nobody goes on with it.
                let problem = follow.object_problems.get(&work.key);
                if problem.is_some_and(|problem| problem.reason != Reason::Fight) {
                    follow.object_problems.remove(&work.key);
                }
                follow.contested.remove(&work.key);
            }
            Outcome::Failed { problem, held_by } => {
                if held_by.is_some() {
                    follow.contested.insert(work.key.clone());
                }
                follow.waits |= held_by == Some(Holder::Configuration);
                sent.failed += 1;
                sent.doubtful |= problem.reason.is_of_the_server();
                follow.kinds_in_doubt |= problem.reason == Reason::UnknownKind;
                let problem = follow.blocked_by_namespace(&work.key, problem);
                follow.failed(problem);
            }
        };
        sent.stopped = !self.each(works, true, apply, take).await;
        sent
    }

    /// An object whose namespace failed is not a second error.
    fn blocked_by_namespace(&self, key: &ObjectKey, problem: Problem) -> Problem {
        let Some(namespace) = &key.namespace else {
            return problem;
        };
        if problem.reason != Reason::NamespaceNotFound {
            return problem;
        }
        let home = ObjectKey {
            group: "".into(),
            kind: "Namespace".into(),
            namespace: None,
            name: Arc::clone(namespace),
        };
        match self.object_problems.get(&home) {
            Some(cause) => blocked(problem, &home, &cause.path, cause.line),
            None => problem,
        }
    }
}

pub(super) fn kind_of(key: &ObjectKey) -> Kind {
    (Arc::clone(&key.group), Arc::clone(&key.kind))
}

/// A problem that is none of its own: that of another object is the one to solve.
pub(super) fn blocked(problem: Problem, by: &ObjectKey, path: &str, line: Option<u32>) -> Problem {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    Problem {
        reason: Reason::Blocked,
        message: format!("blocked by {by} ({path}{line})"),
        ..problem
    }
}

/// Whether time alone may solve it.
fn is_worth_a_retry(problem: &Problem) -> bool {
    matches!(problem.reason, Reason::Unavailable | Reason::Unanswered)
}

/// Whether a kind that comes solves it.
fn awaits_a_kind(problem: &Problem) -> bool {
    matches!(
        problem.reason,
        Reason::UnknownKind | Reason::UnknownVersion | Reason::Blocked
    )
}
