//! How what was applied fares, as the watches tell. What is well is not kept; what is not well for
//! too long becomes a problem, with the words of its pods.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::Follow;
use crate::{
    ObjectKey, Problem, Reason,
    fingerprint::Seen,
    health::{Health, Status},
    inventory::Live,
    read::Declared,
    requests::{self, Target},
};

/// Of how many objects that are late the pods are asked at once; the others are told without.
const ASKED: usize = 20;

/// An object that is not well.
pub(super) struct Unwell {
    health: Health,
    since: Instant,
    /// Whether it had its time.
    is_late: bool,
}

impl Unwell {
    fn is_a_problem(&self) -> bool {
        self.is_late || self.health.status == Status::Failed
    }
}

impl Follow {
    /// Takes in how a watch saw an object fare.
    pub(super) fn judged(&mut self, key: &ObjectKey, seen: &Seen, unwell: Option<Health>) {
        let Some(entry) = self.inventory.find(key) else {
            return;
        };
        if let Live::There { seen: known, .. } = entry.live
            && known.uid == seen.uid
            && known.version > seen.version
        {
            return;
        }
        match unwell {
            Some(health) => self.fares_ill(key, health),
            None => self.fares_well(key),
        }
    }

    /// Takes note that an object was written, and its controller may have work to do.
    pub(super) fn written(&mut self, key: &ObjectKey, before: &Live, seen: &Seen) {
        let kind = (Arc::clone(&key.group), Arc::clone(&key.kind));
        let is_known = matches!(before, Live::There { seen: known, .. } if known.uid == seen.uid && known.version >= seen.version);
        if is_known || !self.observer.is_judged(&kind) {
            return;
        }
        self.unwell.remove(key);
        let message = "it was applied just now".to_owned();
        let status = Status::InProgress;
        self.fares_ill(key, Health { status, message });
    }

    fn fares_ill(&mut self, key: &ObjectKey, health: Health) {
        let now = Instant::now();
        let before = self.unwell.get(key);
        if before.is_some_and(|before| before.health == health) {
            return;
        }
        let since = before.map_or(now, |before| before.since);
        let is_late = before.is_some_and(|before| before.is_late);
        if health.status == Status::Failed {
            tracing::warn!(object = %key, "{}", health.message);
        }
        if !is_late {
            let due = since + self.timeout();
            self.next_late = Some(self.next_late.map_or(due, |next| next.min(due)));
        }
        let unwell = Unwell {
            health,
            since,
            is_late,
        };
        self.unwell.insert(key.clone(), unwell);
        self.reporter.changed();
    }

    /// It is well, or there no more.
    pub(super) fn fares_well(&mut self, key: &ObjectKey) {
        if self.unwell.remove(key).is_some() {
            self.reporter.changed();
        }
    }

    fn timeout(&self) -> Duration {
        self.object.spec.timeout.into()
    }

    /// Some have had their time: says why, in the words of their pods where they have some.
    pub(super) async fn are_late(&mut self) {
        let (now, timeout) = (Instant::now(), self.timeout());
        let mut late = Vec::new();
        self.next_late = None;
        for (key, unwell) in &mut self.unwell {
            let due = unwell.since + timeout;
            if unwell.is_late {
                continue;
            }
            if due > now {
                self.next_late = Some(self.next_late.map_or(due, |next| next.min(due)));
                continue;
            }
            unwell.is_late = true;
            tracing::warn!(object = %key, "not healthy in time: {}", unwell.health.message);
            late.push(key.clone());
        }
        for key in late.into_iter().take(ASKED) {
            let Some(words) = self.words_of_pods(&key).await else {
                continue;
            };
            if let Some(unwell) = self.unwell.get_mut(&key) {
                unwell.health.message += &format!("; {words}");
            }
        }
        self.reporter.changed();
    }

    /// What holds up the pods of an object, in their own words.
    async fn words_of_pods(&self, key: &ObjectKey) -> Option<String> {
        if !matches!(&*key.group, "apps" | "batch") {
            return None;
        }
        let entry = self.inventory.find(key)?;
        let resource = self
            .kinds
            .find(&key.group, &entry.version, &key.kind)
            .ok()?;
        let target = Target {
            key,
            version: &entry.version,
            plural: &resource.plural,
        };
        let words = requests::words_of_pods(&self.tenant.client, target).await;
        words.unwrap_or_else(|error| {
            tracing::debug!(object = %key, %error, "its pods were not asked");
            None
        })
    }

    /// The configuration has changed, and with it perhaps how long things may take.
    pub(super) fn forget_who_is_late(&mut self) {
        for unwell in self.unwell.values_mut() {
            unwell.is_late = false;
        }
        self.next_late = (!self.unwell.is_empty()).then(Instant::now);
    }

    /// How an object fares that is not well.
    pub(super) fn ill(&self, key: &ObjectKey) -> Option<&Health> {
        self.unwell.get(key).map(|unwell| &unwell.health)
    }

    /// Those that are not well, of what is declared.
    pub(super) fn unwell(&self) -> impl Iterator<Item = (&ObjectKey, &Unwell, &Declared)> {
        self.unwell.iter().filter_map(|(key, unwell)| {
            let place = self.inventory.find(key)?.declared?;
            Some((key, unwell, self.manifests.declared.get(place as usize)?))
        })
    }

    /// What is wrong with objects that are not well.
    pub(super) fn health_problems(&self) -> Vec<Problem> {
        let unwell = self.unwell().filter(|(_, one, _)| one.is_a_problem());
        unwell
            .map(|(key, one, declared)| {
                let late = match one.health.status {
                    Status::Failed => String::new(),
                    _ => format!("not healthy within {}: ", self.object.spec.timeout),
                };
                Problem {
                    path: declared.path.to_string(),
                    line: Some(declared.line),
                    object: Some(key.clone()),
                    reason: Reason::Unhealthy,
                    message: format!("{late}{}", one.health.message),
                }
            })
            .collect()
    }

    /// What the configuration waits for, in one line.
    pub(super) fn waits_for_health(&self) -> Option<String> {
        let mut waiting = self.unwell().filter(|(_, one, _)| !one.is_a_problem());
        let Some((key, first, _)) = waiting.next() else {
            let mut unknown = self
                .observer
                .judged()
                .filter(|kind| !self.listed.contains(*kind));
            return unknown
                .next()
                .map(|(_, kind)| format!("the API server to say how {kind} objects fare"));
        };
        let more = match waiting.count() {
            0 => String::new(),
            more => format!(" (and {more} more objects)"),
        };
        Some(format!("{key}: {}{more}", first.health.message))
    }
}
