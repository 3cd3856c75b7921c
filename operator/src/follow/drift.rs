//! What the watches saw: which objects are no longer as applied, and what is done about it. They are
//! put right at once, and ever more rarely where somebody changes them back; or they are compared
//! with what is declared, and what differs is shown.

use std::{collections::HashMap, time::Duration};

use gitmoor_crds::{Drift, Heal, MAX_DRIFTS};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use tokio::time::Instant;

use super::{
    Follow, LAG,
    turns::{Turns, longer},
};
use crate::{
    ObjectKey, Problem, Reason, inventory::Live, observe::Sighting, plan::Work, read::Sync,
};

/// Within this time, healings of one object count as one fight.
const FIGHT: Duration = Duration::from_mins(5);

/// So many healings are done at once; then each waits longer than the last.
const PATIENCE: u32 = 4;

/// The first wait in a fight, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// Objects that someone changes back again and again.
#[derive(Default)]
pub(super) struct Fights {
    /// Those that are put right later.
    pub(super) postponed: Turns,
    /// When a fight is over.
    ends: HashMap<ObjectKey, Instant>,
    /// Who changed what is not put right yet.
    changed_by: HashMap<ObjectKey, String>,
}

impl Fights {
    /// When something is to be done.
    pub(super) fn next(&self) -> Option<Instant> {
        let end = self.ends.values().min().copied();
        self.postponed.next().into_iter().chain(end).min()
    }
}

impl Follow {
    /// Takes in what was seen, and heals what is no longer as applied.
    pub(super) async fn look(&mut self) {
        let state = self.sightings.take();
        let mut suspects = Vec::new();
        for (key, sighting) in state.objects {
            let news = match sighting {
                Sighting::There {
                    seen,
                    epoch,
                    unwell,
                    changed_by,
                } => {
                    self.judged(&key, &seen, unwell);
                    let news = self.inventory.seen(&key, seen, epoch);
                    if let Some(manager) = changed_by.filter(|_| news) {
                        self.fights.changed_by.insert(key.clone(), manager);
                    }
                    news
                }
                Sighting::Gone(version) => {
                    self.fares_well(&key);
                    self.inventory.gone(&key, version)
                }
            };
            if news {
                suspects.push(key);
            }
        }
        let known = state.listed.iter().map(|(kind, _)| kind);
        for kind in known.chain(state.unwatched.keys()) {
            if self.listed.insert(kind.clone()) {
                self.reporter.changed();
            }
        }
        let later = Instant::now() + LAG;
        self.lists.extend(
            state
                .listed
                .into_iter()
                .map(|(kind, epoch)| (later, kind, epoch)),
        );
        let every = self.tenant.engine.settings.verify_interval;
        let mut remarks: Vec<_> = state
            .unwatched
            .iter()
            .map(|((_, kind), why)| {
                format!("{kind} objects cannot be watched, so they are compared with what is declared every {every} ({why})")
            })
            .collect();
        remarks.sort();
        if remarks != self.facts.remarks {
            self.facts.remarks = remarks;
            self.reporter.changed();
        }
        if !state.lost.is_empty() {
            self.other_versions().await;
        }
        self.plan_patrol();
        self.changed_inventory();
        self.judge(suspects).await;
    }

    /// Takes in the lists that are complete: what they did not show is gone.
    pub(super) async fn judge_lists(&mut self) {
        let now = Instant::now();
        let (due, later) = self.lists.drain(..).partition(|(at, ..)| *at <= now);
        self.lists = later;
        let due: Vec<_> = due;
        // What is waiting to be seen is newer than the lists.
        self.look().await;
        let mut gone = Vec::new();
        let namespace = match self.tenant.assignment.scope {
            gitmoor_crds::Scope::Namespace => Some(self.tenant.assignment.namespace.clone()),
            gitmoor_crds::Scope::Cluster => None,
        };
        for (_, (group, kind), epoch) in due {
            gone.extend(
                self.inventory
                    .listed(&group, &kind, namespace.as_deref(), epoch),
            );
        }
        self.judge(gone).await;
    }

