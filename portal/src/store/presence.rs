//! When the agents were last seen, and what they said of their clusters. Kept in memory and written
//! together from time to time: an agent that polls twice a minute must not cost a write each time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gitmoor_arm::{ClusterId, Timestamp};
use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};
use tokio::time::sleep;

use super::{
    Store, StoreError,
    changes::News,
    rows::{broken, timestamp},
};

/// An agent that has not called for so long is offline, as in Azure.
pub(crate) const OFFLINE_AFTER: time::Duration = time::Duration::minutes(15);

/// How often it is written; a cluster counts as offline only after many times that.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// How many are written by one statement.
const ROWS: usize = 200;

/// What an agent says of its cluster when it calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) agent_version: Option<String>,
    pub(crate) kubernetes_version: Option<String>,
    pub(crate) nodes: Option<u32>,
}

/// An agent, when it last called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) said: Said,
}

/// Those who called, by cluster.
#[derive(Debug, Default)]
pub(super) struct Presence {
    unwritten: Mutex<HashMap<String, (ClusterId, Seen)>>,
    /// When, of those that are written too.
    last: Mutex<HashMap<String, Timestamp>>,
}

/// The columns that [`Store::read_seen`] reads.
macro_rules! seen_columns {
    () => {
        "p.last_seen, p.agent_version, p.kubernetes_version, p.nodes"
    };
}
pub(super) use seen_columns;

impl Seen {
    /// What was said last holds until something else is said.
    fn after(mut self, before: &Self) -> Self {
        let (said, earlier) = (&mut self.said, &before.said);
        for (now, earlier) in [
            (&mut said.agent_version, &earlier.agent_version),
            (&mut said.kubernetes_version, &earlier.kubernetes_version),
        ] {
            if now.is_none() {
                now.clone_from(earlier);
            }
        }
        said.nodes = said.nodes.or(earlier.nodes);
        self
    }
}

impl Store {
    /// Remembers that the agent of a cluster has called.
    pub(crate) fn saw(&self, cluster: &ClusterId, said: Said) {
        let seen = Seen {
            at: Timestamp::now(),
            said,
        };
        let key = cluster.as_str().to_ascii_lowercase();
        let back = self.presence.is_back(&key, seen.at);
        self.presence.add(cluster, seen);
        if back {
            self.changes.show(News::Cluster(key));
        }
    }

    /// Writes what was seen from time to time, for ever.
    pub(crate) async fn keep_presence(&self) {
        loop {
            sleep(WRITE_EVERY).await;
            self.write_presence().await;
        }
    }

    /// What is known of the agent of a cluster: of memory and the row, the newest.
    pub(super) fn read_seen(
        &self,
        cluster: &str,
        row: &AnyRow,
    ) -> Result<Option<Seen>, StoreError> {
        let written = row.try_get::<Option<&str>, _>("last_seen")?.is_some();
        let written = written.then(|| read(row)).transpose()?;
        let unwritten = self
            .presence
            .lock()
            .get(cluster)
            .map(|(_, seen)| seen.clone());
        Ok(match (written, unwritten) {
            (Some(written), Some(unwritten)) if written.at > unwritten.at => {
                Some(written.after(&unwritten))
            }
            (Some(written), Some(unwritten)) => Some(unwritten.after(&written)),
            (written, unwritten) => written.or(unwritten),
        })
    }

    /// The agent of a cluster, when it last called.
    pub(crate) async fn seen(&self, id: &ClusterId) -> Result<Option<Seen>, StoreError> {
        let key = id.as_str().to_ascii_lowercase();
        let row = sqlx::query(concat!(
            "SELECT ",
            seen_columns!(),
            " FROM presence p WHERE p.cluster = $1"
        ))
        .bind(&key)
        .fetch_optional(&self.database.readers)
        .await?;
        match row {
            Some(row) => self.read_seen(&key, &row),
            None => {
                let unwritten = self.presence.lock();
                Ok(unwritten.get(&key).map(|(_, seen)| seen.clone()))
            }
        }
    }

