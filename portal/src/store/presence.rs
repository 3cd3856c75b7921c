//! When the agents were last seen. Kept in memory and written together from time to time: an agent
//! that polls twice a minute must not cost a write each time.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use gitmoor_arm::{ClusterId, Timestamp};

use super::{Store, StoreError};

/// An agent that has not called for so long is offline, as in Azure.
pub(crate) const OFFLINE_AFTER: time::Duration = time::Duration::minutes(15);

/// How often it is written; a cluster counts as offline only after many times that.
const WRITE_AFTER: Duration = Duration::from_secs(60);

/// An agent, when it called.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) agent_version: Option<String>,
}

/// Those who called since it was last written, by cluster.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Current>);

#[derive(Debug, Default)]
struct Current {
    seen: HashMap<String, Seen>,
    written_at: Option<Instant>,
}

impl Store {
    /// Remembers that the agent of a cluster has called.
    pub(crate) async fn saw(&self, cluster: &ClusterId, agent_version: Option<String>) {
        let due = {
            let mut current = self.presence.lock();
            let seen = Seen {
                at: Timestamp::now(),
                agent_version,
            };
            current
                .seen
                .insert(cluster.as_str().to_ascii_lowercase(), seen);
            let now = Instant::now();
            let written_at = *current.written_at.get_or_insert(now);
            let due = now - written_at >= WRITE_AFTER;
            if due {
                current.written_at = Some(now);
            }
            due
        };
        if due {
            self.write_presence().await;
        }
    }

    /// What is not written yet of a cluster.
    pub(super) fn seen(&self, cluster: &str) -> Option<Seen> {
        self.presence.lock().seen.get(cluster).cloned()
    }

    /// Writes what was seen. What fails is kept for the next time.
    pub(super) async fn write_presence(&self) {
        let seen = mem::take(&mut self.presence.lock().seen);
        if seen.is_empty() {
            return;
        }
        if let Err(error) = self.write_seen(&seen).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "when agents were seen was not written"
            );
            let mut current = self.presence.lock();
            for (cluster, seen) in seen {
                current.seen.entry(cluster).or_insert(seen);
            }
        }
    }

    async fn write_seen(&self, seen: &HashMap<String, Seen>) -> Result<(), StoreError> {
        let mut transaction = self.database.begin("presence").await?;
        for (cluster, seen) in seen {
            sqlx::query(
                "UPDATE cluster SET last_seen = $1, agent_version = coalesce($2, agent_version) \
                 WHERE cluster = $3",
            )
            .bind(seen.at.to_string())
            .bind(&seen.agent_version)
            .bind(cluster)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

impl Presence {
    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
