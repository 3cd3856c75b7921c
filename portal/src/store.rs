//! What the portal keeps, in SQLite or PostgreSQL: configurations with their secrets and status, clusters,
//! and the principals who may call. What is written is on the disk before it is acknowledged.

mod audit;
mod backup;
mod changes;
mod clusters;
mod configurations;
mod credentials;
mod database;
mod enrolments;
mod flux;
mod groups;
mod keys;
mod location;
mod presence;
mod principals;
mod roles;
mod rows;
mod sealing;
mod sessions;
mod summaries;
#[cfg(test)]
mod tests;

pub use audit::AuditEntry;
pub(crate) use audit::By;
pub use backup::{BackupError, back_up, restore};
pub(crate) use changes::News;
pub(crate) use clusters::{ClusterRecord, ClusterWrite};
pub(crate) use configurations::{Condition, Page, PutError, ReportError, Written};
pub use credentials::Credential;
pub(crate) use flux::{FluxPart, FluxRecord, FluxWritten};
pub(crate) use groups::{GroupRecord, GroupWrite, is_same_location};
pub use location::{Location, LocationError};
pub(crate) use presence::{OFFLINE_AFTER, Said, Seen};
pub(crate) use roles::{RoleDelete, RoleRecord, RoleWrite};
pub(crate) use rows::{Desired, WithReport};
pub(crate) use sessions::{LinkFor, SESSION_LIFETIME};
pub(crate) use summaries::{ClusterSummary, ConfigurationSummary, Summary};

use std::{io, path::PathBuf, sync::Arc};

use crate::{EncryptionError, Settings, encryption::MasterKeys};
use database::Database;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be made.
    #[error("creating the database {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("bringing the schema of the database up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A later version of the program brought it up to date.
    #[error(
        "the database has schema {found} and this program knows {known}: start the version that ran last, or a later one; to go back, restore a backup from before"
    )]
    Later {
        /// The database's.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// A statement failed.
    #[error("asking the database")]
    Database(#[from] sqlx::Error),
    /// What is in the database cannot be opened, or nothing can be sealed.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// A row holds what this version never writes.
    #[error("reading `{column}` of the database")]
    Row {
        /// Where.
        column: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same may succeed a little later.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Database(error) if database::is_busy(error))
    }
}

/// What the portal keeps. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    sealing: sealing::Sealing,
    signing: Arc<keys::Signing>,
    presence: Arc<presence::Presence>,
    changes: Arc<changes::Changes>,
    location: Location,
}

impl Store {
    /// Opens the database of a portal, which is made when it is a file that is missing, readable by
    /// its owner alone, and brings its schema up to date. A running portal does not mind.
    ///
    /// # Errors
    /// When it is not to be had, is no database of the portal, is of a later version, or is sealed
    /// with another key.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let location = settings.database();
        let database = Database::connect(&location).await?;
        let sealed_by = sealing::sealed_by(&database).await?;
        let directory = &settings.data_directory;
        let keys = MasterKeys::read(&settings.encryption, directory, &sealed_by).await?;
        database.migrate().await?;
        let sealing = sealing::Sealing::open(&database, &keys).await?;
        backup::tell_restored(&database, &sealing).await?;
        let store = Self {
            signing: Arc::new(keys::Signing::open(&database, &sealing).await?),
            database,
            sealing,
            presence: Arc::default(),
            changes: Arc::default(),
            location,
        };
        store.summarise().await?;
        Ok(store)
    }

    /// Ends the connections, when the calls under way are over.
    pub(crate) async fn close(&self) {
        self.write_presence().await;
        self.database.close().await;
    }
}