    /// After a sync: what it has left, because it was as declared before.
    pub(super) async fn judge_all(&mut self) {
        let entries = self.inventory.iter();
        let doubtful = entries
            .filter(|(_, entry)| !entry.is_as_applied() || entry.is_suspicious())
            .map(|(key, _)| key.clone())
            .collect();
        self.judge(doubtful).await;
    }

    /// Heals objects that were put off, and ends fights that nobody goes on with.
    pub(super) async fn heal_postponed(&mut self) {
        let mut works = Vec::new();
        while let Some(key) = self.fights.postponed.take() {
            works.extend(self.drifted(&key));
        }
        let now = Instant::now();
        let over = self.fights.ends.extract_if(|_, end| *end <= now);
        for (key, _) in over.collect::<Vec<_>>() {
            self.no_longer(&key, Reason::Fight);
        }
        self.put_right(works).await;
    }

    /// Decides what is done about objects that may have drifted.
    async fn judge(&mut self, suspects: Vec<ObjectKey>) {
        self.fights.postponed.forget(FIGHT);
        let heal = self.object.spec.heal;
        let mut works = Vec::new();
        for key in suspects {
            let Some(work) = self.drifted(&key) else {
                self.no_longer(&key, Reason::Drift);
                self.suspect(&key);
                continue;
            };
            match heal {
                Heal::Enforce if self.may_heal(&work) => works.push(work),
                Heal::Detect => self.detected(&work),
                Heal::Enforce | Heal::Off => {}
            }
        }
        self.put_right(works).await;
        let Fights {
            postponed,
            changed_by,
            ..
        } = &mut self.fights;
        changed_by.retain(|key, _| postponed.has(key));
    }

    /// A problem is none any more.
    pub(super) fn no_longer(&mut self, key: &ObjectKey, reason: Reason) {
        let problem = self.object_problems.get(key);
        if problem.is_some_and(|problem| problem.reason == reason) {
            self.object_problems.remove(key);
            self.reporter.changed();
        }
    }

    /// Whether an object may be put right now. If not, it is a fight: that is later, and who the
    /// other one is comes first.
    pub(super) fn may_heal(&mut self, work: &Work) -> bool {
        if self.fights.postponed.has(&work.key) {
            return false;
        }
        let rounds = self.fights.postponed.count(&work.key);
        let wait = longer(rounds, PATIENCE, WAITS.0, WAITS.1);
        if wait.is_zero() {
            return true;
        }
        self.fights.postponed.add(&work.key, wait);
        self.fight(work, rounds, "");
        self.checks.add(&work.key, Duration::ZERO);
        false
    }

    /// Says that somebody changes an object back, and what.
    pub(super) fn fight(&mut self, work: &Work, rounds: u32, what: &str) {
        let message = format!(
            "somebody changes this object back again and again, {rounds} times so far, and it is put right ever more rarely: find out who else manages it{what}"
        );
        let end = Instant::now() + FIGHT;
        self.fights.ends.insert(work.key.clone(), end);
        self.object_problems
            .insert(work.key.clone(), work.problem(Reason::Fight, message));
        self.reporter.changed();
    }

    /// The work of putting an object right, when it needs that.
    pub(super) fn drifted(&mut self, key: &ObjectKey) -> Option<Work> {
        // What is declared now may not be applied yet, and all is looked at when it may.
        if self.facts.dependency.is_some() {
            return None;
        }
        let entry = self.inventory.find(key)?;
        if entry.declared.is_none() {
            if entry.live == Live::Gone && self.commit.is_some() {
                // It was to go, and has gone.
                self.inventory.remove(key);
                self.object_problems.remove(key);
                self.changed_inventory();
                self.reporter.changed();
            }
            return None;
        }
        let (work, sync) = self.work(key)?;
        let entry = self.inventory.find(key)?;
        let done = match sync {
            Sync::Ignore => true,
            Sync::CreateOnly => entry.live != Live::Gone,
            Sync::Enforce => {
                entry.is_left_alone()
                    || (entry.digest == Some(work.digest) && entry.is_as_applied())
            }
        };
        (!done).then_some(work)
    }

