//! The database under the store: SQLite or PostgreSQL, behind one set of queries. Placeholders are
//! `$1`, `$2`; columns are TEXT, BIGINT or BLOB, which PostgreSQL calls BYTEA; what else differs
//! between the two is in this file.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use sha2::{Digest as _, Sha256};
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _,
    Transaction,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{Location, StoreError, location::Place};

/// The migrations, oldest first. They only ever grow: one that was released is never changed.
const MIGRATIONS: [(i64, &str, &str); 14] = [
    (
        1,
        "configurations and tokens",
        include_str!("../../migrations/0001_configurations_and_tokens.sql"),
    ),
    (
        2,
        "principals",
        include_str!("../../migrations/0002_principals.sql"),
    ),
    (
        3,
        "clusters and resource groups",
        include_str!("../../migrations/0003_clusters.sql"),
    ),
    (
        4,
        "data key",
        include_str!("../../migrations/0004_data_key.sql"),
    ),
    (5, "page", include_str!("../../migrations/0005_page.sql")),
    (6, "audit", include_str!("../../migrations/0006_audit.sql")),
    (
        7,
        "enrolment",
        include_str!("../../migrations/0007_enrolment.sql"),
    ),
    (8, "flux", include_str!("../../migrations/0008_flux.sql")),
    (
        9,
        "people",
        include_str!("../../migrations/0009_people.sql"),
    ),
    (
        10,
        "presence",
        include_str!("../../migrations/0010_presence.sql"),
    ),
    (
        11,
        "summaries",
        include_str!("../../migrations/0011_summaries.sql"),
    ),
    (
        12,
        "kinds of authors",
        include_str!("../../migrations/0012_kinds_of_authors.sql"),
    ),
    (
        13,
        "access",
        include_str!("../../migrations/0013_access.sql"),
    ),
    (
        14,
        "order of clusters",
        include_str!("../../migrations/0014_order_of_clusters.sql"),
    ),
];

/// How long a call waits for its turn on a connection, and for a connection to be made.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many calls read an SQLite file at once. Each reader is a thread, and reads are short.
const READERS: u32 = 4;

/// Connections of one portal to PostgreSQL, which takes a hundred in all unless it was told
/// otherwise. Those that write may wait for each other, and must not keep out those that read.
const READING_CONNECTIONS: u32 = 10;
const WRITING_CONNECTIONS: u32 = 5;

/// For each connection to SQLite: NORMAL would survive a kill, but not a power cut, and the last
/// answers given would have been untrue. The wait is for another process that writes.
const OF_SQLITE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
    PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;";

/// For each connection to PostgreSQL: nothing waits for ever.
const OF_POSTGRES: &str = "SET lock_timeout = '5s'; SET statement_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '60s'; SET synchronous_commit = on;";

/// For a migration or a backup, which take as long as there are rows.
const WITHOUT_END: &str = "SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// Connections to the database. A clone shares them.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) engine: Engine,
    /// For what only reads.
    pub(super) readers: AnyPool,
    /// For what writes. With SQLite, one connection: it has one writer at a time, and waiting here
    /// in order is fairer and quicker than SQLite's way of trying again.
    pub(super) writer: AnyPool,
}

