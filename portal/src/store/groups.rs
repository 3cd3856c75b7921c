//! Resource groups: what clusters are grouped by, and what takes them along when it is deleted.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, Transaction, any::AnyRow};

use super::{
    Condition, Store, StoreError,
    audit::{Action, By, Change},
    changes::Told,
    rows,
    sealing::Sealing,
};
use crate::identity::Scope;

/// A resource group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupRecord {
    pub(crate) id: Scope,
    pub(crate) location: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// What became of a write of a group.
pub(crate) enum GroupWrite {
    Created(GroupRecord),
    Replaced(GroupRecord),
    /// There is none to be changed.
    Gone,
    /// It is not as the caller believes.
    Condition,
    /// It is elsewhere already, and cannot move.
    Moved(GroupRecord),
}

/// What goes with a group, by what the audit log calls it.
const WITHIN: [(&str, &str); 3] = [
    (
        "clusters",
        "DELETE FROM cluster WHERE substr(cluster, 1, length($1)) = $1 RETURNING id",
    ),
    (
        "configurations",
        "DELETE FROM configuration WHERE substr(cluster, 1, length($1)) = $1 RETURNING id",
    ),
    (
        "fluxConfigurations",
        "DELETE FROM flux_configuration WHERE substr(cluster, 1, length($1)) = $1 RETURNING id",
    ),
];

impl GroupRecord {
    /// What tells it from what it was before.
    pub(crate) fn etag(&self) -> String {
        rows::etag(&(self.id.as_str(), &self.location, &self.tags))
    }

    /// The group for the audit log.
    fn audited(&self) -> Value {
        json!({"location": self.location, "tags": self.tags})
    }
}

impl Store {
    /// The groups of a subscription, by name.
    pub(crate) async fn groups(&self, subscription: &str) -> Result<Vec<GroupRecord>, StoreError> {
        sqlx::query(
            "SELECT id, location, tags FROM resource_group WHERE subscription = $1 ORDER BY name",
        )
        .bind(subscription.to_ascii_lowercase())
        .fetch_all(&self.database.readers)
        .await?
        .iter()
        .map(|row| read(&self.sealing, row))
        .collect()
    }

    /// The group, if there is one.
    pub(crate) async fn group(&self, id: &Scope) -> Result<Option<GroupRecord>, StoreError> {
        let mut connection = self.database.readers.acquire().await?;
        self.find_group(&mut connection, id, "").await
    }

    async fn find_group(
        &self,
        connection: &mut AnyConnection,
        id: &Scope,
        lock: &'static str,
    ) -> Result<Option<GroupRecord>, StoreError> {
        let (subscription, name) = keys(id);
        sqlx::query(AssertSqlSafe(format!(
            "SELECT id, location, tags FROM resource_group \
             WHERE subscription = $1 AND name = $2{lock}"
        )))
        .bind(subscription)
        .bind(name)
        .fetch_optional(connection)
        .await?
        .map(|row| read(&self.sealing, &row))
        .transpose()
    }

