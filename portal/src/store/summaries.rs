//! What lists show of all clusters and configurations, in few words, and what the reports of a
//! configuration said in the course of time.

mod history;

use std::collections::{BTreeMap, HashMap};

use futures::{TryStreamExt as _, stream::BoxStream};
use gitmoor_arm::{
    ClusterId, Commit, ComplianceState, ConfigurationId, ConfigurationProperties, MessageLevel,
    ObjectCounts, Problem, StatusReport, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Store, StoreError,
    configurations::keys,
    presence::Seen,
    rows::{self, broken, timestamp},
    sealing::Sealing,
};

/// What a query finds.
type Rows<'a> = BoxStream<'a, Result<AnyRow, sqlx::Error>>;

/// Texts of a summary are cut here: a list shows no more.
const MAX_TEXT: usize = 300;

/// How many problems a summary names.
const PROBLEMS: usize = 3;

/// A report in few words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Summary {
    /// Of the configuration that it speaks of; empty where an older version wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) observed_etag: String,
    pub(crate) state: Option<ComplianceState>,
    pub(crate) level: Option<MessageLevel>,
    pub(crate) message: String,
    pub(crate) attempted_revision: Option<String>,
    pub(crate) applied_revision: Option<String>,
    pub(crate) last_applied: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied_commit: Option<Commit>,
    pub(crate) objects: Option<ObjectCounts>,
    /// How many there are.
    pub(crate) problems: u32,
    /// The first of them.
    pub(crate) first: Vec<Problem>,
    /// A digest of what is said of each object, and of what was put right.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) details: String,
    /// When it was said; of an entry of the history, when that began.
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
        let mut applied_commit = report.applied_commit.clone();
        if let Some(commit) = &mut applied_commit {
            cut(&mut commit.author);
            cut(&mut commit.title);
        }
        Self {
            observed_etag: report.observed_etag.clone(),
            state: report.compliance_state.clone(),
            level: report.message_level.clone(),
            message,
            attempted_revision: report.attempted_revision.clone(),
            applied_revision: report.applied_revision.clone(),
            last_applied: report.last_config_applied,
            applied_commit,
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
            ..one.clone()
        };
        timeless(self) == timeless(other)
    }

    /// Whether it speaks of another version of the configuration than that of this etag.
    pub(in crate::store) fn is_earlier(&self, etag: &str) -> bool {
        !self.observed_etag.is_empty() && self.observed_etag != etag
    }
}

/// What lists do not show, and a page does.
fn details(report: &StatusReport) -> String {
    let shown = (
        &report.message,
        &report.applied_commit,
        &report.inventory,
        &report.problems,
        &report.drifts,
        &report.repository_public_key,
    );
    let shown = serde_json::to_vec(&shown).expect("nothing of it cannot be written");
    Sha256::digest(shown)[..8]
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
    /// Whether that is of the configuration as it was before its last change.
    pub(crate) earlier: bool,
}

/// What is read of clusters, and of configurations.
macro_rules! clusters {
    ($which:literal) => {
        concat!("SELECT cluster, id, location, tags FROM cluster ", $which)
    };
}
macro_rules! configurations {
    ($which:literal) => {
        concat!(
            "SELECT c.cluster, c.name, c.id, c.etag, c.properties, c.last_modified_at, s.summary \
             FROM configuration c \
             LEFT JOIN summary s ON s.cluster = c.cluster AND s.name = c.name ",
            $which,
            " ORDER BY c.cluster, c.name"
        )
    };
}

impl Store {
    /// All clusters that there are, by their ids in lower case.
    pub(crate) async fn summaries(&self) -> Result<BTreeMap<String, ClusterSummary>, StoreError> {
        let readers = &self.database.readers;
        let seen = self.all_seen().await?;
        let clusters = sqlx::query(clusters!("")).fetch(readers);
        let configurations = sqlx::query(configurations!("")).fetch(readers);
        self.summarised(seen, clusters, configurations).await
    }

    /// One of them, if there is one.
    pub(crate) async fn cluster_summary(
        &self,
        id: &ClusterId,
    ) -> Result<Option<ClusterSummary>, StoreError> {
        let readers = &self.database.readers;
        let cluster = id.as_str().to_ascii_lowercase();
        let seen = self.seen(id).await?;
        let seen = seen.map(|seen| (cluster.clone(), (id.clone(), seen)));
        let clusters = sqlx::query(clusters!("WHERE cluster = $1")).bind(&cluster);
        let configurations = sqlx::query(configurations!("WHERE c.cluster = $1")).bind(&cluster);
        let (clusters, configurations) = (clusters.fetch(readers), configurations.fetch(readers));
        let seen = seen.into_iter().collect();
        let mut all = self.summarised(seen, clusters, configurations).await?;
        Ok(all.remove(&cluster))
    }

