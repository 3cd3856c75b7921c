//! One sync: read the commit, plan, apply stage by stage, prune.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use gitmoor_crds::ANNOTATION_CONFIRM_PRUNE;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::time::{Instant, sleep};

use super::Follow;
use crate::{
    ObjectKey, Problem, Reason,
    apply::{Deletion, Outcome},
    plan::{Plan, Terms, Work, of_deletion, plan},
    snapshot::CommitId,
    tenant::Chain,
};

/// How many objects of a sync are under way at once; the bound on requests is the process's.
const CONCURRENCY: usize = 64;

/// How long a new kind may take until the API server serves it.
const ESTABLISHED: Duration = Duration::from_secs(20);

/// After how long a sync says that it is under way.
const LONG: Duration = Duration::from_secs(2);

impl Follow {
    /// A commit has arrived: reads it and brings the cluster to it.
    pub(super) async fn arrived(&mut self, commit: CommitId) {
        let mut reader = std::mem::take(&mut self.reader);
        let store = self.source.store();
        let paths = self.object.spec.paths.clone();
        let started = std::time::Instant::now();
        // Reading is the processor's work: a commit of thousands of new files takes a while, and
        // other configurations shall not wait for it.
        let read = tokio::task::spawn_blocking(move || {
            let result = store
                .snapshot(commit)
                .map(|snapshot| reader.read(&snapshot.files, &paths, &store));
            (reader, result)
        });
        let (reader, result) = read.await.expect("the reader does not panic");
        self.reader = reader;
        let (manifests, problems) = match result {
            Ok(read) => read,
            Err(error) => return self.obstructed(super::source::obstacle(&error)),
        };
        self.facts.attempted = Some(commit);
        tracing::debug!(%commit, objects = manifests.declared.len(), took = ?started.elapsed(), "read");
        for problem in &problems {
            tracing::warn!(path = problem.path, line = problem.line, reason = %problem.reason, "{}", problem.message);
        }
        self.manifests = manifests;
        self.read_problems = problems;
        self.object_problems.clear();
        self.facts.counts.healed = 0;
        self.commit = Some(commit);
        self.retry.reset();
        self.sync().await;
    }

    /// Brings the cluster to the commit that was read.
    pub(super) async fn sync(&mut self) {
        let Some(commit) = self.commit else {
            self.retry.reset();
            return;
        };
        if self.object.spec.suspend {
            self.retry.reset();
            return;
        }
        let started = Instant::now();
        let again = self.retry.due().is_some();
        let mut plan = self.plan(commit);
        if plan.kinds_missing {
            plan = self.bring_kinds(commit, plan).await;
        }
        let (mut changed, mut failed) = (0, 0);
        let (total, unchanged) = (plan.to_apply(), plan.unchanged);
        if self.announce(&plan).await.is_err() {
            self.retry.failed();
            self.reporter.changed();
            return;
        }
        for stage in std::mem::take(&mut plan.stages) {
            if self.cancel.is_cancelled() {
                return;
            }
            let count = stage.len();
            let wrong = self.send(stage).await;
            changed += count - wrong;
            failed += wrong;
            if started.elapsed() > LONG {
                self.facts.progress = Some(format!(
                    "applying commit {commit}: {} of {total} objects",
                    changed + failed
                ));
                self.report().await;
            }
        }
        self.watch_inventory();
        let (pruned, kept) = self.prune(&plan).await;
        self.plan_problems = plan.problems;
        self.bodies.forget();
        self.facts.progress = None;
        self.facts.counts.pruned = pruned;
        if !again || changed > 0 {
            self.facts.counts.changed = u32::try_from(changed).unwrap_or(u32::MAX);
        }
        if self.facts.applied != Some(commit) {
            self.facts.applied = Some(commit);
            self.facts.applied_at = Some(Timestamp::now());
        }
        if failed + kept > 0 || self.plan_problems.iter().any(is_worth_a_retry) {
            self.retry.failed();
        } else {
            self.retry.reset();
        }
        self.changed_inventory();
        self.reporter.changed();
        tracing::info!(%commit, changed, unchanged, pruned, failed, took = ?started.elapsed(), "synced");
    }

    fn plan(&mut self, commit: CommitId) -> Plan {
        let revision = commit.to_string();
        let annotations = self.object.annotations();
        let confirmed = annotations
            .get(ANNOTATION_CONFIRM_PRUNE)
            .is_some_and(|confirmed| {
                confirmed.len() >= 7 && revision.starts_with(confirmed.as_str())
            });
        let terms = Terms {
            namespace: &self.tenant.assignment.namespace,
            prune: self.object.spec.prune,
            hidden: self
                .read_problems
                .iter()
                .any(|problem| problem.reason.hides_objects()),
            confirmed,
            revision: &revision,
        };
        plan(&self.manifests, &self.inventory, &self.kinds, terms)
    }

    /// A kind is missing: asks for the kinds anew, and applies the definitions that this commit has
    /// for them first.
    async fn bring_kinds(&mut self, commit: CommitId, mut plan: Plan) -> Plan {
        let definitions = &mut plan.stages[crate::plan::Stage::Definitions as usize];
        let mut first = std::mem::take(definitions);
        let namespaces = std::mem::take(&mut plan.stages[crate::plan::Stage::Namespaces as usize]);
        let mut awaited = Vec::new();
        if !first.is_empty() {
            first.extend(namespaces);
            let objects = first
                .iter()
                .map(|work| (work.key.clone(), Arc::clone(&work.version)));
            match self
                .store
                .announce(&mut self.inventory, objects.collect::<Vec<_>>())
                .await
            {
                Ok(()) => {
                    self.send_collecting(first, &mut awaited).await;
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the inventory was not written")
                }
            }
        }
        let until = Instant::now() + ESTABLISHED;
        loop {
            let engine = Arc::clone(&self.tenant.engine);
            match engine
                .discovery
                .refresh(&self.tenant.client, &self.kinds)
                .await
            {
                Ok(kinds) => self.kinds = kinds,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the kinds are not known anew")
                }
            }
            let missing = awaited
                .iter()
                .any(|(group, kind, version)| self.kinds.find(group, version, kind).is_err());
            if !missing || Instant::now() > until || self.cancel.is_cancelled() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        self.plan(commit)
    }

