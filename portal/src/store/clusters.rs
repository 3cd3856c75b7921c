//! Connected clusters: an inventory of what may have configurations.

use std::collections::BTreeMap;

use gitmoor_arm::{ClusterId, IdentityType, Timestamp};
use serde_json::{Map, Value, json};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    Condition, Page, Store, StoreError,
    audit::{Action, By, Change},
    changes::Told,
    groups,
    presence::{Seen, seen_columns},
    rows::{self, identity, timestamp},
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
    pub(crate) created_by_type: IdentityType,
    pub(crate) created_at: Timestamp,
    pub(crate) last_modified_by: String,
    pub(crate) last_modified_by_type: IdentityType,
    pub(crate) last_modified_at: Timestamp,
    /// Its agent, when it last called.
    pub(crate) seen: Option<Seen>,
}

/// What goes with a cluster, by what the audit log calls it.
const WITHIN: [(&str, &str); 2] = [
    (
        "configurations",
        "DELETE FROM configuration WHERE cluster = $1 RETURNING id",
    ),
    (
        "fluxConfigurations",
        "DELETE FROM flux_configuration WHERE cluster = $1 RETURNING id",
    ),
];

/// The rows that a [`ClusterRecord`] is read from.
macro_rules! cluster_rows {
    () => {
        concat!(
            "SELECT c.cluster, c.id, c.etag, c.location, c.tags, c.body, c.created_by, ",
            "c.created_by_type, c.created_at, c.last_modified_by, c.last_modified_by_type, ",
            "c.last_modified_at, ",
            seen_columns!(),
            " FROM cluster c LEFT JOIN presence p ON p.cluster = c.cluster "
        )
    };
}

