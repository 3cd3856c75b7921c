//! How often a principal may call, by ARM's measure: a bucket of each kind of call that is full at
//! first and fills again steadily.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderName, Method};
use uuid::Uuid;

use crate::{Rate, Throttling};

/// Buckets are looked through for full ones when there are so many; a full one is as none.
const MANY: usize = 4096;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Read,
    Write,
    Delete,
}

impl Kind {
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD => Self::Read,
            Method::DELETE => Self::Delete,
            _ => Self::Write,
        }
    }

    /// The header that tells how many are left.
    pub(super) fn header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Read => "x-ms-ratelimit-remaining-subscription-reads",
            Self::Write => "x-ms-ratelimit-remaining-subscription-writes",
            Self::Delete => "x-ms-ratelimit-remaining-subscription-deletes",
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

/// The buckets of all principals.
#[derive(Debug)]
pub(crate) struct Throttle {
    rates: Throttling,
    buckets: Mutex<HashMap<(Uuid, Kind), Bucket>>,
    many: usize,
}

impl Throttle {
    pub(crate) fn new(rates: Throttling) -> Self {
        Self {
            rates,
            buckets: Mutex::default(),
            many: MANY,
        }
    }

    /// Takes one call out of a bucket: how many are left, or how long to wait.
    pub(crate) fn take(&self, principal: Uuid, kind: Kind, now: Instant) -> Result<u32, Duration> {
        let rate = self.rate(kind);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.many {
            buckets.retain(|(_, kind), bucket| {
                let rate = self.rate(*kind);
                bucket.filled(rate, now).level < f64::from(rate.burst.get())
            });
        }
        let full = Bucket {
            level: f64::from(rate.burst.get()),
            at: now,
        };
        let bucket = buckets.entry((principal, kind)).or_insert(full);
        *bucket = bucket.filled(rate, now);
        if bucket.level < 1.0 {
            let wait = (1.0 - bucket.level) / f64::from(rate.per_second.get());
            return Err(Duration::from_secs_f64(wait));
        }
        bucket.level -= 1.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a u32"
        )]
        Ok(bucket.level as u32)
    }

    fn rate(&self, kind: Kind) -> Rate {
        match kind {
            Kind::Read => self.rates.reads,
            Kind::Write => self.rates.writes,
            Kind::Delete => self.rates.deletes,
        }
    }
}

impl Bucket {
    fn filled(self, rate: Rate, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let level = self.level + passed * f64::from(rate.per_second.get());
        Self {
            level: level.min(f64::from(rate.burst.get())),
            at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn throttle(many: usize) -> Throttle {
        let rate = |burst, per_second| Rate {
            burst: NonZeroU32::new(burst).unwrap(),
            per_second: NonZeroU32::new(per_second).unwrap(),
        };
        Throttle {
            many,
            ..Throttle::new(Throttling {
                reads: rate(3, 2),
                writes: rate(1, 1),
                deletes: rate(1, 1),
            })
        }
    }

    #[test]
    fn a_bucket_is_full_at_first_and_fills_again_steadily() {
        let (throttle, alice, bob) = (throttle(MANY), Uuid::new_v4(), Uuid::new_v4());
        let start = Instant::now();
        for left in [2, 1, 0] {
            assert_eq!(throttle.take(alice, Kind::Read, start), Ok(left));
        }
        let half = Duration::from_millis(500);
        assert_eq!(throttle.take(alice, Kind::Read, start), Err(half));
        // Neither another kind of call nor another principal is held back.
        assert_eq!(throttle.take(alice, Kind::Write, start), Ok(0));
        assert_eq!(throttle.take(bob, Kind::Read, start), Ok(2));
        assert_eq!(throttle.take(alice, Kind::Read, start + half), Ok(0));
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.take(alice, Kind::Read, later), Ok(2));
    }

    #[test]
    fn buckets_that_are_full_again_are_not_kept() {
        let throttle = throttle(10);
        let start = Instant::now();
        for _ in 0..10 {
            throttle.take(Uuid::new_v4(), Kind::Read, start).unwrap();
        }
        let later = start + Duration::from_secs(60);
        throttle.take(Uuid::new_v4(), Kind::Read, later).unwrap();
        assert_eq!(throttle.buckets.lock().unwrap().len(), 1);
    }
}
