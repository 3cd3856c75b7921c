//! Configurations: written and read as ARM's clients ask, listed for the agents with their secrets,
//! and joined with what the agents report.

use futures::TryStreamExt as _;
use gitmoor_arm::{
    ClusterId, ConfigurationId, FieldError, ProtectedChange, ProtectedSettings, PutRequest,
    StatusReport, Timestamp, check, check_kept,
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    Store, StoreError,
    audit::{self, Action, By, Change},
    changes::Told,
    rows::{self, Desired, WithReport, desired_columns},
    sealing::Sealing,
    summaries,
};

/// Rows are taken into a page until they hold this much JSON: 100 statuses can be as many MiB.
pub(super) const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// A part of a list, in the order of names.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The name after which the next page begins; nothing on the last one.
    pub(crate) next: Option<String>,
}

/// What became of a PUT.
#[derive(Debug)]
pub(crate) enum Written {
    /// There was none of that name.
    Created(WithReport),
    /// There was one, which is now as was asked; perhaps it already was.
    Replaced(WithReport),
}

/// Why a PUT was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// Fields are wrong, alone or together with the secrets that are kept.
    #[error("checking the configuration")]
    Invalid(Vec<FieldError>),
    /// It is not as the caller believes.
    #[error("the condition does not hold")]
    Condition,
    /// It is a part of this Flux configuration, and not written by itself.
    #[error("it is a part of the fluxConfiguration {0}")]
    Part(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for PutError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a caller believes of a resource when it writes; looked at together with the write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The etag that it must have, or any of several; `*` for any at all.
    pub(crate) if_match: Option<Vec<String>>,
    /// Those that it must not have; `*` for none at all.
    pub(crate) if_none_match: Option<Vec<String>>,
}

impl Condition {
    /// That it is as it was read.
    pub(crate) fn of(etag: &str) -> Self {
        Self {
            if_match: Some(vec![etag.to_owned()]),
            if_none_match: None,
        }
    }

    /// Whether it holds for the resource with this etag, or for none.
    pub(crate) fn holds(&self, etag: Option<&str>) -> bool {
        let named = |tags: &Vec<String>| {
            etag.is_some_and(|etag| tags.iter().any(|tag| tag == "*" || tag == etag))
        };
        self.if_match.as_ref().is_none_or(named) && !self.if_none_match.as_ref().is_some_and(named)
    }
}

