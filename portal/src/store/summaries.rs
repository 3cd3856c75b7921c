//! What lists show of all clusters and configurations, in few words, and what the reports of a
//! configuration said in the course of time.

use std::collections::BTreeMap;

use gitmoor_arm::{
    ClusterId, ComplianceState, ConfigurationId, ConfigurationProperties, MessageLevel,
    ObjectCounts, Problem, StatusReport, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    Store, StoreError,
    configurations::keys,
    presence::Seen,
    rows::{self, broken, timestamp},
    sealing::Sealing,
};

/// Texts of a summary are cut here: a list shows no more.
const MAX_TEXT: usize = 300;

/// How many problems a summary names.
const PROBLEMS: usize = 3;

/// How many entries of its history a configuration keeps.
const HISTORY: usize = 50;

/// A report in few words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Summary {
    pub(crate) state: Option<ComplianceState>,
    pub(crate) level: Option<MessageLevel>,
    pub(crate) message: String,
    pub(crate) attempted_revision: Option<String>,
    pub(crate) applied_revision: Option<String>,
    pub(crate) last_applied: Option<Timestamp>,
    pub(crate) objects: Option<ObjectCounts>,
    /// How many there are.
    pub(crate) problems: u32,
    /// The first of them.
    pub(crate) first: Vec<Problem>,
    /// A digest of what is said of each object, and of who wrote the commit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) details: String,
    /// When it was said.
    pub(crate) at: Option<Timestamp>,
    /// Since when the state is what it is.
    pub(crate) since: Option<Timestamp>,
}

impl Summary {
    pub(crate) fn of(report: &StatusReport) -> Self {
        let shown = u32::try_from(report.problems.len()).unwrap_or(u32::MAX);
        let mut first: Vec<Problem> = report.problems.iter().take(PROBLEMS).cloned().collect();
        for problem in &mut first {
            cut(&mut problem.message);
            cut(&mut problem.path);
            problem.object.iter_mut().for_each(cut);
        }
        let mut message = report.message.clone();
        cut(&mut message);
        Self {
            state: report.compliance_state.clone(),
            level: report.message_level.clone(),
            message,
            attempted_revision: report.attempted_revision.clone(),
            applied_revision: report.applied_revision.clone(),
            last_applied: report.last_config_applied,
            objects: report.objects,
            problems: shown.saturating_add(report.problems_omitted),
            first,
            details: details(report),
            at: None,
            since: None,
        }
    }

    /// Whether it says the same, at another time perhaps.
    fn says(&self, other: &Self) -> bool {
        let timeless = |one: &Self| Self {
            at: None,
            since: None,
            last_applied: None,
            details: String::new(),
            ..one.clone()
        };
        timeless(self) == timeless(other)
    }
}

/// What lists do not show, and a page does.
fn details(report: &StatusReport) -> String {
    let mut hash = Sha256::new();
    for object in &report.inventory {
        for text in [&object.object, &object.health, &object.message] {
            hash.update(text);
            hash.update([0]);
        }
    }
    if let Some(commit) = &report.applied_commit {
        hash.update(&commit.author);
        hash.update(&commit.title);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
        text.push('…');
    }
}

/// A cluster in few words; it may have configurations and yet never have been registered.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSummary {
    pub(crate) id: ClusterId,
    pub(crate) location: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Its agent, when it last called.
    pub(crate) seen: Option<Seen>,
    pub(crate) configurations: Vec<ConfigurationSummary>,
}

/// A configuration in few words.
#[derive(Clone, Debug)]
pub(crate) struct ConfigurationSummary {
    pub(crate) name: String,
    pub(crate) properties: ConfigurationProperties,
    pub(crate) last_modified_at: Timestamp,
    pub(crate) summary: Option<Summary>,
}

