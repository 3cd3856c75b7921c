//! The portal's tenant and the keys that tokens are signed with. They are read when the store opens,
//! from time to time, and when a token names a key that another process may have made since.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use gitmoor_arm::Timestamp;
use serde_json::json;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use super::{
    Store, StoreError,
    audit::{Action, By, Change},
    database::Database,
    principals,
    rows::{broken, timestamp},
    sealing::Sealing,
};
use crate::identity::{
    self, KeyRow, Keys, LIFETIME, LONGEST_LIFETIME, Principal, Token, next_keys,
};

/// A token of an unknown key makes the keys be read again, at most this often.
const REREAD_AFTER: Duration = Duration::from_secs(5);

/// What tokens are made and recognised with.
#[derive(Debug)]
pub(super) struct Signing {
    tenant: Uuid,
    current: RwLock<Current>,
}

struct Current {
    keys: Arc<Keys>,
    read_at: Instant,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Current")
    }
}

impl Signing {
    /// Reads the tenant and the keys, and makes them when there are none.
    pub(super) async fn open(database: &Database, sealing: &Sealing) -> Result<Self, StoreError> {
        identity::install_crypto();
        sqlx::query("INSERT INTO portal (one, tenant) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(Uuid::new_v4().to_string())
            .execute(&database.writer)
            .await?;
        let tenant: String = sqlx::query_scalar("SELECT tenant FROM portal")
            .fetch_one(&database.writer)
            .await?;
        Ok(Self {
            tenant: tenant
                .parse()
                .map_err(|error: uuid::Error| broken("tenant", error))?,
            current: RwLock::new(Current {
                keys: Arc::new(read(database, sealing).await?),
                read_at: Instant::now(),
            }),
        })
    }
}

impl Store {
    /// The directory that the portal's principals are in.
    pub fn tenant(&self) -> Uuid {
        self.signing.tenant
    }

    /// The keys in use.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        let current = self.signing.current.read();
        current.unwrap_or_else(PoisonError::into_inner).keys.clone()
    }

    /// Reads the keys again, and makes a new one when it is due.
    pub(crate) async fn refresh_keys(&self) -> Result<(), StoreError> {
        let keys = Arc::new(read(&self.database, &self.sealing).await?);
        let mut current = self
            .signing
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Current {
            keys,
            read_at: Instant::now(),
        };
        Ok(())
    }

    /// The keys as they are in the database: another process may have made one, or ended one.
    async fn current_keys(&self) -> Result<Arc<Keys>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM signing_key")
            .fetch_all(&self.database.readers)
            .await?;
        if !self.keys().are(&ids) {
            self.refresh_keys().await?;
        }
        Ok(self.keys())
    }

    /// Makes another key, which signs from now on, and ends all others: every token that they signed is
    /// refused from the next request on, by every portal of the database.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn rotate_keys(&self) -> Result<(), StoreError> {
        let by = By::command_line();
        let mut transaction = self.database.begin("keys").await?;
        let old: Vec<String> = sqlx::query_scalar("DELETE FROM signing_key RETURNING id")
            .fetch_all(&mut *transaction)
            .await?;
        for id in old {
            audit(&self.sealing, &mut transaction, &by, &id, Done::Deleted).await?;
        }
        make(&self.sealing, &mut transaction, &by, Timestamp::now()).await?;
        transaction.commit().await?;
        self.refresh_keys().await
    }

    /// A token of a principal, signed without any proof of who asks: for those who hold the
    /// database. It is good for an hour, or for `lifetime`, at most a day; nothing when there is no
    /// such principal.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn issue_token(
        &self,
        principal: Uuid,
        lifetime: Option<Duration>,
    ) -> Result<Option<Token>, StoreError> {
        let lifetime = lifetime
            .and_then(|lifetime| lifetime.try_into().ok())
            .map_or(LIFETIME, |lifetime: time::Duration| {
                lifetime.min(LONGEST_LIFETIME)
            });
        let Some(token) = self.sign(principal, lifetime).await? else {
            return Ok(None);
        };
        let mut transaction = self.database.begin("principals").await?;
        let change = Change {
            by: &By::command_line(),
            action: Action::IssueToken,
            resource: &principals::resource(&principal.to_string()),
            before: None,
            after: Some(json!({"minutes": lifetime.whole_minutes()})),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(Some(token))
    }

    /// The token of a principal that has proven itself, if it is still there.
    pub(crate) async fn give_token(&self, principal: Uuid) -> Result<Option<Token>, StoreError> {
        self.sign(principal, LIFETIME).await
    }

    async fn sign(
        &self,
        principal: Uuid,
        lifetime: time::Duration,
    ) -> Result<Option<Token>, StoreError> {
        if self.principal(principal).await?.is_none() {
            return Ok(None);
        }
        let (keys, now) = (self.current_keys().await?, Timestamp::now());
        identity::issue(&keys, self.tenant(), principal, lifetime, now)
            .map(Some)
            .map_err(|error| broken("private", error))
    }

    /// Whose token this text is, if it is one of ours, good now, and of someone who is still there.
    pub(crate) async fn authenticate(&self, text: &str) -> Result<Option<Principal>, StoreError> {
        let Some(key) = identity::key_id(text) else {
            return Ok(None);
        };
        if self.keys().find(&key).is_none() && self.may_reread() {
            self.refresh_keys().await?;
        }
        let Some(id) = identity::verify(&self.keys(), self.tenant(), text) else {
            return Ok(None);
        };
        // Asked only for what was signed: what anyone sends costs the database nothing.
        if self.current_keys().await?.find(&key).is_none() {
            return Ok(None);
        }
        self.principal(id).await
    }

    fn may_reread(&self) -> bool {
        let mut current = self
            .signing
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let may = current.read_at.elapsed() >= REREAD_AFTER;
        if may {
            current.read_at = Instant::now();
        }
        may
    }
}

