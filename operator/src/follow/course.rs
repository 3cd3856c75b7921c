//! How the objects of a sync are gone through: many at once, each on its own, with the end of the
//! sync between any two of them when it is out of date.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use gitmoor_crds::ANNOTATION_CONFIRM_PRUNE;
use kube::ResourceExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Follow, at, source::Event};

/// How many objects of a sync are under way at once; the bound on requests is the process's.
const CONCURRENCY: usize = 64;

/// How long an object may take until it no longer counts as one of those: it waits for a webhook or
/// for finalizers, and others shall not wait with it.
const SLOW: Duration = Duration::from_secs(2);

/// How many objects may be under way with the slow ones. Each holds its content in memory.
const MOST: usize = 512;

impl Follow {
    /// Acts on each object, and takes in what became of it. False when that ended before all were
    /// begun; those that were are finished. `interruptible` says whether what makes the sync out of
    /// date may end it, and not the end of the process alone.
    pub(super) async fn each<W, O, F>(
        &mut self,
        works: Vec<W>,
        interruptible: bool,
        act: impl Fn(W) -> F,
        mut take: impl FnMut(&mut Self, O),
    ) -> bool
    where
        F: Future<Output = O>,
    {
        let slots = Arc::new(Semaphore::new(CONCURRENCY));
        let stop = CancellationToken::new();
        let cancel = self.cancel.clone();
        if cancel.is_cancelled() {
            return false;
        }
        let mut left = works.len();
        let outcomes = stream::iter(works)
            .then(|work| {
                let slots = Arc::clone(&slots);
                async move {
                    let slot = slots.acquire_owned().await;
                    (work, slot.expect("the semaphore is never closed"))
                }
            })
            .take_until(stop.clone().cancelled_owned())
            .map(|(work, slot)| with_slot(slot, act(work)))
            .buffer_unordered(MOST);
        let mut outcomes = std::pin::pin!(outcomes);
        loop {
            tokio::select! {
                biased;
                outcome = outcomes.next() => {
                    let Some(outcome) = outcome else { return left == 0 };
                    left -= 1;
                    take(self, outcome);
                }
                () = cancel.cancelled(), if !stop.is_cancelled() => stop.cancel(),
                () = self.out_of_date(), if interruptible && !stop.is_cancelled() => stop.cancel(),
            }
        }
    }

    /// Waits until the sync under way is out of date: the repository has a newer commit, or someone
    /// has changed the configuration. The repository is polled meanwhile.
    pub(super) async fn out_of_date(&mut self) {
        loop {
            if self.pending.is_some() || (self.unread && self.is_outdated()) {
                return;
            }
            tokio::select! {
                changed = self.newest.changed() => {
                    self.unread = true;
                    if changed.is_err() {
                        return;
                    }
                }
                event = self.source.event() => match event {
                    Event::Credentials => self.credentials_changed(),
                    Event::Answer(Ok(commit)) if Some(commit) != self.commit => {
                        self.pending = Some(Event::Answer(Ok(commit)));
                    }
                    Event::Answer(answer) => self.settle(answer.map(|_| ())),
                },
                () = at(self.poll) => self.ask(),
            }
        }
    }

    /// Whether the configuration that has not been taken in yet asks for something else.
    fn is_outdated(&self) -> bool {
        let newest = self.newest.borrow();
        let Some(newest) = newest.as_ref() else {
            return true;
        };
        let confirmation = |object: &gitmoor_crds::SourceControlConfiguration| {
            object.annotations().get(ANNOTATION_CONFIRM_PRUNE).cloned()
        };
        let instance = |object: &gitmoor_crds::SourceControlConfiguration| {
            object
                .status
                .as_ref()
                .and_then(|status| status.instance.clone())
        };
        newest.spec != self.object.spec
            || newest.metadata.uid != self.object.metadata.uid
            || newest.metadata.deletion_timestamp != self.object.metadata.deletion_timestamp
            || confirmation(newest) != confirmation(&self.object)
            || instance(newest).is_some_and(|instance| instance != self.tenant.instance)
    }
}

/// Holds a place among those under way for as long as a fast one would.
async fn with_slot<O>(slot: OwnedSemaphorePermit, act: impl Future<Output = O>) -> O {
    let mut act = std::pin::pin!(act);
    tokio::select! {
        outcome = &mut act => outcome,
        () = sleep(SLOW) => {
            drop(slot);
            act.await
        }
    }
}
