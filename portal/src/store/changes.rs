//! Who waits for a change of a cluster's configurations, and how they learn of one: from this process
//! at once, and from the others in front of the same PostgreSQL by its notifications. Agents wait for
//! what is desired alone, people for all that they see.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gitmoor_arm::ClusterId;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _, postgres::PgListener};
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, sleep, timeout_at},
};

use super::{Store, StoreError, database::Engine, location::Place};

/// The channels of PostgreSQL, before the directory's id: another schema of the same database has its
/// own. What is told is the cluster, in lower case, or nothing for all of them. The second is of what
/// only people look at.
const CHANNEL: &str = "gitmoor_configurations";
const SHOWN_CHANNEL: &str = "gitmoor_shown";

/// How much news may wait for a page that is busy; it looks at everything when there was more.
const NEWS: usize = 64;

/// How long to wait before PostgreSQL is listened to again.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// What people look at is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Something of this cluster, which is in lower case; of any, when it is empty.
    Cluster(String),
    /// Someone is signed out, who may still look at something.
    SignedOut,
}

/// Those who wait, by cluster, and those who look at a page.
#[derive(Debug)]
pub(super) struct Changes {
    waiting: Mutex<HashMap<String, Arc<Notify>>>,
    news: broadcast::Sender<News>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            news: broadcast::Sender::new(NEWS),
        }
    }
}

impl Changes {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, cluster: &str) -> Arc<Notify> {
        let mut waiting = self.waiting();
        match waiting.get(cluster) {
            Some(notify) => Arc::clone(notify),
            None => Arc::clone(waiting.entry(cluster.to_owned()).or_default()),
        }
    }

    /// Nobody waits any more, perhaps.
    fn leave(&self, cluster: &str, notify: Arc<Notify>) {
        let mut waiting = self.waiting();
        drop(notify);
        if waiting
            .get(cluster)
            .is_some_and(|one| Arc::strong_count(one) == 1)
        {
            waiting.remove(cluster);
        }
    }

    /// Tells those who wait for a cluster; for any, when it is empty.
    pub(super) fn tell(&self, cluster: &str) {
        let waiting = self.waiting();
        let all = waiting
            .iter()
            .filter(|(key, _)| cluster.is_empty() || *key == cluster);
        for (_, notify) in all {
            notify.notify_waiters();
        }
        drop(waiting);
        self.show(News::Cluster(cluster.to_owned()));
    }

    /// Tells those alone who look at a page.
    pub(super) fn show(&self, news: News) {
        // That nobody looks is no fault.
        let _ = self.news.send(news);
    }
}

impl Store {
    /// The version of a cluster's list: another one after each change of what is desired.
    pub(crate) async fn list_etag(&self, cluster: &ClusterId) -> Result<String, StoreError> {
        let rows =
            sqlx::query("SELECT name, etag FROM configuration WHERE cluster = $1 ORDER BY name")
                .bind(cluster.as_str().to_ascii_lowercase())
                .fetch_all(&self.database.readers)
                .await?;
        let mut hash = Sha256::new();
        for row in rows {
            for column in ["name", "etag"] {
                hash.update(row.try_get::<&str, _>(column)?);
                hash.update([0]);
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_at(16);
        Ok(first.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Waits until the list is of another version than those, or the time is over.
    pub(crate) async fn changed(
        &self,
        cluster: &ClusterId,
        known: &[String],
        until: Instant,
    ) -> Result<(), StoreError> {
        let key = cluster.as_str().to_ascii_lowercase();
        let notify = self.changes.of(&key);
        let wait = async {
            loop {
                let told = notify.notified();
                let mut told = std::pin::pin!(told);
                // From now on nothing is missed, also while the list is looked at.
                told.as_mut().enable();
                if !known.contains(&self.list_etag(cluster).await?) {
                    return Ok(());
                }
                told.await;
            }
        };
        let result = timeout_at(until, wait).await.unwrap_or(Ok(()));
        self.changes.leave(&key, notify);
        result
    }

    /// What is new from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.changes.news.subscribe()
    }

    /// Tells the other portals of a change when it is committed.
    pub(super) async fn announce(
        &self,
        connection: &mut AnyConnection,
        cluster: &str,
    ) -> Result<(), StoreError> {
        self.notify(connection, CHANNEL, cluster).await
    }

    /// The same of what only people look at.
    pub(super) async fn announce_shown(
        &self,
        connection: &mut AnyConnection,
        cluster: &str,
    ) -> Result<(), StoreError> {
        self.notify(connection, SHOWN_CHANNEL, cluster).await
    }

    async fn notify(
        &self,
        connection: &mut AnyConnection,
        channel: &str,
        cluster: &str,
    ) -> Result<(), StoreError> {
        if self.database.engine == Engine::Postgres {
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(self.channel(channel))
                .bind(cluster)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    fn channel(&self, name: &str) -> String {
        format!("{name}_{}", self.tenant().simple())
    }

    /// Listens to the other portals, for ever.
    pub(crate) async fn follow_changes(&self) {
        let Place::Postgres(url) = &self.location.0 else {
            return std::future::pending().await;
        };
        loop {
            if let Err(error) = self.listen(url.as_str()).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "changes by other portals are not heard of; agents learn of them when they call again"
                );
            }
            sleep(LISTEN_AGAIN).await;
        }
    }

    async fn listen(&self, url: &str) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect(url).await?;
        let shown = self.channel(SHOWN_CHANNEL);
        listener
            .listen_all([self.channel(CHANNEL).as_str(), &shown])
            .await?;
        loop {
            // Whoever waited while nobody listened looks for itself.
            self.changes.tell("");
            while let Some(told) = listener.try_recv().await? {
                if told.channel() == shown {
                    let cluster = told.payload().to_owned();
                    self.changes.show(News::Cluster(cluster));
                } else {
                    self.changes.tell(told.payload());
                }
            }
        }
    }
}