    /// All that were seen, by cluster.
    pub(super) async fn all_seen(&self) -> Result<HashMap<String, (ClusterId, Seen)>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT p.cluster, p.id, ",
            seen_columns!(),
            " FROM presence p"
        ))
        .fetch_all(&self.database.readers)
        .await?;
        let mut all = self.presence.lock().clone();
        for row in &rows {
            let key: String = row.try_get("cluster")?;
            let id: &str = row.try_get("id")?;
            let id = id.parse().map_err(|error| broken("id", error))?;
            if let Some(seen) = self.read_seen(&key, row)? {
                all.insert(key, (id, seen));
            }
        }
        Ok(all)
    }

    /// Forgets those who called, of a cluster or a group, in lower case, that is gone. Whoever still
    /// calls is seen again.
    pub(super) async fn forget_seen(&self, scope: &str) {
        let stays = |cluster: &str| {
            let below = cluster.strip_prefix(scope);
            !below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        self.presence.lock().retain(|cluster, _| stays(cluster));
        {
            let last = &self.presence.last;
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            last.retain(|cluster, _| stays(cluster));
        }
        // This portal may have written them again before it knew.
        if let Err(error) = self.delete_seen(scope).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "when agents were seen whose clusters are gone was not deleted"
            );
        }
    }

    async fn delete_seen(&self, scope: &str) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM presence \
             WHERE cluster = $1 OR substr(cluster, 1, length($1) + 1) = $1 || '/'",
        )
        .bind(scope)
        .execute(&self.database.writer)
        .await?;
        Ok(())
    }

    /// Writes what was seen. What fails is kept for the next time.
    pub(super) async fn write_presence(&self) {
        let mut seen: Vec<_> = self.presence.lock().clone().into_iter().collect();
        // Several portals that write do not wait for each other in a circle.
        seen.sort_by(|(one, _), (other, _)| one.cmp(other));
        for rows in seen.chunks(ROWS) {
            if let Err(error) = self.write_rows(rows).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "when agents were seen was not written; it is tried again"
                );
                return;
            }
        }
    }

    async fn write_rows(&self, rows: &[(String, (ClusterId, Seen))]) -> Result<(), StoreError> {
        self.write_seen(rows).await?;
        // A cluster that was deleted since they were taken does not come back.
        for gone in self.presence.written(rows) {
            self.delete_seen(gone).await?;
        }
        Ok(())
    }

    async fn write_seen(&self, rows: &[(String, (ClusterId, Seen))]) -> Result<(), StoreError> {
        let places = (0..rows.len()).map(|row| {
            let places = (1..=6).map(|column| format!("${}", row * 6 + column));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        });
        let query = format!(
            "INSERT INTO presence \
                 (cluster, id, last_seen, agent_version, kubernetes_version, nodes) VALUES {} \
             ON CONFLICT (cluster) DO UPDATE SET \
                 last_seen = excluded.last_seen, \
                 agent_version = coalesce(excluded.agent_version, presence.agent_version), \
                 kubernetes_version = \
                     coalesce(excluded.kubernetes_version, presence.kubernetes_version), \
                 nodes = coalesce(excluded.nodes, presence.nodes) \
             WHERE excluded.last_seen >= presence.last_seen",
            places.collect::<Vec<_>>().join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(query));
        let query = rows.iter().fold(query, |query, (cluster, (id, seen))| {
            query
                .bind(cluster)
                .bind(id.as_str())
                .bind(seen.at.to_string())
                .bind(&seen.said.agent_version)
                .bind(&seen.said.kubernetes_version)
                .bind(seen.said.nodes.map(i64::from))
        });
        query.execute(&self.database.writer).await?;
        Ok(())
    }
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (ClusterId, Seen)>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an agent that calls now is one that did not, as far as this process knows: then people
    /// see something else.
    fn is_back(&self, cluster: &str, now: Timestamp) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.insert(cluster.to_owned(), now);
        before.is_none_or(|before| now.0 - before.0 > OFFLINE_AFTER)
    }

    fn add(&self, cluster: &ClusterId, seen: Seen) {
        let mut all = self.lock();
        let key = cluster.as_str().to_ascii_lowercase();
        let seen = match all.get(&key) {
            Some((_, before)) => seen.after(before),
            None => seen,
        };
        all.insert(key, (cluster.clone(), seen));
    }

    /// Drops what is in the database now; who called meanwhile is written the next time. Gives those
    /// that were forgotten meanwhile.
    fn written<'a>(&self, rows: &'a [(String, (ClusterId, Seen))]) -> Vec<&'a str> {
        let mut all = self.lock();
        let mut gone = Vec::new();
        for (cluster, (_, seen)) in rows {
            match all.get(cluster) {
                Some((_, now)) if now == seen => drop(all.remove(cluster)),
                Some(_) => {}
                None => gone.push(cluster.as_str()),
            }
        }
        gone
    }
}

