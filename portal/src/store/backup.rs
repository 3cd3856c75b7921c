//! A backup: every row as a line of JSON, the same for both engines, so that what one wrote the other
//! reads. What is sealed stays sealed: without its key a backup shows as little as the database.

use std::io::{BufRead, Write};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::TryStreamExt as _;
use gitmoor_arm::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{
    AnyConnection, AssertSqlSafe, Column as _, Row as _, ValueRef as _,
    any::{AnyRow, AnyTypeInfoKind},
};

use super::{
    Location, StoreError,
    audit::{Action, By, Change},
    database::{Database, Engine},
    location::Place,
    rows::broken,
    sealing::Sealing,
};

/// Every table, in an order in which rows can be put in.
pub(super) const TABLES: [&str; 17] = [
    "portal",
    "principal",
    "person",
    "role_assignment",
    "credential",
    "signing_key",
    "data_key",
    "resource_group",
    "cluster",
    "presence",
    "flux_configuration",
    "configuration",
    "protected_settings",
    "status",
    "summary",
    "sync",
    "audit",
];

/// Tables that stay behind: who was signed in then is not signed in again by a restore, and a link
/// or a token that was used does not work a second time.
#[cfg(test)]
const LEFT_OUT: [&str; 3] = ["enrolment", "session", "sign_in_link"];

/// The form of a backup.
const FORM: u32 = 1;

/// What can go wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be written or read.
    #[error("reading or writing the backup")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no backup, or not a whole one.
    #[error("line {line} of the backup: {problem}; nothing was restored")]
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It was made by a later version of the portal.
    #[error(
        "the backup has schema {found} and this program knows {known}: restore it with the version that made it, or a later one"
    )]
    Later {
        /// The backup's.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// There is nothing to back up.
    #[error("there is no database of a portal at {0}: say where it is")]
    NoDatabase(String),
    /// There is something in the database.
    #[error("the database {0} is not empty: name another one, or move it away")]
    NotEmpty(String),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    gitmoor_portal_backup: u32,
    schema: i64,
}

/// Any other line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Row {
        table: String,
        values: Map<String, Value>,
    },
    /// The last one: SHA-256 of all before it.
    End { rows: usize, sha256: String },
}

/// Writes what hashes itself.
struct Lines<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, line: &impl Serialize) -> Result<(), BackupError> {
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::from)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.to.write_all(&text)?;
        Ok(())
    }
}

/// Writes all that is in the database as it is at one moment, of whichever schema, and says how many
/// rows there are. A running portal does not mind.
///
/// # Errors
/// When the database is not there, cannot be read or is of a later version, or the backup not be written.
pub async fn back_up(location: &Location, to: impl Write) -> Result<usize, BackupError> {
    let no_database = || BackupError::NoDatabase(location.to_string());
    if let Place::File(path) = &location.0
        && !path.try_exists()?
    {
        return Err(no_database());
    }
    let database = Database::connect(location).await?;
    let begin = match database.engine {
        Engine::Sqlite => "BEGIN",
        Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    };
    let mut transaction = database.readers.begin_with(begin).await?;
    database.without_end(&mut transaction).await?;
    let there = database.tables(&mut transaction).await?;
    let is_there = |table: &str| there.iter().any(|one| one == table);
    if !is_there("_sqlx_migrations") {
        return Err(no_database());
    }
    let schema = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut *transaction)
        .await?;
    let known = Database::newest_schema();
    if schema > known {
        let found = schema;
        return Err(StoreError::Later { found, known }.into());
    }
    let mut lines = Lines {
        to,
        hash: Sha256::new(),
    };
    lines.write(&Head {
        gitmoor_portal_backup: FORM,
        schema,
    })?;
    let mut count = 0;
    for table in TABLES {
        if !is_there(table) {
            continue;
        }
        let query = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let mut rows = sqlx::query(query).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            lines.write(&Line::Row {
                table: table.to_owned(),
                values: values(&row)?,
            })?;
            count += 1;
        }
    }
    let sha256 = hex(&lines.hash.clone().finalize());
    lines.write(&Line::End {
        rows: count,
        sha256,
    })?;
    lines.to.flush()?;
    transaction.rollback().await?;
    database.close().await;
    Ok(count)
}

/// Texts and numbers as they are, bytes as `{"base64": …}`.
fn values(row: &AnyRow) -> Result<Map<String, Value>, sqlx::Error> {
    let columns = row.columns().iter();
    columns
        .map(|column| {
            let at = column.ordinal();
            let raw = row.try_get_raw(at)?;
            let value = if raw.is_null() {
                Value::Null
            } else {
                match raw.type_info().kind() {
                    AnyTypeInfoKind::Blob => {
                        json!({"base64": BASE64_STANDARD.encode(row.try_get::<&[u8], _>(at)?)})
                    }
                    AnyTypeInfoKind::SmallInt
                    | AnyTypeInfoKind::Integer
                    | AnyTypeInfoKind::BigInt => row.try_get::<i64, _>(at)?.into(),
                    _ => row.try_get::<&str, _>(at)?.into(),
                }
            };
            Ok((column.name().to_owned(), value))
        })
        .collect()
}

