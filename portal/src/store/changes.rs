//! Who waits for a change of a cluster's configurations, and how they learn of one: from this process
//! at once, and from the others in front of the same PostgreSQL by its notifications. Agents wait for
//! what is desired alone, people for all that they see.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gitmoor_arm::ClusterId;
use sha2::{Digest as _, Sha256};
use sqlx::{Any, AnyConnection, Row as _, Transaction, postgres::PgListener};
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{Store, StoreError, database::Engine, location::Place};

/// The channels of PostgreSQL, before the directory's id: another schema of the same database has its
/// own. What is told is the cluster, in lower case, or nothing for all of them. The second is of what
/// only people look at, the third of clusters and groups that were deleted, the last of nothing:
/// whoever hears it knows that it still hears.
const CHANNEL: &str = "gitmoor_configurations";
const SHOWN_CHANNEL: &str = "gitmoor_shown";
const GONE_CHANNEL: &str = "gitmoor_gone";
const HEARTBEAT_CHANNEL: &str = "gitmoor_heartbeat";

/// How often each portal says something on that one. A connection that is half open would else look
/// like one on which there is no news.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How many may be missed.
const MISSED_HEARTBEATS: u32 = 3;

/// How much news may wait for a page that is busy; it looks at everything when there was more.
const NEWS: usize = 1024;

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

/// Who is told of a change of a cluster, which is in lower case; of any, when it is empty.
pub(super) enum Told {
    /// Agents, and people: what is desired is another.
    Desired(String),
    /// People alone.
    Shown(String),
    /// The same as of what is desired, and when its agent called is forgotten: the cluster is deleted,
    /// or this group with all its clusters.
    Gone(String),
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

    fn of<'a>(&'a self, cluster: &'a str) -> Waiting<'a> {
        let mut waiting = self.waiting();
        let notify = match waiting.get(cluster) {
            Some(notify) => Arc::clone(notify),
            None => Arc::clone(waiting.entry(cluster.to_owned()).or_default()),
        };
        Waiting {
            changes: self,
            cluster,
            notify,
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

/// Someone who waits, until they are told or their request is cancelled.
struct Waiting<'a> {
    changes: &'a Changes,
    cluster: &'a str,
    notify: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.changes.waiting();
        // The map's and this one: nobody else waits.
        if Arc::strong_count(&self.notify) == 2 {
            waiting.remove(self.cluster);
        }
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
        let waiting = self.changes.of(&key);
        let wait = async {
            loop {
                let told = waiting.notify.notified();
                let mut told = std::pin::pin!(told);
                // From now on nothing is missed, also while the list is looked at.
                told.as_mut().enable();
                if !known.contains(&self.list_etag(cluster).await?) {
                    return Ok(());
                }
                told.await;
            }
        };
        timeout_at(until, wait).await.unwrap_or(Ok(()))
    }

    /// What is new from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.changes.news.subscribe()
    }

    /// Commits a change, and tells of it here and at the other portals, also when whoever asked for it
    /// does not wait for the answer.
    pub(super) async fn commit(
        &self,
        mut transaction: Transaction<'static, Any>,
        told: Told,
    ) -> Result<(), StoreError> {
        let (channel, of) = match &told {
            Told::Desired(cluster) => (CHANNEL, cluster),
            Told::Shown(cluster) => (SHOWN_CHANNEL, cluster),
            Told::Gone(scope) => (GONE_CHANNEL, scope),
        };
        self.notify(&mut transaction, channel, of).await?;
        let store = self.clone();
        let committed = tokio::spawn(async move {
            transaction.commit().await?;
            store.hear(told).await;
            Ok(())
        });
        committed
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    pub(super) async fn hear(&self, told: Told) {
        match told {
            Told::Desired(cluster) => self.changes.tell(&cluster),
            Told::Shown(cluster) => self.changes.show(News::Cluster(cluster)),
            Told::Gone(scope) => {
                self.forget_seen(&scope).await;
                // Nobody is told which clusters a group had.
                let cluster = scope.parse::<ClusterId>().is_ok();
                self.changes.tell(if cluster { &scope } else { "" });
            }
        }
    }

    async fn notify(
        &self,
        connection: &mut AnyConnection,
        channel: &str,
        of: &str,
    ) -> Result<(), sqlx::Error> {
        if self.database.engine == Engine::Postgres {
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(self.channel(channel))
                .bind(of)
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
        self.follow_changes_every(HEARTBEAT).await;
    }

    async fn follow_changes_every(&self, heartbeat: Duration) {
        let Place::Postgres(url) = &self.location.0 else {
            return std::future::pending().await;
        };
        let listen = async {
            loop {
                if let Err(error) = self.listen(url.as_str(), heartbeat).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "changes by other portals are not heard of; agents learn of them when they call again"
                    );
                }
                sleep(LISTEN_AGAIN.min(heartbeat)).await;
            }
        };
        let beat = async {
            loop {
                sleep(heartbeat).await;
                if let Err(error) = self.beat().await {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "a heartbeat was not sent");
                }
            }
        };
        tokio::join!(listen, beat);
    }

    async fn beat(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.database.readers.acquire().await?;
        self.notify(&mut connection, HEARTBEAT_CHANNEL, "").await
    }

    async fn listen(&self, url: &str, heartbeat: Duration) -> Result<(), sqlx::Error> {
        let silence = heartbeat * MISSED_HEARTBEATS;
        let silent = || sqlx::Error::Io(io::ErrorKind::TimedOut.into());
        let [desired, shown, gone, heartbeat] =
            [CHANNEL, SHOWN_CHANNEL, GONE_CHANNEL, HEARTBEAT_CHANNEL]
                .map(|name| self.channel(name));
        let channels = [&desired, &shown, &gone, &heartbeat];
        let connected = async {
            let mut listener = PgListener::connect(url).await?;
            listener
                .listen_all(channels.map(String::as_str))
                .await
                .map(|()| listener)
        };
        let connected = timeout(silence, connected).await;
        let mut listener = connected.unwrap_or_else(|_| Err(silent()))?;
        loop {
            // Whoever waited while nobody listened looks for itself.
            self.changes.tell("");
            loop {
                let told = timeout(silence, listener.try_recv()).await;
                let Some(told) = told.unwrap_or_else(|_| Err(silent()))? else {
                    break;
                };
                let (channel, of) = (told.channel(), told.payload().to_owned());
                if channel == desired {
                    self.hear(Told::Desired(of)).await;
                } else if channel == shown {
                    self.hear(Told::Shown(of)).await;
                } else if channel == gone {
                    self.hear(Told::Gone(of)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