fn read(row: &AnyRow) -> Result<Seen, StoreError> {
    let nodes: Option<i64> = row.try_get("nodes")?;
    Ok(Seen {
        at: timestamp(row, "last_seen")?,
        said: Said {
            agent_version: row.try_get("agent_version")?,
            kubernetes_version: row.try_get("kubernetes_version")?,
            nodes: nodes.and_then(|nodes| nodes.try_into().ok()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        audit::By,
        changes::Told,
        configurations::Condition,
        tests::{CLUSTER, each_engine, open},
    };

    fn seen(at: &str, version: Option<&str>, nodes: Option<u32>) -> Seen {
        Seen {
            at: at.parse().unwrap(),
            said: Said {
                agent_version: version.map(str::to_owned),
                kubernetes_version: None,
                nodes,
            },
        }
    }

    async fn shown(store: &Store) -> Option<Seen> {
        let key = CLUSTER.to_ascii_lowercase();
        store
            .all_seen()
            .await
            .unwrap()
            .remove(&key)
            .map(|(_, seen)| seen)
    }

    #[tokio::test]
    async fn of_several_portals_the_newest_call_is_shown() {
        for place in each_engine() {
            let (first, second) = (open(&place).await, open(&place).await);
            let cluster = CLUSTER.parse().unwrap();
            let early = seen("2026-01-01T00:00:00Z", Some("0.1.0"), Some(3));
            let late = seen("2026-01-01T00:05:00Z", Some("0.2.0"), None);
            first.presence.add(&cluster, early.clone());
            second.presence.add(&cluster, late.clone());
            second.write_presence().await;
            // Its own memory is older than what the other wrote.
            let both = seen("2026-01-01T00:05:00Z", Some("0.2.0"), Some(3));
            assert_eq!(shown(&first).await, Some(both.clone()));
            // Nor does it write over it.
            first.write_presence().await;
            assert_eq!(shown(&second).await.unwrap().at, late.at);
            // What is not said again stays as it was.
            let latest = seen("2026-01-01T00:10:00Z", None, Some(4));
            first.presence.add(&cluster, latest);
            let wanted = seen("2026-01-01T00:10:00Z", Some("0.2.0"), Some(4));
            assert_eq!(shown(&first).await, Some(wanted.clone()));
            first.write_presence().await;
            assert!(first.presence.lock().is_empty());
            for store in [&first, &second] {
                assert_eq!(shown(store).await, Some(wanted.clone()));
            }
        }
    }

    #[tokio::test]
    async fn more_clusters_than_one_statement_takes_are_all_written() {
        for place in each_engine() {
            let store = open(&place).await;
            for number in 0..=ROWS {
                let cluster = format!("{CLUSTER}-{number}").parse().unwrap();
                store.saw(&cluster, Said::default());
            }
            store.write_presence().await;
            assert!(store.presence.lock().is_empty());
            assert_eq!(store.all_seen().await.unwrap().len(), ROWS + 1);
        }
    }

    #[tokio::test]
    async fn a_cluster_that_is_deleted_while_it_is_written_does_not_come_back() {
        for place in each_engine() {
            let store = open(&place).await;
            let cluster = CLUSTER.parse().unwrap();
            store.saw(&cluster, Said::default());
            let taken: Vec<_> = store.presence.lock().clone().into_iter().collect();
            let (by, any) = (By::named("test"), Condition::default());
            store.delete_cluster(&cluster, &by, &any).await.unwrap();
            store.write_rows(&taken).await.unwrap();
            assert_eq!(shown(&store).await, None);
        }
    }

    #[tokio::test]
    async fn a_cluster_that_is_written_before_its_end_is_heard_of_does_not_come_back() {
        let group = "/subscriptions/3f1c/resourcegroups/edge".to_owned();
        for place in each_engine() {
            for scope in [CLUSTER.to_ascii_lowercase(), group.clone()] {
                let (deletes, hears) = (open(&place).await, open(&place).await);
                let cluster = CLUSTER.parse().unwrap();
                hears.saw(&cluster, Said::default());
                let (by, any) = (By::named("test"), Condition::default());
                deletes.delete_cluster(&cluster, &by, &any).await.unwrap();
                hears.write_presence().await;
                assert!(shown(&deletes).await.is_some());
                hears.hear(Told::Gone(scope)).await;
                assert_eq!(shown(&deletes).await, None);
            }
        }
    }

    #[tokio::test]
    async fn a_cluster_that_nobody_registered_is_seen() {
        for place in each_engine() {
            let store = open(&place).await;
            store.saw(&CLUSTER.parse().unwrap(), Said::default());
            for _ in 0..2 {
                let summaries = store.summaries().await.unwrap();
                let ids: Vec<_> = summaries.values().map(|one| one.id.as_str()).collect();
                assert_eq!(ids, [CLUSTER]);
                assert!(summaries.values().all(|one| one.seen.is_some()));
                store.write_presence().await;
            }
        }
    }
}
