//! What the reports of a configuration said in the course of time: an entry for each state and commit.

use gitmoor_arm::ConfigurationId;
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::Summary;
use crate::store::{Store, StoreError, configurations::keys, rows, sealing::Sealing};

/// How many entries of its history a configuration keeps.
const HISTORY: usize = 50;

impl Store {
    /// What the reports of a configuration said, the newest first.
    pub(crate) async fn history(&self, id: &ConfigurationId) -> Result<Vec<Summary>, StoreError> {
        let (cluster, name) = keys(id);
        let rows = sqlx::query(
            "SELECT id, entry FROM sync WHERE cluster = $1 AND name = $2 ORDER BY id DESC",
        )
        .bind(&cluster)
        .bind(&name)
        .fetch_all(&self.database.readers)
        .await?;
        let read = |row: &AnyRow| {
            let key = entry_key(&cluster, &name, row.try_get("id")?);
            self.sealing.read("entry", &key, row.try_get("entry")?)
        };
        rows.iter().map(read).collect()
    }
}

impl Summary {
    /// Whether it belongs to the same entry of the history: what goes on within a state, such as the
    /// progress of a sync or drift that is put right, makes no further one.
    fn goes_on(&self, other: &Self) -> bool {
        let entry = |one: &Self| {
            (
                one.state.clone(),
                one.level.clone(),
                one.attempted_revision.clone(),
                one.applied_revision.clone(),
            )
        };
        entry(self) == entry(other)
    }
}

/// Writes what is new into the newest entry, or into another one.
pub(super) async fn record(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
    summary: Summary,
) -> Result<(), StoreError> {
    let newest = newest(sealing, connection, cluster, name).await?;
    let (id, begun) = match newest.filter(|(_, entry)| entry.goes_on(&summary)) {
        Some((id, entry)) => (id, entry.at),
        None => (Uuid::now_v7().to_string(), summary.at),
    };
    let entry = Summary {
        at: begun,
        ..summary
    };
    sqlx::query(
        "INSERT INTO sync (cluster, name, id, entry) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (cluster, name, id) DO UPDATE SET entry = excluded.entry",
    )
    .bind(cluster)
    .bind(name)
    .bind(&id)
    .bind(sealing.json("entry", &entry_key(cluster, name, &id), &entry)?)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM sync WHERE cluster = $1 AND name = $2 AND id NOT IN \
         (SELECT id FROM sync WHERE cluster = $1 AND name = $2 ORDER BY id DESC LIMIT $3)",
    )
    .bind(cluster)
    .bind(name)
    .bind(i64::try_from(HISTORY).expect("it is small"))
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest entry of the history.
async fn newest(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
) -> Result<Option<(String, Summary)>, StoreError> {
    let row = sqlx::query(
        "SELECT id, entry FROM sync WHERE cluster = $1 AND name = $2 ORDER BY id DESC LIMIT 1",
    )
    .bind(cluster)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let key = entry_key(cluster, name, &id);
    let entry = sealing.read("entry", &key, row.try_get("entry")?)?;
    Ok(Some((id, entry)))
}

/// What an entry of the history is sealed for.
fn entry_key(cluster: &str, name: &str, id: &str) -> String {
    format!("{} {id}", rows::row_key(cluster, name))
}