impl Database {
    /// Opens the database, which is made when it is a file that is missing, readable by its owner
    /// alone.
    pub(super) async fn connect(location: &Location) -> Result<Self, StoreError> {
        install_default_drivers();
        let url = location.url()?;
        let options: AnyConnectOptions = url.as_str().parse()?;
        let pool = |connections, setup: &'static str| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_connect(move |connection, _| {
                    Box::pin(async move { connection.execute(setup).await.map(drop) })
                })
        };
        match &location.0 {
            Place::File(path) => {
                create(path)?;
                Ok(Self {
                    engine: Engine::Sqlite,
                    // First, since one connection at a time turns the write-ahead log on.
                    writer: pool(1, OF_SQLITE).connect_with(options.clone()).await?,
                    readers: pool(READERS, OF_SQLITE).connect_with(options).await?,
                })
            }
            Place::Postgres(_) => {
                let pool = async |connections| {
                    let options = options.clone();
                    pool(connections, OF_POSTGRES).connect_with(options).await
                };
                Ok(Self {
                    engine: Engine::Postgres,
                    writer: pool(WRITING_CONNECTIONS).await?,
                    readers: pool(READING_CONNECTIONS).await?,
                })
            }
        }
    }

    /// Begins to write what lies below `key`: until the transaction ends nobody else does, in this
    /// process or another, so that what is read in it stays true. One that is dropped did nothing.
    pub(super) async fn begin(&self, key: &str) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.engine {
            Engine::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Engine::Postgres => {
                let lock = number(key);
                let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({lock})");
                self.writer.begin_with(AssertSqlSafe(begin)).await
            }
        }
    }

    /// Also what is below another key, for the rest of the transaction; whoever needs two takes them in
    /// this order: what belongs to a resource, then `principals`.
    pub(super) async fn also(
        &self,
        connection: &mut AnyConnection,
        key: &str,
    ) -> Result<(), sqlx::Error> {
        if self.engine == Engine::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(number(key))
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    /// What ends a query whose rows nobody else may change, nor refer to anew, until the transaction
    /// ends. With SQLite nobody else writes.
    pub(super) fn row_lock(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE",
        }
    }

    /// The version of the newest schema.
    pub(super) fn newest_schema() -> i64 {
        MIGRATIONS
            .map(|(version, ..)| version)
            .into_iter()
            .max()
            .unwrap_or_default()
    }

    /// Lets the statements of a transaction take as long as they do.
    pub(super) async fn without_end(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<(), sqlx::Error> {
        if self.engine == Engine::Postgres {
            connection.execute(WITHOUT_END).await?;
        }
        Ok(())
    }

    /// The portal's tables that there are.
    pub(super) async fn tables(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<Vec<String>, sqlx::Error> {
        let query = match self.engine {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Engine::Postgres => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
            }
        };
        sqlx::query_scalar(query).fetch_all(connection).await
    }

    /// Brings the schema up to date. Others may use the database meanwhile, or do the same.
    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await?;
        match self.engine {
            // The driver's lock for this is none.
            Engine::Sqlite => {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                self.migrate_to(&mut transaction, None).await?;
                transaction.commit().await?;
                Ok(())
            }
            Engine::Postgres => {
                // Whoever is first may take a while.
                let patient = "SET lock_timeout = '60s'; SET statement_timeout = 0";
                connection.execute(patient).await?;
                let done = self.migrate_to(&mut connection, None).await;
                // A session that failed may hold the lock: it ends, and the lock with it.
                connection.close().await?;
                done
            }
        }
    }

    /// Brings the schema up to date, or up to a version.
    pub(super) async fn migrate_to(
        &self,
        connection: &mut AnyConnection,
        target: Option<i64>,
    ) -> Result<(), StoreError> {
        let done = self
            .migrations()
            .run_direct(target, connection, false)
            .await;
        done.map_err(|error| match error {
            MigrateError::VersionMissing(found) => StoreError::Later {
                found,
                known: Self::newest_schema(),
            },
            error => StoreError::Migrate(error),
        })
    }

    /// Built at run time: the macro would compile SQLite a second time, for itself.
    fn migrations(&self) -> Migrator {
        let migrations = MIGRATIONS.map(|(version, description, sql)| {
            let sql = match self.engine {
                Engine::Sqlite => sql.into_sql_str(),
                Engine::Postgres => AssertSqlSafe(sql.replace(" BLOB", " BYTEA")).into_sql_str(),
            };
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

    /// Ends the connections, when the calls under way are over.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether too many asked at once, or the database is away for a moment, so that the same may
/// succeed a little later.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if error
                .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                .is_some()
            {
                // SQLITE_BUSY, with its extended codes: another process writes.
                return code.parse::<u32>().is_ok_and(|code| code & 0xff == 5);
            }
            // Of PostgreSQL: connections, deadlocks, no more of something, locks, shutting down.
            ["08", "40", "53", "55", "57"]
                .iter()
                .any(|class| code.starts_with(class))
        }
        _ => false,
    }
}

fn create(path: &Path) -> Result<(), StoreError> {
    // SQLite gives its `-wal` and `-shm` files the mode of the database.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| StoreError::Create {
            path: path.to_owned(),
            source,
        })
}

/// The number of PostgreSQL's lock for a key.
fn number(key: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let first = *digest.first_chunk().expect("a digest has 32 bytes");
    i64::from_be_bytes(first)
}
