//! The list of clusters: filtered, searched, grouped by a tag, a page at a time.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use askama::Template;
use axum::response::Response;
use gitmoor_arm::Timestamp;
use http::StatusCode;

use super::{
    Call, Pages,
    frame::{Frame, page},
    list::{self, Links, Query},
    overview::Tally,
    route,
    session::Visitor,
    state::State,
    text::{When, count, shown},
};
use crate::{api::refusal::Refusal, store::ClusterSummary};

/// How many names of tags can be chosen from.
const TAG_NAMES: usize = 50;

/// A row.
struct Row {
    name: String,
    link: String,
    group: String,
    /// The worst, and that of its agent.
    states: Vec<State>,
    configurations: usize,
    version: String,
    /// What its agent says of it.
    cluster: String,
    tags: String,
    seen: Option<When>,
}

/// A cluster with all that it is in.
type Found<'a> = (BTreeSet<State>, &'a ClusterSummary);

/// Rows under one heading.
struct Group {
    heading: Option<String>,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "clusters.html")]
struct Clusters {
    frame: Frame,
    query: Query,
    states: Vec<Tally>,
    tag_names: Vec<String>,
    found: String,
    groups: Vec<Group>,
    pages: Links,
    nothing_at_all: bool,
    may_write: bool,
}

pub(super) async fn show(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
) -> Result<Response, Refusal> {
    let query = Query::read("/clusters", call);
    let board = pages.board().await?;
    let now = Timestamp::now();
    let mut tallies: BTreeMap<State, usize> = BTreeMap::new();
    let mut tag_names = BTreeSet::new();
    let mut total = 0;
    let mut found: Vec<Found> = Vec::new();
    for cluster in board.seen_by(visitor) {
        total += 1;
        let states = State::of_cluster(cluster, now);
        for state in &states {
            *tallies.entry(*state).or_default() += 1;
        }
        if tag_names.len() < TAG_NAMES {
            tag_names.extend(cluster.tags.keys().map(|name| shown(name)));
        }
        let wanted = query.state.is_none_or(|state| states.contains(&state));
        if wanted && query.finds(|| texts(cluster)) {
            found.push((states, cluster));
        }
    }
    found.sort_by(|a, b| query.order(a, b));
    let number = list::found(found.len(), total, "cluster");
    let (found, links) = query.cut(found);
    let clusters = Clusters {
        frame: Frame::of(visitor).section("clusters").live(None),
        states: Tally::all(tallies),
        tag_names: tag_names.into_iter().collect(),
        found: number,
        groups: query.grouped(&found, now),
        pages: links,
        nothing_at_all: total == 0,
        may_write: visitor.may_write_somewhere(),
        query,
    };
    Ok(page(StatusCode::OK, &clusters))
}

/// What is searched of a cluster.
fn texts(cluster: &ClusterSummary) -> Vec<String> {
    let said = cluster.seen.iter().map(|seen| &seen.said);
    let versions = said.flat_map(|said| [&said.agent_version, &said.kubernetes_version]);
    let versions = versions.flatten().cloned();
    let tags = cluster.tags.iter();
    let tags = tags.map(|(name, value)| format!("{name}={value}"));
    let configurations = cluster.configurations.iter();
    let configurations = configurations.flat_map(|one| {
        let url = one.properties.repository_url.clone();
        [one.name.clone(), url.unwrap_or_default()]
    });
    [
        cluster.id.name(),
        cluster.id.resource_group(),
        cluster.id.subscription(),
        cluster.location.as_deref().unwrap_or_default(),
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(versions)
    .chain(tags)
    .chain(configurations)
    .collect()
}

impl Query {
    /// The value that a cluster is grouped by.
    fn heading<'a>(&self, cluster: &'a ClusterSummary) -> Option<&'a str> {
        let same = |(name, _): &(&String, &String)| shown(name) == self.group;
        let found = cluster.tags.iter().find(same);
        found.map(|(_, value)| value.as_str())
    }

    /// By group, those without one last, and then the worst first.
    fn order(&self, a: &Found, b: &Found) -> Ordering {
        let group = |cluster| {
            let heading = self.heading(cluster);
            (heading.is_none(), heading)
        };
        let name = |cluster: &ClusterSummary| cluster.id.clone();
        let groups = if self.group.is_empty() {
            Ordering::Equal
        } else {
            group(a.1).cmp(&group(b.1))
        };
        groups
            .then_with(|| a.0.first().cmp(&b.0.first()))
            .then_with(|| name(a.1).cmp(&name(b.1)))
    }

    fn grouped(&self, found: &[Found], now: Timestamp) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (states, cluster) in found {
            let heading = (!self.group.is_empty()).then(|| match self.heading(cluster) {
                Some(value) => format!("{}={}", shown(&self.group), shown(value)),
                None => format!("without {}", shown(&self.group)),
            });
            if groups.last().is_none_or(|last| last.heading != heading) {
                groups.push(Group {
                    heading,
                    rows: Vec::new(),
                });
            }
            if let Some(last) = groups.last_mut() {
                last.rows.push(Row::new(cluster, states, now));
            }
        }
        groups
    }
}

impl Row {
    fn new(cluster: &ClusterSummary, states: &BTreeSet<State>, now: Timestamp) -> Self {
        let said = cluster.seen.as_ref().map(|seen| &seen.said);
        let version = said.and_then(|said| said.kubernetes_version.as_deref());
        let version = version.map(|version| format!("Kubernetes {}", shown(version)));
        let nodes = said.and_then(|said| said.nodes);
        let nodes = nodes.map(|nodes| count(nodes as usize, "node"));
        Self {
            name: shown(cluster.id.name()),
            link: route::of_cluster(&cluster.id),
            group: shown(cluster.id.resource_group()),
            states: State::told(states),
            configurations: cluster.configurations.len(),
            version: said
                .and_then(|said| said.agent_version.as_deref())
                .map(shown)
                .unwrap_or_default(),
            cluster: version
                .into_iter()
                .chain(nodes)
                .collect::<Vec<_>>()
                .join(", "),
            tags: tags(&cluster.tags),
            seen: When::maybe(cluster.seen.as_ref().map(|seen| seen.at), now),
        }
    }
}

/// Tags in one line.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> String {
    let tags = tags.iter().map(|(name, value)| match value.as_str() {
        "" => shown(name),
        value => format!("{}={}", shown(name), shown(value)),
    });
    tags.collect::<Vec<_>>().join(", ")
}