/// Puts a backup into an empty database, all of it or nothing, and says how many rows there are.
///
/// # Errors
/// When it is not whole, of a later version, or the database is not empty.
pub async fn restore(location: &Location, from: impl BufRead) -> Result<usize, BackupError> {
    let database = Database::connect(location).await?;
    let restored = read(&database, location, from).await;
    database.close().await;
    restored
}

async fn read(
    database: &Database,
    location: &Location,
    from: impl BufRead,
) -> Result<usize, BackupError> {
    let mut lines = from.split(b'\n').enumerate();
    let mut hash = Sha256::new();
    let malformed = |line: usize, problem: &str| BackupError::Malformed {
        line: line + 1,
        problem: problem.to_owned(),
    };
    let first = lines.next().map(|(_, line)| line).transpose()?;
    let first = first.unwrap_or_default();
    let head: Head = serde_json::from_slice(&first)
        .ok()
        .filter(|head: &Head| head.gitmoor_portal_backup == FORM)
        .ok_or_else(|| malformed(0, "this is no backup of a portal"))?;
    let known = Database::newest_schema();
    if head.schema > known {
        return Err(BackupError::Later {
            found: head.schema,
            known,
        });
    }
    hash.update(&first);
    hash.update(b"\n");
    let mut transaction = database.begin("restore").await?;
    database.without_end(&mut transaction).await?;
    for table in database.tables(&mut transaction).await? {
        if !TABLES.contains(&table.as_str()) {
            continue;
        }
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(query)
            .fetch_one(&mut *transaction)
            .await?;
        if count > 0 {
            return Err(BackupError::NotEmpty(location.to_string()));
        }
    }
    // Its rows fit the schema that it was made of, and are brought up to date with it.
    database
        .migrate_to(&mut transaction, Some(head.schema))
        .await?;
    let mut count = 0;
    for (number, line) in lines {
        let line = line?;
        let read = serde_json::from_slice(&line)
            .map_err(|_| malformed(number, "it is no row, and not the end"))?;
        match read {
            Line::Row { table, values } => {
                if !insert(&mut transaction, &table, &values).await? {
                    return Err(malformed(number, "it is no row of the portal's"));
                }
                count += 1;
                hash.update(&line);
                hash.update(b"\n");
            }
            Line::End { rows, sha256 } => {
                if rows != count || sha256 != hex(&hash.finalize()) {
                    return Err(malformed(number, "what comes before was changed"));
                }
                database.migrate_to(&mut transaction, None).await?;
                let told = json!({
                    "at": Timestamp::now(), "by": By::command_line().name, "rows": count,
                });
                sqlx::query("UPDATE portal SET restored = $1")
                    .bind(told.to_string())
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                return Ok(count);
            }
        }
    }
    Err(malformed(count + 1, "the end is missing"))
}

/// Writes down that the database comes from a backup, once it can be sealed.
pub(super) async fn tell_restored(
    database: &Database,
    sealing: &Sealing,
) -> Result<(), StoreError> {
    let query = "SELECT restored FROM portal WHERE restored IS NOT NULL";
    let told: Option<String> = sqlx::query_scalar(query)
        .fetch_optional(&database.readers)
        .await?;
    let Some(told) = told else { return Ok(()) };
    let mut transaction = database.begin("restore").await?;
    let done = sqlx::query("UPDATE portal SET restored = NULL WHERE restored IS NOT NULL")
        .execute(&mut *transaction)
        .await?;
    // Another process may have been first.
    if done.rows_affected() == 0 {
        return Ok(());
    }
    let told: Value = serde_json::from_str(&told).map_err(|error| broken("restored", error))?;
    let change = Change {
        by: &By::named(told["by"].as_str().unwrap_or_default()),
        action: Action::Restore,
        resource: "/providers/Gitmoor.Portal/restores",
        before: None,
        after: Some(json!({"at": told["at"], "rows": told["rows"]})),
    };
    change.record(sealing, &mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether it could be a row.
async fn insert(
    connection: &mut AnyConnection,
    table: &str,
    values: &Map<String, Value>,
) -> Result<bool, BackupError> {
    let is_name = |name: &String| {
        name.bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'0'..=b'9'))
    };
    if !TABLES.contains(&table) || values.is_empty() || !values.keys().all(is_name) {
        return Ok(false);
    }
    // What is null is so by default.
    let given = || values.iter().filter(|(_, value)| !value.is_null());
    let columns: Vec<_> = given().map(|(name, _)| name.as_str()).collect();
    let places: Vec<_> = (1..=columns.len()).map(|at| format!("${at}")).collect();
    let query = format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        columns.join(", "),
        places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(query));
    for (_, value) in given() {
        query = match value {
            Value::String(text) => query.bind(text.clone()),
            Value::Number(number) => query.bind(number.as_i64()),
            other => {
                let bytes = other["base64"].as_str();
                let Some(bytes) = bytes.and_then(|text| BASE64_STANDARD.decode(text).ok()) else {
                    return Ok(false);
                };
                query.bind(bytes)
            }
        };
    }
    query.execute(connection).await?;
    Ok(true)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
