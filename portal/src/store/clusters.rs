//! Connected clusters: an inventory of what may have configurations.

use std::collections::BTreeMap;

use gitmoor_arm::{ClusterId, Timestamp};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    Condition, Page, Store, StoreError,
    audit::{Action, By, Change},
    changes::News,
    groups,
    rows::{self, timestamp},
    sealing::Sealing,
};
use crate::identity::Scope;

/// A connected cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClusterRecord {
    pub(crate) id: ClusterId,
    pub(crate) etag: String,
    pub(crate) location: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// `identity`, `kind` and `properties` as they were put.
    pub(crate) body: Value,
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_modified_by: String,
    pub(crate) last_modified_at: Timestamp,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) agent_version: Option<String>,
}

/// What became of a write.
pub(crate) enum ClusterWrite {
    Created(ClusterRecord),
    Replaced(ClusterRecord),
    /// There is no group for it.
    NoGroup,
    /// It is not as the caller believes.
    Condition,
    /// It is elsewhere already, and cannot move.
    Moved(ClusterRecord),
}

impl ClusterRecord {
    /// The cluster for the audit log.
    fn audited(&self) -> Value {
        json!({"location": self.location, "tags": self.tags, "body": self.body})
    }
}

impl Store {
    /// Makes or replaces a cluster.
    pub(crate) async fn put_cluster(
        &self,
        id: &ClusterId,
        location: String,
        tags: BTreeMap<String, String>,
        body: Value,
        by: &By,
        condition: &Condition,
    ) -> Result<ClusterWrite, StoreError> {
        let key = id.as_str().to_ascii_lowercase();
        let mut transaction = self.database.begin(&key).await?;
        let old = sqlx::query("SELECT * FROM cluster WHERE cluster = $1")
            .bind(&key)
            .fetch_optional(&mut *transaction)
            .await?
            .map(|row| self.read_cluster(&row))
            .transpose()?;
        if !condition.holds(old.as_ref().map(|old| old.etag.as_str())) {
            return Ok(ClusterWrite::Condition);
        }
        if let Some(old) = &old
            && !old.location.eq_ignore_ascii_case(&location)
        {
            return Ok(ClusterWrite::Moved(old.clone()));
        }
        let now = Timestamp::now();
        let created = old.is_none();
        let before = old.as_ref().map(ClusterRecord::audited);
        let old = old.unwrap_or_else(|| ClusterRecord {
            id: id.clone(),
            etag: String::new(),
            location,
            tags: BTreeMap::new(),
            body: Value::Null,
            created_by: by.name.clone(),
            created_at: now,
            last_modified_by: String::new(),
            last_modified_at: now,
            last_seen: None,
            agent_version: None,
        });
        let record = ClusterRecord {
            etag: Uuid::new_v4().to_string(),
            tags,
            body,
            last_modified_by: by.name.clone(),
            last_modified_at: now,
            ..old
        };
        if !write(&self.sealing, &mut transaction, &record).await? {
            return Ok(ClusterWrite::NoGroup);
        }
        let change = Change {
            by,
            action: Action::PutCluster,
            resource: record.id.as_str(),
            before,
            after: Some(record.audited()),
        };
        change.record(&self.sealing, &mut transaction).await?;
        self.announce_shown(&mut transaction, &key).await?;
        transaction.commit().await?;
        self.changes.show(News::Cluster(key));
        Ok(if created {
            ClusterWrite::Created(record)
        } else {
            ClusterWrite::Replaced(record)
        })
    }

    /// The cluster, if it is there.
    pub(crate) async fn cluster(
        &self,
        id: &ClusterId,
    ) -> Result<Option<ClusterRecord>, StoreError> {
        sqlx::query("SELECT * FROM cluster WHERE cluster = $1")
            .bind(id.as_str().to_ascii_lowercase())
            .fetch_optional(&self.database.readers)
            .await?
            .map(|row| self.read_cluster(&row))
            .transpose()
    }

