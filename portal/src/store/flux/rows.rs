//! The rows of Flux configurations, and those of their parts among the configurations.

use futures::TryStreamExt as _;
use gitmoor_arm::{
    FieldError, FluxConfigurationId, FluxProperties, MAX_KUSTOMIZATIONS, ProtectedSettings,
    check_name, flux_parts, part_name,
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{FluxPart, FluxRecord};
use crate::store::{
    Store, StoreError, Summary,
    configurations::{find_desired, find_settings, length, write, write_settings},
    rows::{self, Desired, broken, identity, row_key, timestamp},
};

/// The columns that [`Store::read_flux`] reads.
macro_rules! flux_columns {
    () => {
        "cluster, name, id, etag, properties, settings, created_by, created_by_type, created_at, last_modified_by, last_modified_by_type, last_modified_at"
    };
}
pub(super) use flux_columns;

/// The full reports of a Flux configuration's parts that are read, in bytes: 64 of them can have 4 MiB
/// each. What the others say is in their summaries.
const MAX_REPORTS: usize = 4 * 1024 * 1024;

impl Store {
    /// The Flux configuration, its parts not yet read.
    pub(super) async fn find_flux(
        &self,
        connection: &mut AnyConnection,
        cluster: &str,
        name: &str,
    ) -> Result<Option<(FluxRecord, ProtectedSettings)>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            flux_columns!(),
            " FROM flux_configuration WHERE cluster = $1 AND name = $2"
        ))
        .bind(cluster)
        .bind(name)
        .fetch_optional(connection)
        .await?;
        row.map(|row| self.read_flux(&row)).transpose()
    }

    pub(super) fn read_flux(
        &self,
        row: &AnyRow,
    ) -> Result<(FluxRecord, ProtectedSettings), StoreError> {
        let key = row_key(row.try_get("cluster")?, row.try_get("name")?);
        let id: &str = row.try_get("id")?;
        let settings = rows::settings(&self.sealing, row, &flux_key(&key))?;
        let properties = row.try_get("properties")?;
        let record = FluxRecord {
            id: id.parse().map_err(|error| broken("id", error))?,
            etag: row.try_get("etag")?,
            properties: self
                .sealing
                .read("properties", &flux_key(&key), properties)?,
            created_by: row.try_get("created_by")?,
            created_by_type: identity(row, "created_by_type")?,
            created_at: timestamp(row, "created_at")?,
            last_modified_by: row.try_get("last_modified_by")?,
            last_modified_by_type: identity(row, "last_modified_by_type")?,
            last_modified_at: timestamp(row, "last_modified_at")?,
            parts: Vec::new(),
        };
        Ok((record, settings.unwrap_or_default()))
    }

    /// Its parts, with their reports as long as there is room for them, and how much they took.
    pub(super) async fn parts(
        &self,
        connection: &mut AnyConnection,
        cluster: &str,
        name: &str,
    ) -> Result<(Vec<FluxPart>, usize), StoreError> {
        let mut rows = sqlx::query(
            "SELECT c.name, c.etag, s.report, u.summary FROM configuration c \
             LEFT JOIN status s ON s.cluster = c.cluster AND s.name = c.name \
             LEFT JOIN summary u ON u.cluster = c.cluster AND u.name = c.name \
             WHERE c.cluster = $1 AND c.flux = $2 ORDER BY c.name",
        )
        .bind(cluster)
        .bind(name)
        .fetch(connection);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let name: String = row.try_get("name")?;
            let key = row_key(cluster, &name);
            let summary: Option<&[u8]> = row.try_get("summary")?;
            let summary = summary.map(|summary| self.sealing.read("summary", &key, summary));
            let etag: &str = row.try_get("etag")?;
            let now = |summary: &Summary| !summary.is_earlier(etag);
            let summary = summary.transpose()?.filter(now);
            let report: Option<&[u8]> = row.try_get("report")?;
            let report =
                report.filter(|report| summary.is_some() && bytes + report.len() <= MAX_REPORTS);
            bytes += length(report);
            let report = report.map(|report| self.sealing.read("report", &key, report));
            parts.push(FluxPart {
                report: report.transpose()?,
                summary,
                name,
            });
        }
        Ok((parts, bytes))
    }

    pub(super) async fn write_flux(
        &self,
        connection: &mut AnyConnection,
        cluster: &str,
        name: &str,
        record: &FluxRecord,
        settings: &ProtectedSettings,
    ) -> Result<(), StoreError> {
        let key = flux_key(&row_key(cluster, name));
        sqlx::query(
            "INSERT INTO flux_configuration (cluster, name, id, etag, properties, settings, \
                 created_by, created_at, last_modified_by, last_modified_at, created_by_type, \
                 last_modified_by_type) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (cluster, name) DO UPDATE SET \
                 etag = excluded.etag, \
                 properties = excluded.properties, \
                 settings = excluded.settings, \
                 last_modified_by = excluded.last_modified_by, \
                 last_modified_by_type = excluded.last_modified_by_type, \
                 last_modified_at = excluded.last_modified_at",
        )
        .bind(cluster)
        .bind(name)
        .bind(record.id.as_str())
        .bind(&record.etag)
        .bind(self.sealing.json("properties", &key, &record.properties)?)
        .bind(
            self.sealing
                .seal("settings", &key, &rows::settings_bytes(settings))?,
        )
        .bind(&record.created_by)
        .bind(record.created_at.to_string())
        .bind(&record.last_modified_by)
        .bind(record.last_modified_at.to_string())
        .bind(record.created_by_type.as_str())
        .bind(record.last_modified_by_type.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Brings the configurations of the kustomizations to what is desired.
    pub(super) async fn write_parts(
        &self,
        connection: &mut AnyConnection,
        cluster: &str,
        name: &str,
        record: &FluxRecord,
        settings: &ProtectedSettings,
    ) -> Result<(), StoreError> {
        let desired = flux_parts(name, &record.properties, settings);
        let there: Vec<String> =
            sqlx::query_scalar("SELECT name FROM configuration WHERE cluster = $1 AND flux = $2")
                .bind(cluster)
                .bind(name)
                .fetch_all(&mut *connection)
                .await?;
        for gone in there {
            if desired.iter().any(|(part, _)| *part == gone) {
                continue;
            }
            sqlx::query("DELETE FROM configuration WHERE cluster = $1 AND name = $2")
                .bind(cluster)
                .bind(gone)
                .execute(&mut *connection)
                .await?;
        }
        for (part, mut properties) in desired {
            let secrets = properties.configuration_protected_settings.take();
            let secrets = secrets.unwrap_or_default();
            let old = find_desired(&self.sealing, connection, cluster, &part).await?;
            if let Some(old) = &old
                && old.properties == properties
                && find_settings(&self.sealing, connection, cluster, &part).await? == secrets
            {
                continue;
            }
            let id = record.id.cluster().configuration(&part);
            let id = id.map_err(|error| broken("id", error))?;
            let desired = Desired {
                id: id.as_str().to_owned(),
                etag: Uuid::new_v4().to_string(),
                properties,
                flux: Some(name.to_owned()),
                created_by: record.created_by.clone(),
                created_by_type: record.created_by_type.clone(),
                created_at: record.created_at,
                last_modified_by: record.last_modified_by.clone(),
                last_modified_by_type: record.last_modified_by_type.clone(),
                last_modified_at: record.last_modified_at,
            };
            write(&self.sealing, connection, cluster, &part, &desired).await?;
            write_settings(&self.sealing, connection, cluster, &part, &secrets).await?;
        }
        Ok(())
    }

    /// Kustomizations whose place another configuration has, or for which there is none.
    pub(super) async fn taken(
        &self,
        connection: &mut AnyConnection,
        id: &FluxConfigurationId,
        cluster: &str,
        name: &str,
        properties: &FluxProperties,
    ) -> Result<Vec<FieldError>, StoreError> {
        let mut errors = Vec::new();
        // What is wrong with a name, or with more of them, is said by other checks.
        let names = properties.kustomizations.keys().take(MAX_KUSTOMIZATIONS);
        for own in names.filter(|own| check_name(own).is_empty()) {
            let part = part_name(name, own);
            let message = match id.cluster().configuration(&part) {
                Err(error) => format!("it can have no id: {error}"),
                Ok(_) => {
                    let found = find_desired(&self.sealing, connection, cluster, &part).await?;
                    if found.is_none_or(|found| found.flux.as_deref() == Some(name)) {
                        continue;
                    }
                    format!("there is a sourceControlConfiguration `{part}` already")
                }
            };
            errors.push(FieldError {
                field: format!("properties.kustomizations.{own}"),
                message,
            });
        }
        Ok(errors)
    }
}

/// What its values are sealed for: not the same as of a configuration of that name.
fn flux_key(key: &str) -> String {
    format!("flux {key}")
}
