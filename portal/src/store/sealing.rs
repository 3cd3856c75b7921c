//! What the database holds is sealed with a data key, and that with the key of the settings: another
//! one of those seals a few bytes anew, and no row.

use std::{fmt, sync::Arc};

use gitmoor_arm::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    StoreError,
    audit::{Action, By, Change},
    database::Database,
    rows::{broken, text},
};
use crate::encryption::{DataKey, EncryptionError, KEY, Key, MasterKeys, random};

/// Seals and opens values of the database. A clone shares the key.
#[derive(Clone)]
pub(super) struct Sealing(Arc<DataKey>);

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

/// The data key as a key of the settings sealed it.
struct Wrapped {
    id: String,
    sealed: Vec<u8>,
    sealed_by: String,
}

impl Sealing {
    /// Reads the data key, and makes it when there is none. It is there once for each key of the
    /// settings that is in use. The current one takes over when it is not the newest, and that one is
    /// among the previous ones: a portal that knows nothing of the newest leaves all as it is. Those
    /// that are no longer named go when the newest is the current one.
    pub(super) async fn open(database: &Database, keys: &MasterKeys) -> Result<Self, StoreError> {
        let mut transaction = database.begin("data key").await?;
        let rows =
            sqlx::query("SELECT id, sealed, sealed_by FROM data_key ORDER BY created_at, id")
                .fetch_all(&mut *transaction)
                .await?;
        let read = |row: &AnyRow| {
            Ok::<_, sqlx::Error>(Wrapped {
                id: row.try_get("id")?,
                sealed: row.try_get("sealed")?,
                sealed_by: row.try_get("sealed_by")?,
            })
        };
        let rows: Vec<Wrapped> = rows.iter().map(read).collect::<Result<_, _>>()?;
        let current = keys.current.id();
        let Some(newest) = rows.last().map(|row| row.sealed_by.as_str()) else {
            let key = random::<KEY>()?;
            insert(&mut transaction, &keys.current, &key).await?;
            let sealing = Self::of(&key);
            sealing.audit(&mut transaction, None, Some(current)).await?;
            transaction.commit().await?;
            return Ok(sealing);
        };
        let known = |id: &str| {
            let mut all = std::iter::once(&keys.current).chain(&keys.previous);
            all.find(|key| key.id() == id)
        };
        let opened = rows
            .iter()
            .rev()
            .find_map(|row| Some((row, known(&row.sealed_by)?)));
        let (row, master) = opened.ok_or_else(|| EncryptionError::Unknown(newest.to_owned()))?;
        let key = master.open(&row.id, &row.sealed)?;
        let key: [u8; KEY] = key.try_into().map_err(|_| EncryptionError::Forged)?;
        let sealing = Self::of(&key);
        let has_current = rows.iter().any(|row| row.sealed_by == current);
        let takes_over = newest != current && (known(newest).is_some() || !has_current);
        let is_newest = takes_over || newest == current;
        let gone = rows.iter().filter(|row| {
            let is_old = known(&row.sealed_by).is_none();
            (is_newest && is_old) || (takes_over && row.sealed_by == current)
        });
        for row in gone {
            sqlx::query("DELETE FROM data_key WHERE id = $1")
                .bind(&row.id)
                .execute(&mut *transaction)
                .await?;
            if row.sealed_by != current {
                sealing
                    .audit(&mut transaction, Some(&row.sealed_by), None)
                    .await?;
            }
            tracing::info!(key = row.sealed_by, "a key opens the database no longer");
        }
        if takes_over {
            sealing
                .audit(&mut transaction, Some(newest), Some(current))
                .await?;
            insert(&mut transaction, &keys.current, &key).await?;
            tracing::info!(
                key = current,
                "the database is sealed with another key from now on"
            );
        }
        transaction.commit().await?;
        Ok(sealing)
    }

    /// Writes down by which key of the settings the database opens, or opens no longer.
    async fn audit(
        &self,
        connection: &mut AnyConnection,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), StoreError> {
        let key = |id: &str| json!({"key": id});
        let change = Change {
            by: &By::portal(),
            action: Action::ChangeSealingKey,
            resource: "/providers/Gitmoor.Portal/sealingKeys",
            before: before.map(key),
            after: after.map(key),
        };
        change.record(self, connection).await
    }

    pub(super) fn of(key: &[u8; KEY]) -> Self {
        Self(Arc::new(DataKey::new(key)))
    }

    /// Seals bytes for a column of the row of a key.
    pub(super) fn seal(
        &self,
        column: &str,
        row: &str,
        value: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        Ok(self.0.seal(&place(column, row), value)?)
    }

    /// Opens bytes.
    pub(super) fn unseal(
        &self,
        column: &str,
        row: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        Ok(self.0.open(&place(column, row), sealed)?)
    }

    /// Seals a value of ours as JSON.
    pub(super) fn json(
        &self,
        column: &str,
        row: &str,
        value: &impl Serialize,
    ) -> Result<Vec<u8>, StoreError> {
        self.seal(column, row, text(value).as_bytes())
    }

    /// Opens a value of ours.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        column: &'static str,
        row: &str,
        sealed: &[u8],
    ) -> Result<T, StoreError> {
        let json = self.unseal(column, row, sealed)?;
        serde_json::from_slice(&json).map_err(|source| broken(column, source))
    }
}

/// The ids of the keys of the settings that open the database, the newest last; none before there is
/// anything in it.
pub(super) async fn sealed_by(database: &Database) -> Result<Vec<String>, StoreError> {
    let mut connection = database.readers.acquire().await?;
    let tables = database.tables(&mut connection).await?;
    if !tables.iter().any(|table| table == "data_key") {
        return Ok(Vec::new());
    }
    let query = sqlx::query_scalar("SELECT sealed_by FROM data_key ORDER BY created_at, id");
    Ok(query.fetch_all(&mut *connection).await?)
}

fn place(column: &str, row: &str) -> String {
    format!("{column} {row}")
}

/// Writes the data key as a key of the settings seals it, as the newest.
async fn insert(
    connection: &mut AnyConnection,
    master: &Key,
    key: &[u8; KEY],
) -> Result<(), StoreError> {
    // In the order of time.
    let id = Uuid::now_v7().to_string();
    sqlx::query("INSERT INTO data_key (id, sealed, sealed_by, created_at) VALUES ($1, $2, $3, $4)")
        .bind(&id)
        .bind(master.seal(&id, key)?)
        .bind(master.id())
        .bind(Timestamp::now().to_string())
        .execute(connection)
        .await?;
    Ok(())
}
