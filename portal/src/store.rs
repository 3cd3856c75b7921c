//! What the portal keeps, in one SQLite file: configurations with their secrets and status, clusters,
//! and the principals who may call. What is written is on the disk before it is acknowledged.

mod clusters;
mod configurations;
mod groups;
mod keys;
mod presence;
mod principals;
mod rows;

pub(crate) use clusters::{ClusterRecord, ClusterWrite};
pub(crate) use configurations::{Condition, Page, PutError, ReportError, Written};
pub(crate) use groups::{GroupRecord, GroupWrite};
pub(crate) use rows::WithReport;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

/// The migrations, oldest first. They only ever grow: one that was released is never changed.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (
        1,
        "configurations and tokens",
        include_str!("../migrations/0001_configurations_and_tokens.sql"),
    ),
    (
        2,
        "principals",
        include_str!("../migrations/0002_principals.sql"),
    ),
    (
        3,
        "clusters and resource groups",
        include_str!("../migrations/0003_clusters.sql"),
    ),
];

/// Taken before anything is read, so that no two writers decide on the same state.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// How long a statement waits for another process that writes, such as `gitmoor portal principal`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for its turn on a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many calls read at once. Each reader is a thread, and reads are short.
const READERS: u32 = 4;

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
    /// A statement failed.
    #[error("asking the database")]
    Database(#[from] sqlx::Error),
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
    /// Whether too many asked at once, so that the same may succeed a little later.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::PoolTimedOut) => true,
            // SQLITE_BUSY, with its extended codes: another process writes.
            Self::Database(sqlx::Error::Database(error)) => error
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .is_some_and(|code| code & 0xff == 5),
            _ => false,
        }
    }
}

/// The portal's database. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    /// One connection: SQLite has one writer at a time, and waiting here in order is fairer and
    /// quicker than SQLite's way of trying again.
    writer: SqlitePool,
    signing: Arc<keys::Signing>,
    presence: Arc<presence::Presence>,
}

impl Store {
    /// Opens the database at `path`, which is made when it is missing, readable by its owner
    /// alone, and brings its schema up to date. A running portal does not mind.
    ///
    /// # Errors
    /// When the file cannot be made, is no database of the portal, or is of a later version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite gives its `-wal` and `-shm` files the mode of the database.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| StoreError::Create {
                path: path.to_owned(),
                source,
            })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would survive a kill, but not a power cut: the last answers given would have
            // been untrue.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        migrations()
            .run(&writer)
            .await
            .map_err(StoreError::Migrate)?;
        let readers = pool(READERS).connect_with(options).await?;
        let signing = Arc::new(keys::Signing::open(&writer).await?);
        Ok(Self {
            readers,
            writer,
            signing,
            presence: Arc::default(),
        })
    }

    /// Ends the connections, when the calls under way are over.
    pub(crate) async fn close(&self) {
        self.write_presence().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Built at run time: the macro would compile SQLite a second time, for itself.
fn migrations() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, description, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            sql,
            false,
        )
    });
    Migrator::with_migrations(migrations.into())
}
