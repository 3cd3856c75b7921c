//! How many of something one principal may hold at once, so that the others have theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Those who hold nothing are looked for when there are so many, or twice as many as the last time
/// held something: each time reads all of them.
const MANY: usize = 4096;

/// The same number of places for each principal.
pub(super) struct Shares {
    each: usize,
    of: Mutex<Places>,
}

struct Places {
    of: HashMap<Uuid, Arc<Semaphore>>,
    /// When those who hold nothing are looked for again.
    many: usize,
}

impl Shares {
    pub(super) fn new(each: usize) -> Self {
        Self {
            each,
            of: Mutex::new(Places {
                of: HashMap::new(),
                many: MANY,
            }),
        }
    }

    /// A place, when there is one.
    pub(super) async fn take(&self, principal: Uuid) -> OwnedSemaphorePermit {
        let place = self.of(principal).acquire_owned().await;
        place.expect("the semaphore is never closed")
    }

    /// A place, if there is one.
    pub(super) fn try_take(&self, principal: Uuid) -> Option<OwnedSemaphorePermit> {
        self.of(principal).try_acquire_owned().ok()
    }

    fn of(&self, principal: Uuid) -> Arc<Semaphore> {
        let mut places = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let Places { of, many } = &mut *places;
        if of.len() >= *many {
            of.retain(|_, places| Arc::strong_count(places) > 1);
            *many = MANY.max(2 * of.len());
        }
        let places = of.entry(principal);
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_as_many_and_who_holds_none_is_forgotten() {
        let (shares, alice) = (Shares::new(2), Uuid::new_v4());
        let held = [shares.try_take(alice), shares.try_take(alice)];
        assert!(held.iter().all(Option::is_some));
        for _ in 0..MANY {
            assert!(shares.try_take(Uuid::new_v4()).is_some());
        }
        assert!(shares.try_take(alice).is_none());
        assert!(shares.of.lock().unwrap().of.len() < 3);
        drop(held);
        assert!(shares.try_take(alice).is_some());
    }

    #[test]
    fn those_who_hold_nothing_are_not_looked_for_at_each_call_of_many_who_do() {
        let shares = Shares::new(1);
        let known = || shares.of.lock().unwrap().of.len();
        let take = || shares.try_take(Uuid::new_v4()).unwrap();
        let held: Vec<_> = (0..MANY).map(|_| take()).collect();
        for _ in 0..3 {
            drop(take());
        }
        assert_eq!(known(), MANY + 3);
        drop(held);
        for _ in 0..MANY {
            drop(take());
        }
        assert!(known() < MANY, "{}", known());
    }
}
