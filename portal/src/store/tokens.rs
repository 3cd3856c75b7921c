//! Tokens in the store: made, listed, revoked, and recognised when a caller presents one.

use gitmoor_arm::{ClusterId, Timestamp};
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Store, StoreError,
    rows::{broken, timestamp},
};
use crate::tokens::{Digest, Grant, Role, Scope, Token, TokenRecord, parse};

/// The role of a cluster's token; its scope is the cluster.
const AGENT: &str = "agent";

impl Store {
    /// Makes a token for a person or program of that `name`, with `role` in `scope`. Several tokens
    /// may have one name, so that one can replace another without a gap.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_principal(
        &self,
        name: &str,
        scope: &Scope,
        role: Role,
    ) -> Result<Token, StoreError> {
        self.create_token(name, role.as_str(), scope.as_str()).await
    }

    /// Makes a token for the agent of `cluster`, named for the cluster.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_cluster_token(&self, cluster: &ClusterId) -> Result<Token, StoreError> {
        self.create_token(cluster.name(), AGENT, cluster.as_str())
            .await
    }

    async fn create_token(&self, name: &str, role: &str, scope: &str) -> Result<Token, StoreError> {
        let (token, digest) = Token::generate();
        sqlx::query(
            "INSERT INTO token (id, name, role, scope, secret_sha256, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.id().to_string())
        .bind(name)
        .bind(role)
        .bind(scope)
        .bind(digest.as_bytes())
        .bind(Timestamp::now().to_string())
        .execute(&self.writer)
        .await?;
        Ok(token)
    }

    /// All tokens that are not revoked, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        sqlx::query("SELECT * FROM token ORDER BY name, created_at, id")
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// Revokes a token, from the next request on; whether there was one of that id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn revoke_token(&self, id: Uuid) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM token WHERE id = $1")
            .bind(id.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whose token this text is, if it is one and not revoked.
    pub(crate) async fn authenticate(&self, text: &str) -> Result<Option<TokenRecord>, StoreError> {
        let Some((id, digest)) = parse(text) else {
            return Ok(None);
        };
        let Some(row) = sqlx::query("SELECT * FROM token WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
        else {
            return Ok(None);
        };
        if !matches(&row, &digest)? {
            return Ok(None);
        }
        read(&row).map(Some)
    }
}

fn matches(row: &SqliteRow, digest: &Digest) -> Result<bool, sqlx::Error> {
    Ok(digest.matches(row.try_get("secret_sha256")?))
}

fn read(row: &SqliteRow) -> Result<TokenRecord, StoreError> {
    let scope: &str = row.try_get("scope")?;
    let grant = match row.try_get("role")? {
        AGENT => Grant::Cluster(scope.parse().map_err(|error| broken("scope", error))?),
        role => Grant::Principal {
            scope: scope.parse().map_err(|error| broken("scope", error))?,
            role: role.parse().map_err(|error| broken("role", error))?,
        },
    };
    Ok(TokenRecord {
        id: row
            .try_get::<&str, _>("id")?
            .parse()
            .map_err(|error: uuid::Error| broken("id", error))?,
        name: row.try_get("name")?,
        grant,
        created_at: timestamp(row, "created_at")?,
    })
}
