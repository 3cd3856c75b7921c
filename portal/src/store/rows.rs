//! Rows of the store as values, and back. What the store holds as JSON is encoded and decoded here
//! and nowhere else.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::{
    ConfigurationProperties, IdentityType, ProtectedSettings, SourceControlConfiguration,
    StatusReport, SystemData, Timestamp,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, any::AnyRow};

use super::{StoreError, sealing::Sealing};

/// What is desired of one configuration, without its secrets.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) id: String,
    pub(crate) etag: String,
    pub(crate) properties: ConfigurationProperties,
    /// The name of the Flux configuration that it is a part of.
    pub(crate) flux: Option<String>,
    pub(crate) created_by: String,
    pub(crate) created_by_type: IdentityType,
    pub(crate) created_at: Timestamp,
    pub(crate) last_modified_by: String,
    pub(crate) last_modified_by_type: IdentityType,
    pub(crate) last_modified_at: Timestamp,
}

/// The same with what the agent last reported of it.
#[derive(Clone, Debug)]
pub(crate) struct WithReport {
    pub(crate) desired: Desired,
    pub(crate) report: Option<StatusReport>,
    /// What it last reported of the configuration as it was before its last change, when it has said
    /// nothing since.
    pub(crate) earlier: Option<StatusReport>,
}

/// The columns that [`Desired`] is read from.
macro_rules! desired_columns {
    () => {
        "c.cluster, c.name, c.id, c.etag, c.properties, c.flux, c.created_by, c.created_by_type, c.created_at, c.last_modified_by, c.last_modified_by_type, c.last_modified_at"
    };
}
pub(super) use desired_columns;

impl Desired {
    pub(super) fn read(sealing: &Sealing, row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.try_get("id")?,
            etag: row.try_get("etag")?,
            properties: sealing.read("properties", &key(row)?, row.try_get("properties")?)?,
            flux: row.try_get("flux")?,
            created_by: row.try_get("created_by")?,
            created_by_type: identity(row, "created_by_type")?,
            created_at: timestamp(row, "created_at")?,
            last_modified_by: row.try_get("last_modified_by")?,
            last_modified_by_type: identity(row, "last_modified_by_type")?,
            last_modified_at: timestamp(row, "last_modified_at")?,
        })
    }

    /// The resource as it goes over the wire, its status not yet filled in.
    pub(crate) fn resource(self) -> SourceControlConfiguration {
        SourceControlConfiguration {
            name: self.id.rsplit('/').next().map(str::to_owned),
            id: Some(self.id),
            resource_type: Some(gitmoor_arm::RESOURCE_TYPE.to_owned()),
            etag: Some(self.etag),
            properties: self.properties,
            system_data: Some(SystemData {
                created_by: Some(self.created_by),
                created_by_type: Some(self.created_by_type),
                created_at: Some(self.created_at),
                last_modified_by: Some(self.last_modified_by),
                last_modified_by_type: Some(self.last_modified_by_type),
                last_modified_at: Some(self.last_modified_at),
            }),
        }
    }
}

impl WithReport {
    pub(super) fn read(sealing: &Sealing, row: &AnyRow) -> Result<Self, StoreError> {
        let report: Option<&[u8]> = row.try_get("report")?;
        let key = key(row)?;
        let report: Option<StatusReport> = report
            .map(|report| sealing.read("report", &key, report))
            .transpose()?;
        let desired = Desired::read(sealing, row)?;
        let (report, earlier) = match report {
            Some(report) if report.observed_etag != desired.etag => (None, Some(report)),
            report => (report, None),
        };
        Ok(Self {
            desired,
            report,
            earlier,
        })
    }
}

/// What the sealed values of a configuration's row are sealed for.
fn key(row: &AnyRow) -> Result<String, StoreError> {
    Ok(row_key(row.try_get("cluster")?, row.try_get("name")?))
}

/// The same of the cluster and the name in lower case.
pub(super) fn row_key(cluster: &str, name: &str) -> String {
    format!("{cluster} {name}")
}

/// The secrets of a row that has a column `settings`.
pub(super) fn settings(
    sealing: &Sealing,
    row: &AnyRow,
    key: &str,
) -> Result<Option<ProtectedSettings>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get("settings")?;
    bytes
        .map(|bytes| {
            let json = sealing.unseal("settings", key, bytes)?;
            serde_json::from_slice(&json).map_err(|_| StoreError::Row {
                column: "settings",
                // serde_json's own words may quote a secret.
                source: "the protected settings are no JSON object of texts".into(),
            })
        })
        .transpose()
}

/// The secrets in the form in which they are sealed.
pub(super) fn settings_bytes(settings: &ProtectedSettings) -> Vec<u8> {
    let map: serde_json::Map<_, _> = settings
        .iter()
        .map(|(name, value)| (name.to_owned(), value.expose().into()))
        .collect();
    text(&map).into_bytes()
}

/// The etag of what has none in its row: a digest of all that it is.
pub(super) fn etag(value: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text(value)))
}

/// A value of ours as JSON.
pub(super) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("values with text keys and finite numbers are JSON")
}

pub(super) fn timestamp(row: &AnyRow, column: &'static str) -> Result<Timestamp, StoreError> {
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|source| broken(column, source))
}

/// What kind of identity wrote it.
pub(super) fn identity(row: &AnyRow, column: &'static str) -> Result<IdentityType, StoreError> {
    let kind: Option<&str> = row.try_get(column)?;
    Ok(kind.map_or(IdentityType::Application, IdentityType::from))
}

pub(super) fn broken(
    column: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Row {
        column,
        source: source.into(),
    }
}
