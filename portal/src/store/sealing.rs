//! What the database holds is sealed with a data key, and that with the key of the settings: another
//! one of those seals a few bytes anew, and no row.

use std::{fmt, sync::Arc};

use gitmoor_arm::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    StoreError,
    database::Database,
    rows::{broken, text},
};
use crate::encryption::{EncryptionError, KEY, Key, MasterKeys, random};

/// Seals and opens values of the database. A clone shares the key.
#[derive(Clone)]
pub(super) struct Sealing(Arc<Key>);

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

impl Sealing {
    /// Reads the data key, and makes it when there is none. One that a previous key of the settings
    /// sealed is sealed with the current one.
    pub(super) async fn open(database: &Database, keys: &MasterKeys) -> Result<Self, StoreError> {
        let mut transaction = database.begin("data key").await?;
        let row = sqlx::query("SELECT id, sealed, sealed_by FROM data_key")
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else {
            let id = Uuid::new_v4().to_string();
            let key = random::<KEY>()?;
            sqlx::query(
                "INSERT INTO data_key (id, sealed, sealed_by, created_at) VALUES ($1, $2, $3, $4)",
            )
            .bind(&id)
            .bind(keys.current.seal(&id, &key)?)
            .bind(keys.current.id())
            .bind(Timestamp::now().to_string())
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            return Ok(Self(Arc::new(Key::new(&key))));
        };
        let id: String = row.try_get("id")?;
        let by: &str = row.try_get("sealed_by")?;
        let mut known = std::iter::once(&keys.current).chain(&keys.previous);
        let master = known.find(|key| key.id() == by);
        let master = master.ok_or_else(|| EncryptionError::Unknown(by.to_owned()))?;
        let key = master.open(&id, row.try_get("sealed")?)?;
        let key: [u8; KEY] = key.try_into().map_err(|_| EncryptionError::Forged)?;
        if by != keys.current.id() {
            sqlx::query("UPDATE data_key SET sealed = $1, sealed_by = $2 WHERE id = $3")
                .bind(keys.current.seal(&id, &key)?)
                .bind(keys.current.id())
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            tracing::info!(
                key = keys.current.id(),
                "the database is sealed with another key from now on"
            );
        }
        Ok(Self(Arc::new(Key::new(&key))))
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

fn place(column: &str, row: &str) -> String {
    format!("{column} {row}")
}
