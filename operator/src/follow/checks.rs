//! Objects that are compared with what is declared, one at a time and not many in a second: those
//! that have drifted, where drift is shown and not healed or where somebody fights for them; those
//! that may be other than they seem; and those of kinds that cannot be watched.

use std::{sync::Arc, time::Duration};

use gitmoor_crds::Heal;
use tokio::time::Instant;

use super::{
    Follow,
    sync::kind_of,
    turns::{Turns, longer},
};
use crate::{
    ObjectKey, Problem, Reason, apply::Comparison, differences::listed, inventory::Live,
    pace::jitter, plan::Work, read::Sync,
};

/// How long after one comparison the next may begin.
const PAUSE: Duration = Duration::from_millis(200);

/// An object that has drifted and goes on changing is compared so often at once; then it waits, at
/// first and at most.
const PATIENCE: u32 = 4;
const WAITS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// How long after an object has moved in a way that may be hidden drift it is compared, at first and
/// at most: an autoscaler moves objects all day.
const SUSPICION: (Duration, Duration) = (Duration::from_secs(10), Duration::from_hours(1));

/// How long an object must be quiet until its turns are forgotten.
const QUIET: Duration = Duration::from_hours(2);

/// How long until a comparison that failed is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What waits to be compared.
#[derive(Default)]
pub(super) struct Checks {
    turns: Turns,
    not_before: Option<Instant>,
}

impl Checks {
    /// When the next object may be compared.
    pub(super) fn next(&self) -> Option<Instant> {
        self.turns
            .next()
            .max(self.turns.next().and(self.not_before))
    }

    /// Lets an object be compared after a while.
    pub(super) fn add(&mut self, key: &ObjectKey, wait: Duration) {
        self.turns.add(key, wait);
    }
}

impl Follow {
    /// An object has drifted, and is not to be put right.
    pub(super) fn detected(&mut self, work: &Work) {
        let entry = self.inventory.find(&work.key);
        if entry.is_some_and(|entry| entry.live == Live::Gone) {
            self.show(work, "it has been deleted");
        } else if !self.checks.turns.has(&work.key) {
            let times = self.checks.turns.count(&work.key);
            let wait = longer(times, PATIENCE, WAITS.0, WAITS.1);
            self.checks.add(&work.key, wait);
        }
    }

    /// Has an object compared later if it may be other than it seems.
    pub(super) fn suspect(&mut self, key: &ObjectKey) {
        let entry = self.inventory.find(key);
        if !entry.is_some_and(|entry| entry.is_suspicious() && !entry.is_left_alone())
            || self.checks.turns.has(key)
            || !matches!(self.work(key), Some((_, Sync::Enforce)))
        {
            return;
        }
        self.checks.turns.forget(QUIET);
        let times = self.checks.turns.count(key);
        let wait = longer(times, 0, SUSPICION.0, SUSPICION.1);
        self.checks.add(key, jitter(wait));
    }

    /// Compares the object whose turn it is.
    pub(super) async fn check(&mut self) {
        let Some(key) = self.checks.turns.take() else {
            return;
        };
        let Some((work, Sync::Enforce)) = self.work(&key) else {
            return;
        };
        let entry = self.inventory.find(&key);
        if entry.is_none_or(|entry| entry.is_left_alone() || entry.digest != Some(work.digest)) {
            return;
        }
        let (applier, bodies) = (Arc::clone(&self.applier), Arc::clone(&self.bodies));
        let compare = move |work: Work| {
            let (applier, bodies) = (Arc::clone(&applier), Arc::clone(&bodies));
            async move { applier.compare(&work, &bodies).await }
        };
        let mut result = None;
        let take = |_: &mut Self, comparison| result = Some(comparison);
        self.each(vec![work.clone()], true, compare, take).await;
        self.bodies.forget();
        self.checks.not_before = Some(Instant::now() + PAUSE);
        match result {
            Some(Ok(comparison)) => self.compared(work, comparison).await,
            Some(Err(problem)) => self.not_compared(&work, &problem),
            // The sync that comes first may make it needless.
            None => self.checks.add(&key, PAUSE),
        }
    }

    async fn compared(&mut self, work: Work, comparison: Comparison) {
        let what = match comparison {
            Comparison::Same => {
                self.inventory.verified(&work.key);
                self.changed_inventory();
                self.no_longer(&work.key, Reason::Drift);
                return;
            }
            Comparison::Missing => "it has been deleted".to_owned(),
            Comparison::Differs(fields) => listed(&fields),
        };
        match self.object.spec.heal {
            Heal::Off => {}
            Heal::Detect => self.show(&work, &what),
            Heal::Enforce if self.fights.postponed.has(&work.key) => {
                let rounds = self.fights.postponed.counted(&work.key);
                self.fight(&work, rounds, &format!(" ({what})"));
            }
            Heal::Enforce => {
                tracing::info!(object = %work.key, "{what}");
                if self.may_heal(&work) {
                    self.put_right(vec![work]).await;
                }
            }
        }
    }

    /// What the API server will not say is tried again; what it refuses to apply is drift that
    /// cannot be shown in fields.
    fn not_compared(&mut self, work: &Work, problem: &Problem) {
        tracing::warn!(object = %work.key, reason = %problem.reason, "not compared with what is declared: {}", problem.message);
        if matches!(
            problem.reason,
            Reason::Unavailable | Reason::Unanswered | Reason::Unreadable
        ) {
            self.checks.add(&work.key, jitter(RETRY));
        } else if self.object.spec.heal == Heal::Detect {
            let what = format!("what is declared could not be applied: {}", problem.message);
            self.show(work, &what);
        }
    }

    /// Shows that an object has drifted.
    fn show(&mut self, work: &Work, what: &str) {
        let message = format!("not as it was applied, and left so, since heal is detect: {what}");
        let problem = work.problem(Reason::Drift, message);
        let before = self
            .object_problems
            .insert(work.key.clone(), problem.clone());
        if before.as_ref() == Some(&problem) {
            return;
        }
        if before.is_none_or(|before| before.reason != Reason::Drift) {
            tracing::info!(object = %work.key, path = %work.path, "drift found: {what}");
            self.meter.drift(1, 0);
        }
        self.reporter.changed();
    }

    /// Sees to it that objects of kinds that cannot be watched are compared from time to time.
    pub(super) fn plan_patrol(&mut self) {
        if self.patrol.is_none() && self.unwatched().next().is_some() {
            let every = Duration::from(self.tenant.engine.settings.verify_interval);
            self.patrol = Some(Instant::now() + jitter(every.max(PAUSE)));
        }
    }

    /// Has every object compared whose changes are not seen.
    pub(super) fn patrol(&mut self) {
        self.patrol = None;
        let keys: Vec<_> = self.unwatched().cloned().collect();
        for key in keys {
            self.checks.add(&key, Duration::ZERO);
        }
        self.plan_patrol();
    }

    fn unwatched(&self) -> impl Iterator<Item = &ObjectKey> {
        let is_off = self.object.spec.heal == Heal::Off;
        let entries = self.inventory.iter().filter(move |_| !is_off);
        let entries = entries.filter(|(_, entry)| entry.digest.is_some());
        entries
            .map(|(key, _)| key)
            .filter(|key| !self.observer.is_watched(&kind_of(key)))
    }
}
