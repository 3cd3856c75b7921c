//! Deletes what is no longer declared.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::Follow;
use crate::{
    ObjectKey, Problem, Reason,
    apply::{Deletion, lingers},
    kinds::Resource,
    metrics::Part,
    plan::{Plan, of_deletion},
    snapshot::CommitId,
};

/// What became of objects that should go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deleted {
    pub(super) gone: u32,
    pub(super) failed: usize,
    pub(super) lingering: usize,
    /// Those that linger and whose end no watch will show.
    pub(super) unwatched: usize,
    /// Whether nothing more shall be begun.
    pub(super) stopped: bool,
}

impl Follow {
    /// Deletes what is no longer declared, as far as the plan lets it.
    pub(super) async fn prune(&mut self, plan: &Plan) -> Deleted {
        let orphans: HashSet<&ObjectKey> = plan.prune.iter().collect();
        self.object_problems.retain(|key, problem| {
            !matches!(problem.reason, Reason::NotPruned | Reason::Lingers) || orphans.contains(key)
        });
        let started = Instant::now();
        let deleted = self.delete(&plan.prune, true).await;
        if !plan.prune.is_empty() {
            self.meter.took(Part::Prune, started.elapsed());
        }
        deleted
    }

    /// Looks at what the plan would guard and may not be there, so that a guard counts only what
    /// would be deleted, and plans the deletions. Says how many could not be looked at, or nothing
    /// when the sync shall end.
    pub(super) async fn look_first(&mut self, commit: CommitId, plan: &mut Plan) -> Option<usize> {
        if plan.look.is_empty() {
            return Some(0);
        }
        let works = self.to_delete(&plan.look);
        let applier = Arc::clone(&self.applier);
        let look = move |(key, uid, resource): (ObjectKey, _, _)| {
            let applier = Arc::clone(&applier);
            async move {
                let answer = applier.would_delete(&key, uid, &resource).await;
                (key, answer)
            }
        };
        let mut failed = Vec::new();
        let take = |follow: &mut Self, (key, answer): (ObjectKey, _)| match answer {
            Ok(true) => {}
            Ok(false) => {
                follow.inventory.remove(&key);
                follow.object_problems.remove(&key);
            }
            Err(problem) => failed.push(problem),
        };
        if !self.each(works, true, look, take).await {
            return None;
        }
        let newer = self.plan(commit, true);
        let guarded = newer.problems.into_iter();
        plan.problems
            .extend(guarded.filter(|problem| problem.reason == Reason::Guarded));
        (plan.prune, plan.forget) = (newer.prune, newer.forget);
        let unseen = failed.len();
        plan.problems.append(&mut failed);
        Some(unseen)
    }

    /// The objects, with the uid and the resource of each.
    fn to_delete(&self, keys: &[ObjectKey]) -> Vec<(ObjectKey, Option<u128>, Resource)> {
        let mut works = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(resource) = self.kinds.preferred(&key.group, &key.kind)
                && let Some(entry) = self.inventory.find(key)
            {
                let uid = entry.applied.map(|(uid, _)| uid);
                works.push((key.clone(), uid, resource.clone()));
            }
        }
        works
    }

    /// Deletes objects, given in the order of deletion: those of one place in it at once, the next
    /// when they are done.
    pub(super) async fn delete(&mut self, keys: &[ObjectKey], interruptible: bool) -> Deleted {
        let mut deleted = Deleted::default();
        for group in keys.chunk_by(|a, b| of_deletion(a) == of_deletion(b)) {
            let works = self.to_delete(group);
            let applier = Arc::clone(&self.applier);
            let delete = move |(key, uid, resource): (ObjectKey, _, _)| {
                let applier = Arc::clone(&applier);
                async move {
                    let end = applier.delete(&key, uid, &resource).await;
                    (key, end)
                }
            };
            let take = |follow: &mut Self, (key, end): (ObjectKey, Deletion)| {
                follow.deleted(key, end, &mut deleted);
            };
            if !self.each(works, interruptible, delete, take).await {
                deleted.stopped = true;
                break;
            }
        }
        deleted
    }

    fn deleted(&mut self, key: ObjectKey, end: Deletion, deleted: &mut Deleted) {
        match end {
            Deletion::Gone => {
                deleted.gone += 1;
                tracing::info!(object = %key, "pruned");
                self.inventory.remove(&key);
                self.object_problems.remove(&key);
                self.fares_well(&key);
            }
            Deletion::NotOurs | Deletion::Kept => {
                tracing::info!(object = %key, "left alone: it is not ours to prune");
                self.inventory.remove(&key);
                self.object_problems.remove(&key);
                self.fares_well(&key);
            }
            // Its watch says when it is gone, where there is one.
            Deletion::Lingers(finalizers) => {
                deleted.lingering += 1;
                let kind = (Arc::clone(&key.group), Arc::clone(&key.kind));
                if !self.observer.is_watched(&kind) {
                    deleted.unwatched += 1;
                }
                let problem = lingers(&key, &finalizers);
                self.object_problems.insert(key, problem);
            }
            Deletion::Failed(problem) => {
                deleted.failed += 1;
                tracing::warn!(object = %key, "{}", problem.message);
                self.object_problems.insert(key, problem);
            }
        }
    }
}

/// One problem for all objects that wait for the same other one: it is that one's to solve, and a
/// hundred of them would hide what else is wrong.
pub(super) fn blocked_once(problems: Vec<Problem>) -> Vec<Problem> {
    let mut once: Vec<Problem> = Vec::with_capacity(problems.len());
    let mut counts: std::collections::HashMap<String, (usize, usize)> = Default::default();
    for problem in problems {
        if problem.reason != Reason::Blocked {
            once.push(problem);
            continue;
        }
        let (place, count) = counts
            .entry(problem.message.clone())
            .or_insert((once.len(), 0));
        *count += 1;
        if *count == 1 {
            once.push(problem);
        } else {
            let first = &mut once[*place];
            if (&problem.path, problem.line) < (&first.path, first.line) {
                *first = problem;
            }
        }
    }
    for (message, (place, count)) in counts {
        if count > 1 {
            once[place].message = format!("{message}, as are {} other objects", count - 1);
        }
    }
    once
}