async fn read(database: &Database, sealing: &Sealing) -> Result<Keys, StoreError> {
    let (by, now) = (By::portal(), Timestamp::now());
    let mut transaction = database.begin("keys").await?;
    let rows = sqlx::query("SELECT id, private, created_at FROM signing_key")
        .fetch_all(&mut *transaction)
        .await?;
    let rows = rows
        .iter()
        .map(|row| {
            let id: String = row.try_get("id")?;
            Ok(KeyRow {
                private: sealing.unseal("private", &id, row.try_get("private")?)?,
                id,
                created_at: timestamp(row, "created_at")?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let before = rows.len();
    let (mut rows, due) = next_keys(rows, now);
    if due || rows.len() < before {
        if due {
            rows.push(make(sealing, &mut transaction, &by, now).await?);
        }
        let oldest = rows.first().map(|row| row.created_at.to_string());
        let old: Vec<String> =
            sqlx::query_scalar("DELETE FROM signing_key WHERE created_at < $1 RETURNING id")
                .bind(oldest)
                .fetch_all(&mut *transaction)
                .await?;
        for id in old {
            audit(sealing, &mut transaction, &by, &id, Done::Deleted).await?;
        }
        transaction.commit().await?;
    }
    Keys::read(rows, now).map_err(|_| broken("private", "a signing key cannot be read"))
}

/// Makes a key.
async fn make(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    by: &By,
    now: Timestamp,
) -> Result<KeyRow, StoreError> {
    let key =
        KeyRow::generate(now).map_err(|_| broken("private", "the machine gives no randomness"))?;
    sqlx::query("INSERT INTO signing_key (id, private, created_at) VALUES ($1, $2, $3)")
        .bind(&key.id)
        .bind(sealing.seal("private", &key.id, &key.private)?)
        .bind(key.created_at.to_string())
        .execute(&mut *connection)
        .await?;
    audit(sealing, connection, by, &key.id, Done::Made).await?;
    tracing::info!(key = key.id, "a key to sign tokens with was made");
    Ok(key)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Made,
    Deleted,
}

async fn audit(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    by: &By,
    id: &str,
    done: Done,
) -> Result<(), StoreError> {
    let key = Some(json!({"key": id}));
    let (action, before, after) = match done {
        Done::Made => (Action::CreateSigningKey, None, key),
        Done::Deleted => (Action::DeleteSigningKey, key, None),
    };
    let change = Change {
        by,
        action,
        resource: "/providers/Gitmoor.Portal/signingKeys",
        before,
        after,
    };
    change.record(sealing, connection).await
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        Portal, Settings,
        store::tests::{CLUSTER, each_engine},
    };

    /// Lets a key be made so many hours before now.
    async fn age(store: &Store, key: &str, hours: i64) {
        let then = Timestamp(Timestamp::now().0 - time::Duration::hours(hours));
        let aged = sqlx::query("UPDATE signing_key SET created_at = $1 WHERE id = $2")
            .bind(then.to_string())
            .bind(key)
            .execute(&store.database.writer)
            .await
            .unwrap();
        assert_eq!(aged.rows_affected(), 1);
    }

    async fn until(is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), wait).await.unwrap();
    }

    #[tokio::test]
    async fn a_running_portal_signs_with_another_key_in_time_and_knows_the_old_one_for_a_while() {
        for place in each_engine() {
            let settings = Settings {
                listen: ([127, 0, 0, 1], 0).into(),
                ..place.settings()
            };
            let mut portal = Portal::bind(settings).await.unwrap();
            portal.keys_reread_after = Duration::from_millis(20);
            let store = portal.store().clone();
            let agent = store.create_agent(&CLUSTER.parse().unwrap()).await.unwrap();
            let token = store.issue_token(agent.id(), None).await.unwrap().unwrap();
            let cancel = CancellationToken::new();
            let serving = tokio::spawn(portal.serve(cancel.clone()));
            let keys = || {
                let keys = store.keys().key_set()["keys"].take();
                let ids = keys.as_array().unwrap().iter();
                ids.map(|key| key["kid"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            let signing = || store.keys().signing().unwrap().id.clone();
            let is_good = async || store.authenticate(token.expose()).await.unwrap().is_some();
            let old = signing();
            // A day before it is due, the next one is known to everyone.
            age(&store, &old, 29 * 24).await;
            until(|| keys().len() == 2).await;
            assert_eq!(signing(), old);
            let new = keys().into_iter().find(|key| *key != old).unwrap();
            age(&store, &new, 24).await;
            until(|| signing() == new).await;
            assert!(is_good().await);
            // No token lives for longer than a day.
            age(&store, &new, 4 * 24).await;
            until(|| keys() == [new.as_str()]).await;
            assert!(!is_good().await);
            cancel.cancel();
            serving.await.unwrap();
        }
    }
}