impl Store {
    /// All clusters that there are, in the order of their ids.
    pub(crate) async fn summaries(&self) -> Result<Vec<ClusterSummary>, StoreError> {
        let seen = self.all_seen().await?;
        let called = seen.into_iter().map(|(key, (id, seen))| {
            let mut cluster = bare(id);
            cluster.seen = Some(seen);
            (key, cluster)
        });
        let mut clusters: BTreeMap<String, ClusterSummary> = called.collect();
        let rows = sqlx::query("SELECT cluster, id, location, tags FROM cluster")
            .fetch_all(&self.database.readers)
            .await?;
        for row in &rows {
            let key: String = row.try_get("cluster")?;
            let id: &str = row.try_get("id")?;
            let id: ClusterId = id.parse().map_err(|error| broken("id", error))?;
            let tags = self.sealing.read("tags", &key, row.try_get("tags")?)?;
            let cluster = clusters.entry(key).or_insert_with(|| bare(id.clone()));
            cluster.id = id;
            cluster.location = Some(row.try_get("location")?);
            cluster.tags = tags;
        }
        let mut unwritten = self.unsummarised().await?;
        let rows = sqlx::query(
            "SELECT c.cluster, c.name, c.id, c.properties, c.last_modified_at, s.summary \
             FROM configuration c \
             LEFT JOIN status s ON s.cluster = c.cluster AND s.name = c.name \
             ORDER BY c.cluster, c.name",
        )
        .fetch_all(&self.database.readers)
        .await?;
        for row in &rows {
            let (cluster, name): (String, String) = (row.try_get("cluster")?, row.try_get("name")?);
            let key = rows::row_key(&cluster, &name);
            let id: &str = row.try_get("id")?;
            let id: ConfigurationId = id.parse().map_err(|error| broken("id", error))?;
            let summary: Option<&[u8]> = row.try_get("summary")?;
            let configuration = ConfigurationSummary {
                name: id.name().to_owned(),
                properties: self
                    .sealing
                    .read("properties", &key, row.try_get("properties")?)?,
                last_modified_at: timestamp(row, "last_modified_at")?,
                summary: match summary {
                    Some(summary) => Some(self.sealing.read("summary", &key, summary)?),
                    None => unwritten.remove(&key),
                },
            };
            clusters
                .entry(cluster)
                .or_insert_with(|| bare(id.cluster()))
                .configurations
                .push(configuration);
        }
        Ok(clusters.into_values().collect())
    }

    /// Those of reports that an older version wrote.
    async fn unsummarised(&self) -> Result<BTreeMap<String, Summary>, StoreError> {
        let rows = sqlx::query("SELECT cluster, name, report FROM status WHERE summary IS NULL")
            .fetch_all(&self.database.readers)
            .await?;
        let read = |row: &AnyRow| {
            let key = rows::row_key(row.try_get("cluster")?, row.try_get("name")?);
            let report: StatusReport = self.sealing.read("report", &key, row.try_get("report")?)?;
            Ok((key, Summary::of(&report)))
        };
        rows.iter().map(read).collect()
    }

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

    /// The subscriptions in which there is anything.
    pub(crate) async fn subscriptions(&self) -> Result<Vec<String>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM resource_group UNION SELECT MIN(id) FROM configuration GROUP BY cluster",
        )
        .fetch_all(&self.database.readers)
        .await?;
        let second = |id: String| id.split('/').nth(2).map(str::to_owned);
        Ok(ids.into_iter().filter_map(second).collect())
    }
}

/// A cluster of which nothing is known.
fn bare(id: ClusterId) -> ClusterSummary {
    ClusterSummary {
        id,
        location: None,
        tags: BTreeMap::new(),
        seen: None,
        configurations: Vec::new(),
    }
}

/// Writes a report with its summary, and what is new in it into the history: whether a page shows
/// anything else by it.
pub(super) async fn write(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
    report: &StatusReport,
    old: Option<Summary>,
) -> Result<bool, StoreError> {
    let now = Timestamp::now();
    let mut summary = Summary::of(report);
    summary.at = Some(now);
    summary.since = old
        .as_ref()
        .filter(|old| old.state == summary.state && old.level == summary.level)
        .map_or(Some(now), |old| old.since.or(Some(now)));
    let key = rows::row_key(cluster, name);
    sqlx::query(
        "INSERT INTO status (cluster, name, report, summary) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (cluster, name) DO UPDATE SET \
             report = excluded.report, summary = excluded.summary",
    )
    .bind(cluster)
    .bind(name)
    .bind(sealing.json("report", &key, report)?)
    .bind(sealing.json("summary", &key, &summary)?)
    .execute(&mut *connection)
    .await?;
    if let Some(old) = old.filter(|old| old.says(&summary)) {
        return Ok(old.details != summary.details);
    }
    let id = Uuid::now_v7().to_string();
    sqlx::query("INSERT INTO sync (cluster, name, id, entry) VALUES ($1, $2, $3, $4)")
        .bind(cluster)
        .bind(name)
        .bind(&id)
        .bind(sealing.json("entry", &entry_key(cluster, name, &id), &summary)?)
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
    Ok(true)
}

/// The summary of the report that is there.
pub(super) async fn find(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
) -> Result<Option<Summary>, StoreError> {
    let row = sqlx::query("SELECT summary FROM status WHERE cluster = $1 AND name = $2")
        .bind(cluster)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let sealed: Option<&[u8]> = row.try_get("summary")?;
    let key = rows::row_key(cluster, name);
    sealed
        .map(|sealed| sealing.read("summary", &key, sealed))
        .transpose()
}

/// What an entry of the history is sealed for.
fn entry_key(cluster: &str, name: &str, id: &str) -> String {
    format!("{} {id}", rows::row_key(cluster, name))
}