    /// Begins to write to a group.
    async fn begin_group(&self, id: &Scope) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let (subscription, name) = keys(id);
        self.database.begin(&format!("{subscription}/{name}")).await
    }

    /// Makes a group, or replaces its tags.
    pub(crate) async fn put_group(
        &self,
        group: GroupRecord,
        by: &By,
        condition: &Condition,
    ) -> Result<GroupWrite, StoreError> {
        let mut transaction = self.begin_group(&group.id).await?;
        let old = self.find_group(&mut transaction, &group.id, "").await?;
        if !condition.holds(old.as_ref().map(GroupRecord::etag).as_deref()) {
            return Ok(GroupWrite::Condition);
        }
        if let Some(old) = &old
            && !is_same_location(&old.location, &group.location)
        {
            return Ok(GroupWrite::Moved(old.clone()));
        }
        if let Some(old) = &old
            && old.tags == group.tags
        {
            return Ok(GroupWrite::Replaced(old.clone()));
        }
        self.write_group(&mut transaction, &group, old.as_ref(), by)
            .await?;
        transaction.commit().await?;
        Ok(match old {
            None => GroupWrite::Created(group),
            Some(old) => GroupWrite::Replaced(GroupRecord {
                tags: group.tags,
                ..old
            }),
        })
    }

    /// Replaces the tags of a group that is there, if any are given.
    pub(crate) async fn patch_group(
        &self,
        id: &Scope,
        tags: Option<BTreeMap<String, String>>,
        by: &By,
        condition: &Condition,
    ) -> Result<GroupWrite, StoreError> {
        let mut transaction = self.begin_group(id).await?;
        let Some(old) = self.find_group(&mut transaction, id, "").await? else {
            return Ok(GroupWrite::Gone);
        };
        if !condition.holds(Some(&old.etag())) {
            return Ok(GroupWrite::Condition);
        }
        let mut group = old.clone();
        if let Some(tags) = tags
            && tags != old.tags
        {
            group.tags = tags;
            self.write_group(&mut transaction, &group, Some(&old), by)
                .await?;
            transaction.commit().await?;
        }
        Ok(GroupWrite::Replaced(group))
    }

    async fn write_group(
        &self,
        connection: &mut AnyConnection,
        group: &GroupRecord,
        old: Option<&GroupRecord>,
        by: &By,
    ) -> Result<(), StoreError> {
        let (subscription, name) = keys(&group.id);
        sqlx::query(
            "INSERT INTO resource_group (subscription, name, id, location, tags) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (subscription, name) DO UPDATE SET tags = excluded.tags",
        )
        .bind(subscription)
        .bind(name)
        .bind(group.id.as_str())
        .bind(&group.location)
        .bind(
            self.sealing
                .json("tags", &group.id.as_str().to_ascii_lowercase(), &group.tags)?,
        )
        .execute(&mut *connection)
        .await?;
        let change = Change {
            by,
            action: Action::PutGroup,
            resource: group.id.as_str(),
            before: old.map(GroupRecord::audited),
            after: Some(group.audited()),
        };
        change.record(&self.sealing, connection).await
    }

    /// Deletes a group with its clusters, their configurations, agents and enrolments; whether any of
    /// it was there. Nothing when the condition does not hold.
    pub(crate) async fn delete_group(
        &self,
        id: &Scope,
        by: &By,
        condition: &Condition,
    ) -> Result<Option<bool>, StoreError> {
        let (subscription, name) = keys(id);
        let mut transaction = self.begin_group(id).await?;
        // Nobody puts a cluster into it from now on.
        let lock = self.database.row_lock();
        let old = self.find_group(&mut transaction, id, lock).await?;
        if !condition.holds(old.as_ref().map(GroupRecord::etag).as_deref()) {
            return Ok(None);
        }
        let scope = format!("/subscriptions/{subscription}/resourcegroups/{name}");
        let prefix = format!("{scope}/");
        let mut before = old.as_ref().map_or_else(|| json!({}), GroupRecord::audited);
        let mut is_empty = old.is_none();
        for (within, query) in WITHIN {
            let mut ids: Vec<String> = sqlx::query_scalar(query)
                .bind(&prefix)
                .fetch_all(&mut *transaction)
                .await?;
            ids.sort_unstable();
            is_empty &= ids.is_empty();
            before[within] = ids.into();
        }
        is_empty &= !self.end_agents(&mut transaction, &scope, by).await?;
        sqlx::query("DELETE FROM presence WHERE substr(cluster, 1, length($1)) = $1")
            .bind(&prefix)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM resource_group WHERE subscription = $1 AND name = $2")
            .bind(subscription)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        if is_empty {
            // Perhaps a cluster of it was seen.
            self.commit(transaction, Told::Gone(scope)).await?;
            return Ok(Some(false));
        }
        let change = Change {
            by,
            action: Action::DeleteGroup,
            resource: old.as_ref().map_or(id, |old| &old.id).as_str(),
            before: Some(before),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        self.commit(transaction, Told::Gone(scope)).await?;
        Ok(Some(true))
    }
}

/// Whether two names are of one location, which ARM's clients write as `westeurope` or `West Europe`.
pub(crate) fn is_same_location(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.replace(' ', "").to_ascii_lowercase();
    plain(one) == plain(other)
}

pub(super) fn keys(id: &Scope) -> (String, String) {
    (
        id.subscription().to_ascii_lowercase(),
        id.resource_group().unwrap_or_default().to_ascii_lowercase(),
    )
}

fn read(sealing: &Sealing, row: &AnyRow) -> Result<GroupRecord, StoreError> {
    let id: &str = row.try_get("id")?;
    let key = id.to_ascii_lowercase();
    Ok(GroupRecord {
        id: id.parse().map_err(|error| rows::broken("id", error))?,
        location: row.try_get("location")?,
        tags: sealing.read("tags", &key, row.try_get("tags")?)?,
    })
}
