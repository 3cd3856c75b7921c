//! What the watches saw: which objects are no longer as applied, and putting them right.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{Follow, LAG};
use crate::{
    ObjectKey, Problem, Reason, inventory::Live, observe::Sighting, plan::Work, read::Sync,
};

/// Within this time, healings of one object count as one fight.
const FIGHT: Duration = Duration::from_mins(5);

/// So many healings are done at once; then each waits longer than the last.
const PATIENCE: u32 = 4;

/// The longest wait in a fight.
const LONGEST: Duration = Duration::from_mins(5);

/// Objects that someone takes back again and again.
#[derive(Default)]
pub(super) struct Fights {
    rounds: HashMap<ObjectKey, (u32, Instant)>,
    postponed: BTreeSet<(Instant, ObjectKey)>,
}

impl Fights {
    /// When the next postponed object may be healed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.postponed.first().map(|(at, _)| *at)
    }

    /// Counts a healing, and says how long to wait before it.
    fn round(&mut self, key: &ObjectKey) -> (u32, Duration) {
        let now = Instant::now();
        self.rounds
            .retain(|_, (_, last)| now.duration_since(*last) < FIGHT);
        let (rounds, last) = self.rounds.entry(key.clone()).or_insert((0, now));
        *rounds += 1;
        *last = now;
        let extra = rounds.saturating_sub(PATIENCE);
        let wait = match extra {
            0 => Duration::ZERO,
            extra => Duration::from_secs(1 << extra.min(16)).min(LONGEST),
        };
        (*rounds, wait)
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
                } => {
                    self.judged(&key, &seen, unwell);
                    self.inventory.seen(&key, seen, epoch)
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
        let mut remarks: Vec<_> = state
            .unwatched
            .iter()
            .map(|((_, kind), why)| {
                format!("{kind} objects cannot be watched, so drift in them is not seen ({why})")
            })
            .collect();
        remarks.sort();
        if remarks != self.facts.remarks {
            self.facts.remarks = remarks;
            self.reporter.changed();
        }
        self.changed_inventory();
        self.heal(suspects).await;
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
        self.heal(gone).await;
    }

    pub(super) async fn heal_postponed(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some((at, _)) = self.fights.postponed.first()
            && *at <= now
        {
            due.extend(self.fights.postponed.pop_first().map(|(_, key)| key));
        }
        let works: Vec<_> = due.iter().filter_map(|key| self.drifted(key)).collect();
        self.put_right(works).await;
    }

    async fn heal(&mut self, suspects: Vec<ObjectKey>) {
        let mut works = Vec::new();
        for key in suspects {
            let Some(work) = self.drifted(&key) else {
                continue;
            };
            let (rounds, wait) = self.fights.round(&key);
            if wait.is_zero() {
                works.push(work);
                continue;
            }
            self.fights
                .postponed
                .insert((Instant::now() + wait, key.clone()));
            let message = format!(
                "somebody has changed this object back {rounds} times; it is put right again in {} s: find out who else manages it",
                wait.as_secs()
            );
            self.object_problems
                .insert(key, work.problem(Reason::Conflict, message));
            self.reporter.changed();
        }
        self.put_right(works).await;
    }

    /// The work of putting an object right, when it needs that.
    fn drifted(&mut self, key: &ObjectKey) -> Option<Work> {
        // What is declared now may not be applied yet, and all is looked at when it may.
        if self.facts.dependency.is_some() {
            return None;
        }
        let entry = self.inventory.find(key)?;
        let Some(place) = entry.declared else {
            if entry.live == Live::Gone && self.commit.is_some() {
                // It was to go, and has gone.
                self.inventory.remove(key);
                self.object_problems.remove(key);
                self.changed_inventory();
                self.reporter.changed();
            }
            return None;
        };
        let one = self.manifests.declared.get(place as usize)?;
        // Without a digest it was never applied: the sync tries that again.
        let applied = entry.digest?;
        let digest = one.digest.at(&one.path);
        let done = match one.options.sync {
            Sync::Ignore => true,
            Sync::CreateOnly => entry.live != Live::Gone,
            Sync::Enforce => entry.is_left_alone() || (applied == digest && entry.is_as_applied()),
        };
        if done {
            return None;
        }
        let resource = self.kinds.find(&key.group, &one.version, &key.kind).ok()?;
        Some(Work::of(key, &resource.plural, one, digest, Some(entry)))
    }

    async fn put_right(&mut self, works: Vec<Work>) {
        if works.is_empty() {
            return;
        }
        for work in &works {
            tracing::info!(object = %work.key, path = %work.path, "drift found");
        }
        let count = works.len();
        let mut healed: Vec<_> = works.iter().map(|work| work.key.clone()).collect();
        let failed = self.send(works).await.failed;
        healed.retain(|key| !self.object_problems.contains_key(key));
        self.tell_healed(&healed);
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
