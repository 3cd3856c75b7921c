//! When to try again.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

/// A duration, up to a fifth more or less, so that many do not act at once.
pub(crate) fn jitter(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.8..1.2))
}

/// A duration, up to twice as long or next to nothing: what ended for many at one moment does not
/// begin anew for all of them at another.
pub(crate) fn spread(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.1..2.0))
}

/// Attempts that become rarer.
pub(crate) struct Pace {
    first: Duration,
    most: Duration,
    attempts: u32,
    due: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            attempts: 0,
            due: None,
        }
    }

    /// When to try again, if at all.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How many attempts have failed since something changed.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Something has changed: tries again after a moment.
    pub(crate) fn soon(&mut self, wait: Duration) {
        self.attempts = 0;
        let soon = Instant::now() + wait;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// Nothing is left to be tried.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
        self.due = None;
    }

    /// Something failed: how long until the next attempt.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = self
            .first
            .saturating_mul(1 << self.attempts.min(16))
            .min(self.most);
        self.attempts += 1;
        let wait = jitter(wait);
        self.due = Some(Instant::now() + wait);
        wait
    }
}