    /// The clusters of a subscription, or of a group of it, in the order of their ids.
    pub(crate) async fn clusters(
        &self,
        scope: &Scope,
        after: &str,
        limit: u32,
    ) -> Result<Page<ClusterRecord>, StoreError> {
        let (subscription, group) = groups::keys(scope);
        let rows = sqlx::query(
            "SELECT * FROM cluster WHERE subscription = $1 AND ($2 = '' OR resource_group = $2) \
             AND cluster > $3 ORDER BY cluster LIMIT $4",
        )
        .bind(subscription)
        .bind(group)
        .bind(after.to_ascii_lowercase())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database.readers)
        .await?;
        let limit = limit as usize;
        let next = (rows.len() > limit)
            .then(|| rows[limit - 1].try_get("cluster"))
            .transpose()?;
        let items = rows.iter().take(limit).map(|row| self.read_cluster(row));
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Deletes a cluster with its configurations; whether it was there. Nothing when the condition
    /// does not hold.
    pub(crate) async fn delete_cluster(
        &self,
        id: &ClusterId,
        by: &By,
        condition: &Condition,
    ) -> Result<Option<bool>, StoreError> {
        let key = id.as_str().to_ascii_lowercase();
        let mut transaction = self.database.begin(&key).await?;
        let old = sqlx::query("SELECT * FROM cluster WHERE cluster = $1")
            .bind(&key)
            .fetch_optional(&mut *transaction)
            .await?
            .map(|row| self.read_cluster(&row))
            .transpose()?;
        if !condition.holds(old.as_ref().map(|old| old.etag.as_str())) {
            return Ok(None);
        }
        let Some(old) = old else {
            return Ok(Some(false));
        };
        let configurations: Vec<String> =
            sqlx::query_scalar("SELECT id FROM configuration WHERE cluster = $1 ORDER BY name")
                .bind(&key)
                .fetch_all(&mut *transaction)
                .await?;
        let mut before = old.audited();
        before["configurations"] = configurations.into();
        let change = Change {
            by,
            action: Action::DeleteCluster,
            resource: old.id.as_str(),
            before: Some(before),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        for query in [
            "DELETE FROM configuration WHERE cluster = $1",
            "DELETE FROM flux_configuration WHERE cluster = $1",
            "DELETE FROM cluster WHERE cluster = $1",
        ] {
            sqlx::query(query)
                .bind(&key)
                .execute(&mut *transaction)
                .await?;
        }
        self.announce(&mut transaction, &key).await?;
        transaction.commit().await?;
        self.changes.tell(&key);
        Ok(Some(true))
    }

    fn read_cluster(&self, row: &AnyRow) -> Result<ClusterRecord, StoreError> {
        let key: &str = row.try_get("cluster")?;
        let seen = self.seen(key);
        let id: &str = row.try_get("id")?;
        let last_seen: Option<&str> = row.try_get("last_seen")?;
        let last_seen = last_seen.map(|_| timestamp(row, "last_seen")).transpose()?;
        let agent_version: Option<String> = row.try_get("agent_version")?;
        Ok(ClusterRecord {
            id: id.parse().map_err(|error| rows::broken("id", error))?,
            etag: row.try_get("etag")?,
            location: row.try_get("location")?,
            tags: self.sealing.read("tags", key, row.try_get("tags")?)?,
            body: self.sealing.read("body", key, row.try_get("body")?)?,
            created_by: row.try_get("created_by")?,
            created_at: timestamp(row, "created_at")?,
            last_modified_by: row.try_get("last_modified_by")?,
            last_modified_at: timestamp(row, "last_modified_at")?,
            last_seen: seen.as_ref().map(|seen| seen.at).or(last_seen),
            agent_version: seen.and_then(|seen| seen.agent_version).or(agent_version),
        })
    }
}

/// Writes a cluster into its group; whether there is one.
async fn write(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    record: &ClusterRecord,
) -> Result<bool, StoreError> {
    let (subscription, group) = groups::keys(&(&record.id).into());
    let key = record.id.as_str().to_ascii_lowercase();
    let there: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM resource_group WHERE subscription = $1 AND name = $2")
            .bind(&subscription)
            .bind(&group)
            .fetch_optional(&mut *connection)
            .await?;
    if there.is_none() {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO cluster (cluster, subscription, resource_group, id, etag, location, tags, \
                 body, created_by, created_at, last_modified_by, last_modified_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (cluster) DO UPDATE SET \
                 etag = excluded.etag, tags = excluded.tags, body = excluded.body, \
                 last_modified_by = excluded.last_modified_by, \
                 last_modified_at = excluded.last_modified_at",
    )
    .bind(&key)
    .bind(subscription)
    .bind(group)
    .bind(record.id.as_str())
    .bind(&record.etag)
    .bind(&record.location)
    .bind(sealing.json("tags", &key, &record.tags)?)
    .bind(sealing.json("body", &key, &record.body)?)
    .bind(&record.created_by)
    .bind(record.created_at.to_string())
    .bind(&record.last_modified_by)
    .bind(record.last_modified_at.to_string())
    .execute(&mut *connection)
    .await?;
    Ok(true)
}