/// Why a report was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// There is no configuration of that name.
    #[error("the configuration is gone")]
    Gone,
    /// It speaks of another version than the present one.
    #[error("the configuration was changed since")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Makes or replaces a configuration. One that is already as asked is left as it is, with its
    /// etag, its dates and its status.
    pub(crate) async fn put(
        &self,
        id: &ConfigurationId,
        request: PutRequest,
        by: &By,
        condition: &Condition,
    ) -> Result<Written, PutError> {
        let (cluster, name) = keys(id);
        let mut transaction = self.database.begin(&cluster).await?;
        let old = find(&self.sealing, &mut transaction, &cluster, &name).await?;
        if !condition.holds(old.as_ref().map(|old| old.desired.etag.as_str())) {
            return Err(PutError::Condition);
        }
        not_a_part(old.as_ref().map(|old| &old.desired))?;
        let old_settings = find_settings(&self.sealing, &mut transaction, &cluster, &name).await?;

        let mut properties = request.properties;
        properties.ssh_known_hosts_contents = properties.ssh_known_hosts_contents.or_else(|| {
            let kept = old.as_ref().map(|old| &old.desired.properties);
            Some(
                kept.and_then(|kept| kept.ssh_known_hosts_contents.clone())
                    .unwrap_or_default(),
            )
        });
        let moved = old
            .as_ref()
            .filter(|_| request.protected == ProtectedChange::Keep);
        let moved = moved.and_then(|old| {
            let from = old.desired.properties.repository_url.as_deref()?;
            check_kept(&old_settings, from, properties.repository_url.as_deref()?)
        });
        let settings = request.protected.apply(Some(old_settings.clone()));
        properties.configuration_protected_settings = Some(settings.clone());
        // The name of one that is there was checked when it came, and may be written in any case.
        let checked = if old.is_some() { &name } else { id.name() };
        let mut errors = check(checked, &properties);
        errors.extend(moved);
        let errors = FieldError::join(request.unread, errors);
        if !errors.is_empty() {
            return Err(PutError::Invalid(errors));
        }
        properties.configuration_protected_settings = None;

        if let Some(old) = &old
            && old.desired.properties == properties
            && old_settings == settings
        {
            return Ok(Written::Replaced(old.clone()));
        }
        let now = Timestamp::now();
        let created = old.is_none();
        let before = old
            .as_ref()
            .map(|old| audit::configuration(&old.desired.properties, &old_settings));
        let mut after = audit::configuration(&properties, &settings);
        let changed = audit::changed_secrets(&old_settings, &settings);
        if !changed.is_empty() {
            after["changedProtectedSettings"] = changed.into();
        }
        let (old, earlier) = old
            .map(|old| (old.desired, old.report.or(old.earlier)))
            .unzip();
        let desired = Desired {
            etag: Uuid::new_v4().to_string(),
            properties,
            last_modified_by: by.name.clone(),
            last_modified_by_type: by.kind.clone(),
            last_modified_at: now,
            ..old.unwrap_or_else(|| Desired {
                id: id.as_str().to_owned(),
                etag: String::new(),
                properties: Default::default(),
                flux: None,
                created_by: by.name.clone(),
                created_by_type: by.kind.clone(),
                created_at: now,
                last_modified_by: String::new(),
                last_modified_by_type: by.kind.clone(),
                last_modified_at: now,
            })
        };
        write(&self.sealing, &mut transaction, &cluster, &name, &desired).await?;
        write_settings(&self.sealing, &mut transaction, &cluster, &name, &settings).await?;
        let change = Change {
            by,
            action: Action::PutConfiguration,
            resource: &desired.id,
            before,
            after: Some(after),
        };
        change.record(&self.sealing, &mut transaction).await?;
        self.commit(transaction, Told::Desired(cluster)).await?;
        let stored = WithReport {
            desired,
            report: None,
            earlier: earlier.flatten(),
        };
        Ok(if created {
            Written::Created(stored)
        } else {
            Written::Replaced(stored)
        })
    }

    /// The configuration, if there is one.
    pub(crate) async fn configuration(
        &self,
        id: &ConfigurationId,
    ) -> Result<Option<WithReport>, StoreError> {
        let (cluster, name) = keys(id);
        let mut connection = self.database.readers.acquire().await?;
        find(&self.sealing, &mut connection, &cluster, &name).await
    }

    /// The secrets of a configuration; none when there is none.
    pub(crate) async fn protected_settings(
        &self,
        id: &ConfigurationId,
    ) -> Result<ProtectedSettings, StoreError> {
        let (cluster, name) = keys(id);
        let mut connection = self.database.readers.acquire().await?;
        find_settings(&self.sealing, &mut connection, &cluster, &name).await
    }

    /// Deletes the configuration with its secrets and its status; whether there was one.
    pub(crate) async fn delete(
        &self,
        id: &ConfigurationId,
        by: &By,
        condition: &Condition,
    ) -> Result<bool, PutError> {
        let (cluster, name) = keys(id);
        let mut transaction = self.database.begin(&cluster).await?;
        let old = find_desired(&self.sealing, &mut transaction, &cluster, &name).await?;
        if !condition.holds(old.as_ref().map(|old| old.etag.as_str())) {
            return Err(PutError::Condition);
        }
        not_a_part(old.as_ref())?;
        let Some(old) = old else {
            return Ok(false);
        };
        let settings = find_settings(&self.sealing, &mut transaction, &cluster, &name).await?;
        let change = Change {
            by,
            action: Action::DeleteConfiguration,
            resource: &old.id,
            before: Some(audit::configuration(&old.properties, &settings)),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        sqlx::query("DELETE FROM configuration WHERE cluster = $1 AND name = $2")
            .bind(&cluster)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        self.commit(transaction, Told::Desired(cluster)).await?;
        Ok(true)
    }

    /// The configurations of a cluster as ARM shows them: with their status, without secrets.
    pub(crate) async fn list(
        &self,
        cluster: &ClusterId,
        after: &str,
        limit: u32,
    ) -> Result<Page<WithReport>, StoreError> {
        const QUERY: &str = concat!(
            "SELECT ",
            desired_columns!(),
            ", s.report FROM configuration c ",
            "LEFT JOIN status s ON s.cluster = c.cluster AND s.name = c.name ",
            "WHERE c.cluster = $1 AND c.name > $2 AND c.flux IS NULL ORDER BY c.name LIMIT $3"
        );
        let size = |row: &AnyRow| row.try_get::<Option<&[u8]>, _>("report").map(length);
        let read = |row: &AnyRow| WithReport::read(&self.sealing, row);
        self.page(QUERY, cluster, after, limit, size, read).await
    }

    /// The configurations of a cluster as its agent needs them: with their secrets.
    pub(crate) async fn list_with_secrets(
        &self,
        cluster: &ClusterId,
        after: &str,
        limit: u32,
    ) -> Result<Page<(Desired, ProtectedSettings)>, StoreError> {
        const QUERY: &str = concat!(
            "SELECT ",
            desired_columns!(),
            ", p.settings FROM configuration c ",
            "LEFT JOIN protected_settings p ON p.cluster = c.cluster AND p.name = c.name ",
            "WHERE c.cluster = $1 AND c.name > $2 ORDER BY c.name LIMIT $3"
        );
        let size = |row: &AnyRow| row.try_get::<Option<&[u8]>, _>("settings").map(length);
        let read = |row: &AnyRow| {
            let key = rows::row_key(row.try_get("cluster")?, row.try_get("name")?);
            Ok((
                Desired::read(&self.sealing, row)?,
                rows::settings(&self.sealing, row, &key)?.unwrap_or_default(),
            ))
        };
        self.page(QUERY, cluster, after, limit, size, read).await
    }

    async fn page<T>(
        &self,
        query: &'static str,
        cluster: &ClusterId,
        after: &str,
        limit: u32,
        size: impl Fn(&AnyRow) -> Result<usize, sqlx::Error>,
        read: impl Fn(&AnyRow) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let mut rows = sqlx::query(query)
            .bind(cluster.as_str().to_ascii_lowercase())
            .bind(after.to_ascii_lowercase())
            // One more than wanted tells whether there is a next page.
            .bind(i64::from(limit) + 1)
            .fetch(&self.database.readers);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut last = String::new();
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            if page.items.len() == limit as usize || bytes > MAX_PAGE_BYTES {
                page.next = Some(last);
                break;
            }
            bytes += size(&row)? + row.try_get::<&[u8], _>("properties")?.len();
            last = row.try_get("name")?;
            page.items.push(read(&row)?);
        }
        Ok(page)
    }

    /// Keeps what an agent reports, if it speaks of the configuration as it is now.
    pub(crate) async fn report(
        &self,
        id: &ConfigurationId,
        report: &StatusReport,
    ) -> Result<(), ReportError> {
        let (cluster, name) = keys(id);
        let mut transaction = self.database.begin(&cluster).await?;
        let etag: Option<String> =
            sqlx::query_scalar("SELECT etag FROM configuration WHERE cluster = $1 AND name = $2")
                .bind(&cluster)
                .bind(&name)
                .fetch_optional(&mut *transaction)
                .await?;
        match etag {
            None => return Err(ReportError::Gone),
            Some(etag) if etag != report.observed_etag => return Err(ReportError::Stale),
            Some(_) => {}
        }
        let old = summaries::find(&self.sealing, &mut transaction, &cluster, &name).await?;
        let new = summaries::write(
            &self.sealing,
            &mut transaction,
            &cluster,
            &name,
            report,
            old,
        )
        .await?;
        if new {
            self.commit(transaction, Told::Shown(cluster)).await?;
        } else {
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// A part of a Flux configuration is not written by itself.
fn not_a_part(old: Option<&Desired>) -> Result<(), PutError> {
    let flux = old.and_then(|old| old.flux.as_deref());
    flux.map_or(Ok(()), |flux| Err(PutError::Part(flux.to_owned())))
}

/// What rows are looked for by: the cluster and the name in lower case.
pub(super) fn keys(id: &ConfigurationId) -> (String, String) {
    (
        id.cluster().as_str().to_ascii_lowercase(),
        id.name().to_ascii_lowercase(),
    )
}

pub(super) fn length<T: AsRef<[u8]>>(column: Option<T>) -> usize {
    column.map_or(0, |value| value.as_ref().len())
}

async fn find(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
) -> Result<Option<WithReport>, StoreError> {
    sqlx::query(concat!(
        "SELECT ",
        desired_columns!(),
        ", s.report FROM configuration c ",
        "LEFT JOIN status s ON s.cluster = c.cluster AND s.name = c.name ",
        "WHERE c.cluster = $1 AND c.name = $2"
    ))
    .bind(cluster)
    .bind(name)
    .fetch_optional(connection)
    .await?
    .map(|row| WithReport::read(sealing, &row))
    .transpose()
}

/// The same without its report, which can be of some MiB.
pub(super) async fn find_desired(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
) -> Result<Option<Desired>, StoreError> {
    sqlx::query(concat!(
        "SELECT ",
        desired_columns!(),
        " FROM configuration c WHERE c.cluster = $1 AND c.name = $2"
    ))
    .bind(cluster)
    .bind(name)
    .fetch_optional(connection)
    .await?
    .map(|row| Desired::read(sealing, &row))
    .transpose()
}

pub(super) async fn find_settings(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
) -> Result<ProtectedSettings, StoreError> {
    let row =
        sqlx::query("SELECT settings FROM protected_settings WHERE cluster = $1 AND name = $2")
            .bind(cluster)
            .bind(name)
            .fetch_optional(connection)
            .await?;
    let key = rows::row_key(cluster, name);
    let settings = row.map(|row| rows::settings(sealing, &row, &key));
    let settings = settings.transpose()?.flatten();
    Ok(settings.unwrap_or_default())
}

pub(super) async fn write(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
    desired: &Desired,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO configuration (cluster, name, id, etag, properties, \
             created_by, created_at, last_modified_by, last_modified_at, flux, \
             created_by_type, last_modified_by_type) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (cluster, name) DO UPDATE SET \
             etag = excluded.etag, \
             properties = excluded.properties, \
             last_modified_by = excluded.last_modified_by, \
             last_modified_by_type = excluded.last_modified_by_type, \
             last_modified_at = excluded.last_modified_at",
    )
    .bind(cluster)
    .bind(name)
    .bind(&desired.id)
    .bind(&desired.etag)
    .bind(sealing.json(
        "properties",
        &rows::row_key(cluster, name),
        &desired.properties,
    )?)
    .bind(&desired.created_by)
    .bind(desired.created_at.to_string())
    .bind(&desired.last_modified_by)
    .bind(desired.last_modified_at.to_string())
    .bind(&desired.flux)
    .bind(desired.created_by_type.as_str())
    .bind(desired.last_modified_by_type.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn write_settings(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
    settings: &ProtectedSettings,
) -> Result<(), StoreError> {
    let key = rows::row_key(cluster, name);
    let query = if settings.is_empty() {
        sqlx::query("DELETE FROM protected_settings WHERE cluster = $1 AND name = $2")
            .bind(cluster)
            .bind(name)
    } else {
        sqlx::query(
            "INSERT INTO protected_settings (cluster, name, settings) VALUES ($1, $2, $3) \
             ON CONFLICT (cluster, name) DO UPDATE SET settings = excluded.settings",
        )
        .bind(cluster)
        .bind(name)
        .bind(sealing.seal("settings", &key, &rows::settings_bytes(settings))?)
    };
    query.execute(connection).await?;
    Ok(())
}
