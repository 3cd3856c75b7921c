//! Resource groups: what clusters are grouped by, and what takes them along when it is deleted.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Row as _, any::AnyRow};

use super::{
    Store, StoreError,
    audit::{Action, By, Change},
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

/// What became of a PUT of a group.
pub(crate) enum GroupWrite {
    Created(GroupRecord),
    Replaced(GroupRecord),
    /// It is elsewhere already, and cannot move.
    Moved(GroupRecord),
}

/// What goes with a group.
const WITHIN: [(&str, &str); 2] = [
    (
        "clusters",
        "SELECT id FROM cluster WHERE substr(cluster, 1, length($1)) = $1 ORDER BY id",
    ),
    (
        "configurations",
        "SELECT id FROM configuration WHERE substr(cluster, 1, length($1)) = $1 ORDER BY id",
    ),
];

impl GroupRecord {
    /// The group for the audit log.
    fn audited(&self) -> Value {
        json!({"location": self.location, "tags": self.tags})
    }
}

impl Store {
    /// The groups of a subscription, by name.
    pub(crate) async fn groups(&self, subscription: &str) -> Result<Vec<GroupRecord>, StoreError> {
        sqlx::query("SELECT * FROM resource_group WHERE subscription = $1 ORDER BY name")
            .bind(subscription.to_ascii_lowercase())
            .fetch_all(&self.database.readers)
            .await?
            .iter()
            .map(|row| read(&self.sealing, row))
            .collect()
    }

    /// The group, if there is one.
    pub(crate) async fn group(&self, id: &Scope) -> Result<Option<GroupRecord>, StoreError> {
        let (subscription, name) = keys(id);
        sqlx::query("SELECT * FROM resource_group WHERE subscription = $1 AND name = $2")
            .bind(subscription)
            .bind(name)
            .fetch_optional(&self.database.readers)
            .await?
            .map(|row| read(&self.sealing, &row))
            .transpose()
    }

    /// Makes a group, or replaces its tags.
    pub(crate) async fn put_group(
        &self,
        group: GroupRecord,
        by: &By,
    ) -> Result<GroupWrite, StoreError> {
        let (subscription, name) = keys(&group.id);
        let mut transaction = self
            .database
            .begin(&format!("{subscription}/{name}"))
            .await?;
        let old = sqlx::query("SELECT * FROM resource_group WHERE subscription = $1 AND name = $2")
            .bind(&subscription)
            .bind(&name)
            .fetch_optional(&mut *transaction)
            .await?
            .map(|row| read(&self.sealing, &row))
            .transpose()?;
        if let Some(old) = &old
            && !old.location.eq_ignore_ascii_case(&group.location)
        {
            return Ok(GroupWrite::Moved(old.clone()));
        }
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
        .execute(&mut *transaction)
        .await?;
        let change = Change {
            by,
            action: Action::PutGroup,
            resource: group.id.as_str(),
            before: old.as_ref().map(GroupRecord::audited),
            after: Some(group.audited()),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(match old {
            None => GroupWrite::Created(group),
            Some(old) => GroupWrite::Replaced(GroupRecord {
                tags: group.tags,
                ..old
            }),
        })
    }

    /// Deletes a group with its clusters and their configurations; whether there was one.
    pub(crate) async fn delete_group(&self, id: &Scope, by: &By) -> Result<bool, StoreError> {
        let (subscription, name) = keys(id);
        let mut transaction = self
            .database
            .begin(&format!("{subscription}/{name}"))
            .await?;
        let old = sqlx::query("SELECT * FROM resource_group WHERE subscription = $1 AND name = $2")
            .bind(&subscription)
            .bind(&name)
            .fetch_optional(&mut *transaction)
            .await?
            .map(|row| read(&self.sealing, &row))
            .transpose()?;
        let Some(old) = old else {
            return Ok(false);
        };
        let prefix = format!("/subscriptions/{subscription}/resourcegroups/{name}/");
        let mut before = old.audited();
        for (within, query) in WITHIN {
            let ids: Vec<String> = sqlx::query_scalar(query)
                .bind(&prefix)
                .fetch_all(&mut *transaction)
                .await?;
            before[within] = ids.into();
        }
        let change = Change {
            by,
            action: Action::DeleteGroup,
            resource: old.id.as_str(),
            before: Some(before),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        sqlx::query("DELETE FROM resource_group WHERE subscription = $1 AND name = $2")
            .bind(subscription)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        for query in [
            "DELETE FROM configuration WHERE substr(cluster, 1, length($1)) = $1",
            "DELETE FROM flux_configuration WHERE substr(cluster, 1, length($1)) = $1",
        ] {
            sqlx::query(query)
                .bind(&prefix)
                .execute(&mut *transaction)
                .await?;
        }
        // Which clusters there were is not known here.
        self.announce(&mut transaction, "").await?;
        transaction.commit().await?;
        self.changes.tell("");
        Ok(true)
    }
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