    /// The work of applying an object that was applied before.
    pub(super) fn work(&self, key: &ObjectKey) -> Option<(Work, Sync)> {
        let entry = self.inventory.find(key)?;
        let one = self.manifests.declared.get(entry.declared? as usize)?;
        // Without a digest it was never applied: the sync tries that again.
        entry.digest?;
        let resource = self.kinds.find(&key.group, &one.version, &key.kind).ok()?;
        let digest = one.digest.at(&one.path);
        let work = Work::of(key, &resource.plural, one, digest, Some(entry));
        Some((work, one.options.sync))
    }

    pub(super) async fn put_right(&mut self, works: Vec<Work>) {
        if works.is_empty() {
            return;
        }
        for work in &works {
            tracing::info!(object = %work.key, path = %work.path, "drift found");
        }
        let count = works.len();
        let was_gone =
            |key| matches!(self.inventory.find(key), Some(entry) if entry.live == Live::Gone);
        let mut drifted: Vec<_> = works
            .iter()
            .map(|work| (work.key.clone(), was_gone(&work.key)))
            .collect();
        let failed = self.send(works).await.failed;
        drifted.retain(|(key, _)| !self.object_problems.contains_key(key));
        self.tell_healed(&drifted);
        self.note_healed(drifted);
        self.meter.drift(count as u64, (count - failed) as u64);
        self.facts.counts.healed = self
            .facts
            .counts
            .healed
            .saturating_add(u32::try_from(count - failed).unwrap_or(u32::MAX));
        if failed > 0 {
            self.retry.failed();
        }
        self.bodies.forget();
        self.changed_inventory();
        self.reporter.changed();
    }

    /// Takes note of what was put right, and whether it had been deleted.
    fn note_healed(&mut self, healed: Vec<(ObjectKey, bool)>) {
        let now = Timestamp::now();
        let new = healed.into_iter().map(|(key, deleted)| Drift {
            object: key.to_string(),
            time: Time(now),
            deleted,
            manager: self.fights.changed_by.remove(&key).filter(|_| !deleted),
        });
        let before = std::mem::take(&mut self.facts.drifts);
        self.facts.drifts = newest(new, before);
    }

    /// Takes note of what is wrong with an object.
    pub(super) fn failed(&mut self, problem: Problem) {
        if let Some(key) = &problem.object {
            // An answer that did not come may have been a yes.
            let refused = problem.reason != Reason::Unavailable;
            self.inventory.failed(key, refused);
            tracing::warn!(object = %key, path = problem.path, line = problem.line, reason = %problem.reason, "{}", problem.message);
            self.object_problems.insert(key.clone(), problem);
        }
    }
}

/// As many as are kept.
fn newest(new: impl Iterator<Item = Drift>, before: Vec<Drift>) -> Vec<Drift> {
    new.chain(before).take(MAX_DRIFTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_drifts_the_newest_are_kept() {
        let drifts = |prefix: &str, count| {
            let drift = |number| Drift {
                object: format!("ConfigMap shop/{prefix}{number}"),
                time: Time(Timestamp::UNIX_EPOCH),
                deleted: false,
                manager: None,
            };
            (0..count).map(drift).collect::<Vec<_>>()
        };
        let first = newest(drifts("a", MAX_DRIFTS + 5).into_iter(), Vec::new());
        assert_eq!(first, drifts("a", MAX_DRIFTS));
        let then = newest(drifts("b", 5).into_iter(), first);
        assert_eq!(then[..5], drifts("b", 5));
        assert_eq!(then[5..], drifts("a", MAX_DRIFTS - 5));
    }
}