    /// Reads row by row: ten thousand at once would take more room than what is made of them.
    async fn summarised(
        &self,
        seen: HashMap<String, (ClusterId, Seen)>,
        mut of_clusters: Rows<'_>,
        mut of_configurations: Rows<'_>,
    ) -> Result<BTreeMap<String, ClusterSummary>, StoreError> {
        let called = seen.into_iter().map(|(key, (id, seen))| {
            let mut cluster = bare(id);
            cluster.seen = Some(seen);
            (key, cluster)
        });
        let mut clusters: BTreeMap<String, ClusterSummary> = called.collect();
        while let Some(row) = of_clusters.try_next().await? {
            let key: String = row.try_get("cluster")?;
            let id: &str = row.try_get("id")?;
            let id: ClusterId = id.parse().map_err(|error| broken("id", error))?;
            let tags = self.sealing.read("tags", &key, row.try_get("tags")?)?;
            let cluster = clusters.entry(key).or_insert_with(|| bare(id.clone()));
            cluster.id = id;
            cluster.location = Some(row.try_get("location")?);
            cluster.tags = tags;
        }
        while let Some(row) = of_configurations.try_next().await? {
            let (cluster, name): (String, String) = (row.try_get("cluster")?, row.try_get("name")?);
            let key = rows::row_key(&cluster, &name);
            let id: &str = row.try_get("id")?;
            let id: ConfigurationId = id.parse().map_err(|error| broken("id", error))?;
            let summary: Option<&[u8]> = row.try_get("summary")?;
            let summary: Option<Summary> = summary
                .map(|summary| self.sealing.read("summary", &key, summary))
                .transpose()?;
            let etag: &str = row.try_get("etag")?;
            let configuration = ConfigurationSummary {
                name: id.name().to_owned(),
                properties: self
                    .sealing
                    .read("properties", &key, row.try_get("properties")?)?,
                last_modified_at: timestamp(&row, "last_modified_at")?,
                earlier: summary.as_ref().is_some_and(|one| one.is_earlier(etag)),
                summary,
            };
            clusters
                .entry(cluster)
                .or_insert_with(|| bare(id.cluster()))
                .configurations
                .push(configuration);
        }
        Ok(clusters)
    }

    /// The last report of a configuration in few words.
    pub(crate) async fn summary(
        &self,
        id: &ConfigurationId,
    ) -> Result<Option<Summary>, StoreError> {
        let (cluster, name) = keys(id);
        let mut connection = self.database.readers.acquire().await?;
        find(&self.sealing, &mut connection, &cluster, &name).await
    }

    /// Writes the summaries of reports that an older version wrote.
    pub(super) async fn summarise(&self) -> Result<(), StoreError> {
        const MISSING: &str = "SELECT s.cluster, s.name FROM status s WHERE NOT EXISTS \
             (SELECT 1 FROM summary u WHERE u.cluster = s.cluster AND u.name = s.name)";
        let missing = sqlx::query(MISSING);
        for row in missing.fetch_all(&self.database.readers).await? {
            self.summarise_one(row.try_get("cluster")?, row.try_get("name")?)
                .await?;
        }
        Ok(())
    }

    /// Writes the summary of a report, if there is still none: perhaps another came meanwhile.
    async fn summarise_one(&self, cluster: &str, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.database.begin(cluster).await?;
        let status = sqlx::query(
            "SELECT report FROM status WHERE cluster = $1 AND name = $2 AND NOT EXISTS \
             (SELECT 1 FROM summary WHERE cluster = $1 AND name = $2)",
        )
        .bind(cluster)
        .bind(name)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(status) = status else { return Ok(()) };
        let key = rows::row_key(cluster, name);
        let report = status.try_get("report")?;
        let summary = Summary::of(&self.sealing.read("report", &key, report)?);
        put(&self.sealing, &mut transaction, cluster, name, &summary).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The subscriptions in which there is anything.
    pub(crate) async fn subscriptions(&self) -> Result<Vec<String>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM resource_group \
             UNION SELECT MIN(id) FROM configuration GROUP BY cluster \
             UNION SELECT MIN(id) FROM flux_configuration GROUP BY cluster",
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
        "INSERT INTO status (cluster, name, report) VALUES ($1, $2, $3) \
         ON CONFLICT (cluster, name) DO UPDATE SET report = excluded.report",
    )
    .bind(cluster)
    .bind(name)
    .bind(sealing.json("report", &key, report)?)
    .execute(&mut *connection)
    .await?;
    put(sealing, connection, cluster, name, &summary).await?;
    if old.as_ref().is_some_and(|old| old.says(&summary)) {
        return Ok(false);
    }
    history::record(sealing, connection, cluster, name, summary).await?;
    Ok(true)
}

async fn put(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
    summary: &Summary,
) -> Result<(), StoreError> {
    let key = rows::row_key(cluster, name);
    sqlx::query(
        "INSERT INTO summary (cluster, name, summary) VALUES ($1, $2, $3) \
         ON CONFLICT (cluster, name) DO UPDATE SET summary = excluded.summary",
    )
    .bind(cluster)
    .bind(name)
    .bind(sealing.json("summary", &key, summary)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The summary of the report that is there.
pub(super) async fn find(
    sealing: &Sealing,
    connection: &mut AnyConnection,
    cluster: &str,
    name: &str,
) -> Result<Option<Summary>, StoreError> {
    let row = sqlx::query("SELECT summary FROM summary WHERE cluster = $1 AND name = $2")
        .bind(cluster)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    let key = rows::row_key(cluster, name);
    row.map(|row| sealing.read("summary", &key, row.try_get("summary")?))
        .transpose()
}

#[cfg(test)]
mod tests;