    /// Writes down what is going to be applied, before it is.
    async fn announce(&mut self, plan: &Plan) -> Result<(), ()> {
        let objects: Vec<_> = plan
            .stages
            .iter()
            .flatten()
            .map(|work| (work.key.clone(), Arc::clone(&work.version)))
            .collect();
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
        }
        Ok(())
    }

    /// Applies objects, each on its own, and says how many failed.
    pub(super) async fn send(&mut self, works: Vec<Work>) -> usize {
        self.send_collecting(works, &mut Vec::new()).await
    }

    async fn send_collecting(
        &mut self,
        works: Vec<Work>,
        kinds: &mut Vec<(String, String, String)>,
    ) -> usize {
        let applier = Arc::clone(&self.applier);
        let bodies = Arc::clone(&self.bodies);
        let cancel = self.cancel.clone();
        let mut failed = 0;
        let outcomes = stream::iter(works)
            // What is not begun when the end comes is left for the next process.
            .take_until(cancel.cancelled_owned())
            .map(|work| {
                let (applier, bodies) = (Arc::clone(&applier), Arc::clone(&bodies));
                async move {
                    let outcome = applier.apply(&work, &bodies).await;
                    (work, outcome)
                }
            })
            .buffer_unordered(CONCURRENCY);
        let mut outcomes = std::pin::pin!(outcomes);
        while let Some((work, outcome)) = outcomes.next().await {
            match outcome {
                Outcome::Applied { seen, defines } => {
                    let epoch = self.sightings.epoch();
                    self.inventory
                        .applied(&work.key, &work.version, work.digest, seen, epoch);
                    self.object_problems.remove(&work.key);
                    kinds.extend(defines);
                }
                Outcome::Failed(problem) => {
                    failed += 1;
                    let problem = self.blocked_by(&work.key, problem);
                    self.failed(problem);
                }
            }
        }
        failed
    }

    /// An object whose namespace failed is not a second error.
    fn blocked_by(&self, key: &ObjectKey, problem: Problem) -> Problem {
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
            Some(cause) => Problem {
                reason: Reason::Blocked,
                message: format!(
                    "blocked by {home} ({}:{})",
                    cause.path,
                    cause.line.unwrap_or_default()
                ),
                ..problem
            },
            None => problem,
        }
    }

    /// Deletes what is no longer declared. Gives how many are gone, and how many should be but are
    /// not.
    async fn prune(&mut self, plan: &Plan) -> (u32, usize) {
        let orphans: HashSet<&ObjectKey> = plan.prune.iter().collect();
        self.object_problems
            .retain(|key, problem| problem.reason != Reason::NotPruned || orphans.contains(key));
        let deleted = self.delete(&plan.prune).await;
        (deleted.gone, deleted.failed)
    }

    /// Deletes objects, given in the order of deletion: those of one place in it at once, the next
    /// when they are done.
    pub(super) async fn delete(&mut self, keys: &[ObjectKey]) -> Deleted {
        let mut deleted = Deleted::default();
        for group in keys.chunk_by(|a, b| of_deletion(a) == of_deletion(b)) {
            if self.cancel.is_cancelled() {
                break;
            }
            let works: Vec<_> = group
                .iter()
                .filter_map(|key| {
                    let resource = self.kinds.preferred(&key.group, &key.kind)?.clone();
                    let entry = self.inventory.find(key)?;
                    Some((key.clone(), entry.applied.map(|(uid, _)| uid), resource))
                })
                .collect();
            let applier = Arc::clone(&self.applier);
            let outcomes = stream::iter(works).map(|(key, uid, resource)| {
                let applier = Arc::clone(&applier);
                async move {
                    let outcome = applier.delete(&key, uid, &resource).await;
                    (key, outcome)
                }
            });
            let mut outcomes = outcomes.buffer_unordered(CONCURRENCY);
            while let Some((key, outcome)) = outcomes.next().await {
                match outcome {
                    Deletion::Gone => {
                        deleted.gone += 1;
                        tracing::info!(object = %key, "pruned");
                        self.inventory.remove(&key);
                        self.object_problems.remove(&key);
                    }
                    Deletion::NotOurs | Deletion::Kept => {
                        tracing::info!(object = %key, "left alone: it is not ours to prune");
                        self.inventory.remove(&key);
                        self.object_problems.remove(&key);
                    }
                    // Its watch says when it is gone.
                    Deletion::Lingers => deleted.lingering += 1,
                    Deletion::Failed(problem) => {
                        deleted.failed += 1;
                        tracing::warn!(object = %key, "{}", problem.message);
                        self.object_problems.insert(key, problem);
                    }
                }
            }
        }
        deleted
    }
}

/// How many of some objects were deleted.
#[derive(Clone, Copy, Default)]
pub(super) struct Deleted {
    gone: u32,
    pub(super) failed: usize,
    pub(super) lingering: usize,
}

/// Whether time alone may solve it.
fn is_worth_a_retry(problem: &Problem) -> bool {
    matches!(
        problem.reason,
        Reason::Unavailable | Reason::UnknownKind | Reason::UnknownVersion
    )
}
