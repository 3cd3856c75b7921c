//! What is written down: the status, and the inventory from time to time.

use tokio::time::{Duration, Instant};

use super::{Follow, prune};
use crate::{metrics::State, pace::jitter, report::WriteError, tenant::Chain};

/// How long digests and fingerprints may be ahead of their copy in the cluster: a stale copy costs
/// an apply that changes nothing.
const CHECKPOINT: Duration = Duration::from_secs(30);

impl Follow {
    /// Writes the status, and tells what is new in it.
    pub(super) async fn report(&mut self) {
        let mut problems = self.read_problems.clone();
        problems.extend(self.plan_problems.iter().cloned());
        problems.extend(self.object_problems.values().cloned());
        problems.extend(self.health_problems());
        self.facts.problems = prune::blocked_once(problems);
        self.facts.counts.total = u32::try_from(self.inventory.touched()).unwrap_or(u32::MAX);
        self.facts.waits_for = self.waits_for_health();
        let unhealthy = self.unwell().count();
        self.facts.counts.unhealthy = u32::try_from(unhealthy).unwrap_or(u32::MAX);
        let failed = self.object_problems.len();
        self.meter.objects(State::Unhealthy, unhealthy);
        self.meter.objects(State::Managed, self.inventory.touched());
        self.meter.objects(State::Failed, failed);
        self.facts.inventory = self.states();
        let result = self.reporter.write(&self.facts).await;
        let problems = std::mem::take(&mut self.facts.problems);
        match result {
            Ok(()) => self.tell_report(&problems),
            // The watch brings what changed; a moment later this is tried again.
            Err(WriteError::Changed) => {
                tracing::debug!("the configuration changed while the status was written")
            }
            Err(error) => tracing::warn!(error = %Chain(&error), "status not written"),
        }
    }

    /// Has the inventory written soon, if there is something to write.
    pub(super) fn changed_inventory(&mut self) {
        if self.inventory.is_stale() && self.checkpoint.is_none() {
            self.checkpoint = Some(Instant::now() + jitter(CHECKPOINT));
        }
    }

    /// Writes the chunks of the inventory of which the cluster has an older state.
    pub(super) async fn write_checkpoint(&mut self) {
        self.checkpoint = None;
        if !self.inventory.is_stale() {
            return;
        }
        if let Err(error) = self.store.checkpoint(&mut self.inventory).await {
            tracing::warn!(error = %Chain(&error), "the inventory was not written");
            if let Err(error) = self.store.reread_versions().await {
                tracing::warn!(error = %Chain(&error), "the inventory was not read");
            }
            self.checkpoint = Some(Instant::now() + jitter(CHECKPOINT));
        }
    }
}
