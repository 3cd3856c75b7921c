//! By what principals prove themselves: several secrets, each perhaps with an end, and certificates.

use std::time::Duration;

use gitmoor_arm::Timestamp;
use serde_json::json;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Store, StoreError,
    audit::{Action, By, Change},
    principals::{self, CERTIFICATE, SECRET},
    rows::{broken, timestamp},
};
use crate::identity::{Certificate, ClientSecret, Digest};

/// A secret or a certificate, without what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id, by which it is removed.
    pub id: Uuid,
    /// `secret` or `certificate`.
    pub kind: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// What a principal proves itself by, the oldest first; people who sign in elsewhere have none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn credentials(&self, principal: Uuid) -> Result<Vec<Credential>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, kind, created_at, expires_at FROM credential WHERE principal = $1 \
             ORDER BY created_at, id",
        )
        .bind(principal.to_string())
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let id: &str = row.try_get("id")?;
                let end: Option<&str> = row.try_get("expires_at")?;
                Ok(Credential {
                    id: id
                        .parse()
                        .map_err(|error: uuid::Error| broken("id", error))?,
                    kind: row.try_get("kind")?,
                    created_at: timestamp(row, "created_at")?,
                    expires_at: end
                        .map(|end| end.parse().map_err(|error| broken("expires_at", error)))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// Gives a principal another secret, which ends after `lifetime` if that is given; the secret and its
    /// id, or nothing when there is no such principal.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add_secret(
        &self,
        principal: Uuid,
        lifetime: Option<Duration>,
    ) -> Result<Option<(ClientSecret, Uuid)>, StoreError> {
        let mut transaction = self.database.begin("principals").await?;
        if principals::find(&mut transaction, principal)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let (secret, digest) = ClientSecret::generate(principal);
        let id =
            principals::prove(&mut transaction, principal, (SECRET, digest.as_bytes())).await?;
        let end = lifetime.map(|lifetime| Timestamp(Timestamp::now().0 + lifetime).to_string());
        sqlx::query("UPDATE credential SET expires_at = $1 WHERE id = $2")
            .bind(&end)
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        let change = Change {
            by: &By::command_line(),
            action: Action::AddCredential,
            resource: &principals::resource(&principal.to_string()),
            before: None,
            after: Some(json!({"credential": id, "kind": SECRET, "expiresAt": end})),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(Some((secret, id)))
    }

    /// Takes a secret or a certificate from a principal: it gets no token for it any more. Whether it
    /// had that one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remove_credential(&self, principal: Uuid, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin("principals").await?;
        let removed = sqlx::query(
            "DELETE FROM credential WHERE id = $1 AND principal = $2 RETURNING kind, expires_at",
        )
        .bind(id.to_string())
        .bind(principal.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = removed else {
            return Ok(false);
        };
        let (kind, end): (&str, Option<&str>) = (row.try_get("kind")?, row.try_get("expires_at")?);
        let change = Change {
            by: &By::command_line(),
            action: Action::RemoveCredential,
            resource: &principals::resource(&principal.to_string()),
            before: Some(json!({"credential": id, "kind": kind, "expiresAt": end})),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether this is a secret of that principal, and has not ended.
    pub(crate) async fn has_secret(&self, id: Uuid, secret: &str) -> Result<bool, StoreError> {
        let given = Digest::of(secret);
        let kept = self.proofs(id, SECRET).await?;
        Ok(kept.iter().any(|kept| given.matches(kept)))
    }

    /// The certificates of that principal.
    pub(crate) async fn certificates(&self, id: Uuid) -> Result<Vec<Certificate>, StoreError> {
        let kept = self.proofs(id, CERTIFICATE).await?;
        Ok(kept.into_iter().map(Certificate::from_der).collect())
    }

    async fn proofs(&self, id: Uuid, kind: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        sqlx::query_scalar(
            "SELECT value FROM credential WHERE principal = $1 AND kind = $2 \
             AND (expires_at IS NULL OR expires_at > $3)",
        )
        .bind(id.to_string())
        .bind(kind)
        .bind(Timestamp::now().to_string())
        .fetch_all(&self.database.readers)
        .await
        .map_err(StoreError::from)
    }
}