/// How many clusters are read at once at the least, to be looked through for those that are seen.
const CLUSTERS_AT_ONCE: u32 = 100;

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
    /// Makes or replaces a cluster. One that is already as asked is left as it is.
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
        let old = self.find_cluster(&mut transaction, &key).await?;
        if !condition.holds(old.as_ref().map(|old| old.etag.as_str())) {
            return Ok(ClusterWrite::Condition);
        }
        if let Some(old) = &old
            && !groups::is_same_location(&old.location, &location)
        {
            return Ok(ClusterWrite::Moved(old.clone()));
        }
        if let Some(old) = &old
            && (&old.tags, &old.body) == (&tags, &body)
        {
            return Ok(ClusterWrite::Replaced(old.clone()));
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
            created_by_type: by.kind.clone(),
            created_at: now,
            last_modified_by: String::new(),
            last_modified_by_type: by.kind.clone(),
            last_modified_at: now,
            seen: None,
        });
        let record = ClusterRecord {
            etag: Uuid::new_v4().to_string(),
            tags,
            body,
            last_modified_by: by.name.clone(),
            last_modified_by_type: by.kind.clone(),
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
        self.commit(transaction, Told::Shown(key)).await?;
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
        let mut connection = self.database.readers.acquire().await?;
        let key = id.as_str().to_ascii_lowercase();
        self.find_cluster(&mut connection, &key).await
    }

    async fn find_cluster(
        &self,
        connection: &mut AnyConnection,
        key: &str,
    ) -> Result<Option<ClusterRecord>, StoreError> {
        sqlx::query(concat!(cluster_rows!(), "WHERE c.cluster = $1"))
            .bind(key)
            .fetch_optional(connection)
            .await?
            .map(|row| self.read_cluster(&row))
            .transpose()
    }

    /// The clusters of a subscription, or of a group of it, in the order of their ids: those that are
    /// seen. Of the others nothing is told, not by where a page ends either.
    pub(crate) async fn clusters(
        &self,
        scope: &Scope,
        after: &str,
        limit: u32,
        is_seen: impl Fn(&ClusterId) -> bool,
    ) -> Result<Page<ClusterRecord>, StoreError> {
        let (subscription, group) = groups::keys(scope);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let (mut after, mut last) = (after.to_ascii_lowercase(), String::new());
        // One more than a full page tells whether there is a next one.
        let at_once = limit.max(CLUSTERS_AT_ONCE) as usize + 1;
        loop {
            let rows = sqlx::query(concat!(
                cluster_rows!(),
                "WHERE c.subscription = $1 AND ($2 = '' OR c.resource_group = $2) ",
                "AND c.cluster > $3 ORDER BY c.cluster LIMIT $4",
            ))
            .bind(&subscription)
            .bind(&group)
            .bind(after)
            .bind(i64::try_from(at_once).expect("it is small"))
            .fetch_all(&self.database.readers)
            .await?;
            for row in &rows {
                let id: &str = row.try_get("id")?;
                let id: ClusterId = id.parse().map_err(|error| rows::broken("id", error))?;
                if !is_seen(&id) {
                    continue;
                }
                if page.items.len() == limit as usize {
                    page.next = Some(last);
                    return Ok(page);
                }
                page.items.push(self.read_cluster(row)?);
                last = row.try_get("cluster")?;
            }
            match rows.last() {
                Some(row) if rows.len() == at_once => after = row.try_get("cluster")?,
                _ => return Ok(page),
            }
        }
    }

    /// Deletes a cluster with its configurations, its agents and its enrolments; whether any of it was
    /// there. Nothing when the condition does not hold.
    pub(crate) async fn delete_cluster(
        &self,
        id: &ClusterId,
        by: &By,
        condition: &Condition,
    ) -> Result<Option<bool>, StoreError> {
        let key = id.as_str().to_ascii_lowercase();
        let mut transaction = self.database.begin(&key).await?;
        let old = self.find_cluster(&mut transaction, &key).await?;
        if !condition.holds(old.as_ref().map(|old| old.etag.as_str())) {
            return Ok(None);
        }
        let mut deleted = Map::new();
        for (table, query) in WITHIN {
            let ids: Vec<String> = sqlx::query_scalar(query)
                .bind(&key)
                .fetch_all(&mut *transaction)
                .await?;
            deleted.insert(table.to_owned(), ids.into());
        }
        let agents = self.end_agents(&mut transaction, &key, by).await?;
        for query in [
            "DELETE FROM cluster WHERE cluster = $1",
            "DELETE FROM presence WHERE cluster = $1",
        ] {
            sqlx::query(query)
                .bind(&key)
                .execute(&mut *transaction)
                .await?;
        }
        if old.is_none() && !agents && deleted.values().all(|ids| *ids == json!([])) {
            // Perhaps it was seen.
            self.commit(transaction, Told::Gone(key)).await?;
            return Ok(Some(false));
        }
        let mut before = old
            .as_ref()
            .map_or_else(|| json!({}), ClusterRecord::audited);
        for (table, ids) in deleted {
            before[table] = ids;
        }
        let change = Change {
            by,
            action: Action::DeleteCluster,
            resource: old.as_ref().map_or(id, |old| &old.id).as_str(),
            before: Some(before),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        self.commit(transaction, Told::Gone(key)).await?;
        Ok(Some(true))
    }

    fn read_cluster(&self, row: &AnyRow) -> Result<ClusterRecord, StoreError> {
        let key: &str = row.try_get("cluster")?;
        let id: &str = row.try_get("id")?;
        Ok(ClusterRecord {
            id: id.parse().map_err(|error| rows::broken("id", error))?,
            etag: row.try_get("etag")?,
            location: row.try_get("location")?,
            tags: self.sealing.read("tags", key, row.try_get("tags")?)?,
            body: self.sealing.read("body", key, row.try_get("body")?)?,
            created_by: row.try_get("created_by")?,
            created_by_type: identity(row, "created_by_type")?,
            created_at: timestamp(row, "created_at")?,
            last_modified_by: row.try_get("last_modified_by")?,
            last_modified_by_type: identity(row, "last_modified_by_type")?,
            last_modified_at: timestamp(row, "last_modified_at")?,
            seen: self.read_seen(key, row)?,
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
    let written = sqlx::query(
        "INSERT INTO cluster (cluster, subscription, resource_group, id, etag, location, tags, \
                 body, created_by, created_at, last_modified_by, last_modified_at, created_by_type, \
                 last_modified_by_type) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
             ON CONFLICT (cluster) DO UPDATE SET \
                 etag = excluded.etag, tags = excluded.tags, body = excluded.body, \
                 last_modified_by = excluded.last_modified_by, \
                 last_modified_by_type = excluded.last_modified_by_type, \
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
    .bind(record.created_by_type.as_str())
    .bind(record.last_modified_by_type.as_str())
    .execute(&mut *connection)
    .await;
    match written {
        // The group was deleted in between.
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Ok(false),
        written => Ok(written.map(|_| true)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{CLUSTER, each_engine, open};

    #[tokio::test]
    async fn those_who_see_few_of_many_clusters_are_shown_all_of_them() {
        for place in each_engine() {
            let store = open(&place).await;
            let by = By::named("test");
            let group = groups::GroupRecord {
                id: "/subscriptions/3f1c/resourceGroups/edge".parse().unwrap(),
                location: "here".to_owned(),
                tags: BTreeMap::new(),
            };
            let scope = group.id.clone();
            let any = Condition::default();
            store.put_group(group, &by, &any).await.unwrap();
            let many = CLUSTERS_AT_ONCE + 2;
            for number in 0..many {
                let id = format!("{CLUSTER}-{number:03}").parse().unwrap();
                let tags = BTreeMap::new();
                let made = store.put_cluster(&id, "here".to_owned(), tags, json!({}), &by, &any);
                assert!(matches!(made.await.unwrap(), ClusterWrite::Created(_)));
            }
            let last = format!("edge-07-{:03}", many - 1);
            for (limit, only, wanted) in [
                (1, Some(last.as_str()), 1),
                (many, None, many),
                (many - 1, None, many - 1),
            ] {
                let is_seen = |id: &ClusterId| only.is_none_or(|only| id.name() == only);
                let page = store.clusters(&scope, "", limit, is_seen).await.unwrap();
                assert_eq!(page.items.len(), wanted as usize);
                assert_eq!(page.next.is_some(), limit == many - 1);
            }
        }
    }
}
