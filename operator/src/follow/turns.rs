//! Objects that wait for their turn, and how often each has had one lately.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::ObjectKey;

/// Objects, each with the moment of its turn.
#[derive(Default)]
pub(super) struct Turns {
    order: BTreeSet<(Instant, ObjectKey)>,
    waiting: HashMap<ObjectKey, Instant>,
    lately: HashMap<ObjectKey, (u32, Instant)>,
}

impl Turns {
    /// The moment of the next turn.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Whether an object waits.
    pub(super) fn has(&self, key: &ObjectKey) -> bool {
        self.waiting.contains_key(key)
    }

    /// Counts a turn of an object, and says how many it has had.
    pub(super) fn count(&mut self, key: &ObjectKey) -> u32 {
        let now = Instant::now();
        let (count, last) = self.lately.entry(key.clone()).or_insert((0, now));
        *count += 1;
        *last = now;
        *count
    }

    /// How many turns an object has had.
    pub(super) fn counted(&self, key: &ObjectKey) -> u32 {
        self.lately.get(key).map_or(0, |(count, _)| *count)
    }

    /// Forgets the turns of objects that have been quiet for so long.
    pub(super) fn forget(&mut self, quiet: Duration) {
        self.lately.retain(|_, (_, last)| last.elapsed() < quiet);
    }

    /// Gives an object a turn; one that waits keeps the one it has.
    pub(super) fn add(&mut self, key: &ObjectKey, wait: Duration) {
        if self.has(key) {
            return;
        }
        let at = Instant::now() + wait;
        self.order.insert((at, key.clone()));
        self.waiting.insert(key.clone(), at);
    }

    /// An object whose turn it is.
    pub(super) fn take(&mut self) -> Option<ObjectKey> {
        let (at, _) = self.order.first()?;
        if *at > Instant::now() {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.waiting.remove(&key);
        Some(key)
    }
}

/// How long to wait before a turn: `first` before the first after `patience` turns without a wait,
/// then twice as long each time.
pub(super) fn longer(count: u32, patience: u32, first: Duration, most: Duration) -> Duration {
    match count.saturating_sub(patience) {
        0 => Duration::ZERO,
        extra => first.saturating_mul(1 << (extra - 1).min(16)).min(most),
    }
}
