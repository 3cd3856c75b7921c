//! The list of clusters: filtered, searched, grouped by a tag, a page at a time.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use askama::Template;
use axum::response::Response;
use gitmoor_arm::Timestamp;
use http::StatusCode;
use url::form_urlencoded;

use super::{
    Call, Pages,
    frame::{Frame, page},
    overview::Tally,
    route,
    session::Visitor,
    state::State,
    text::{When, count, shown},
};
use crate::{api::refusal::Refusal, store::ClusterSummary};

/// Rows of a page.
const ROWS: usize = 100;

/// How many names of tags can be chosen from.
const TAG_NAMES: usize = 50;

/// What is asked for, as it stands in the query.
#[derive(Default)]
struct Query {
    search: String,
    state: Option<State>,
    group: String,
    page: usize,
}

/// A row.
struct Row {
    name: String,
    link: String,
    group: String,
    state: State,
    configurations: usize,
    version: String,
    kubernetes: String,
    nodes: Option<u32>,
    tags: String,
    seen: Option<When>,
}

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
    previous: Option<String>,
    next: Option<String>,
    nothing_at_all: bool,
    may_write: bool,
}

pub(super) async fn show(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
) -> Result<Response, Refusal> {
    let query = Query::read(call);
    let board = pages.board().await?;
    let mut tallies: BTreeMap<State, usize> = BTreeMap::new();
    let mut tag_names = BTreeSet::new();
    let mut total = 0;
    let mut found: Vec<(State, &ClusterSummary)> = Vec::new();
    for cluster in board.seen_by(visitor) {
        total += 1;
        let state = State::of_cluster(cluster, board.now);
        *tallies.entry(state).or_default() += 1;
        if tag_names.len() < TAG_NAMES {
            tag_names.extend(cluster.tags.keys().map(|name| shown(name)));
        }
        if query.matches(cluster, state) {
            found.push((state, cluster));
        }
    }
    found.sort_by(|a, b| query.order(a, b));
    let pages = found.len().div_ceil(ROWS).max(1);
    let current = query.page.min(pages - 1);
    let groups = query.grouped(found.iter().skip(current * ROWS).take(ROWS), board.now);
    let found = if found.len() == total {
        count(total, "cluster")
    } else {
        format!("{} of {total}", count(found.len(), "cluster"))
    };
    let link = |page: usize| (page < pages).then(|| query.link(page));
    let clusters = Clusters {
        frame: Frame::of(visitor).section("clusters").live(None),
        states: tallies
            .into_iter()
            .map(|(state, number)| Tally { state, number })
            .collect(),
        tag_names: tag_names.into_iter().collect(),
        found,
        groups,
        previous: current.checked_sub(1).and_then(link),
        next: link(current + 1),
        nothing_at_all: total == 0,
        may_write: visitor
            .principal
            .assignments
            .iter()
            .any(|one| one.role.writes()),
        query,
    };
    Ok(page(StatusCode::OK, &clusters))
}

impl Query {
    fn read(call: &Call) -> Self {
        let text = |name| call.parameter(name).unwrap_or_default();
        Self {
            search: text("q"),
            state: State::parse(&text("state")),
            group: text("group"),
            page: text("page")
                .parse()
                .map_or(0, |page: usize| page.saturating_sub(1)),
        }
    }

    /// Whether clusters of this state alone are asked for.
    fn wants(&self, state: &State) -> bool {
        self.state == Some(*state)
    }

    /// The same list at another page.
    fn link(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", self.search.as_str()),
            ("state", self.state.map_or("", State::slug)),
            ("group", &self.group),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if page > 0 {
            query.append_pair("page", &(page + 1).to_string());
        }
        format!("/clusters?{}", query.finish())
    }

    /// Whether each word that is searched for is somewhere in what is known of the cluster.
    fn matches(&self, cluster: &ClusterSummary, state: State) -> bool {
        if self.state.is_some_and(|wanted| wanted != state) {
            return false;
        }
        let said = cluster.seen.as_ref().map(|seen| &seen.said);
        let holds = |word: &str| {
            let within = |text: &str| text.to_lowercase().contains(word);
            within(cluster.id.name())
                || within(cluster.id.resource_group())
                || within(cluster.id.subscription())
                || cluster.location.as_deref().is_some_and(within)
                || said.is_some_and(|said| {
                    let versions = [&said.agent_version, &said.kubernetes_version];
                    versions
                        .into_iter()
                        .flatten()
                        .any(|version| within(version))
                })
                || cluster
                    .tags
                    .iter()
                    .any(|(name, value)| within(&format!("{name}={value}")))
                || cluster.configurations.iter().any(|one| {
                    within(&one.name)
                        || one.properties.repository_url.as_deref().is_some_and(within)
                })
        };
        let search = self.search.to_lowercase();
        search.split_whitespace().all(holds)
    }

    /// The value that a cluster is grouped by.
    fn heading<'a>(&self, cluster: &'a ClusterSummary) -> Option<&'a str> {
        let same = |(name, _): &(&String, &String)| shown(name) == self.group;
        let found = cluster.tags.iter().find(same);
        found.map(|(_, value)| value.as_str())
    }

    /// By group, those without one last, and then the worst first.
    fn order(&self, a: &(State, &ClusterSummary), b: &(State, &ClusterSummary)) -> Ordering {
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
            .then_with(|| a.0.cmp(&b.0))
            .then_with(|| name(a.1).cmp(&name(b.1)))
    }

    fn grouped<'a>(
        &self,
        found: impl Iterator<Item = &'a (State, &'a ClusterSummary)>,
        now: Timestamp,
    ) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (state, cluster) in found {
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
                last.rows.push(Row::new(cluster, *state, now));
            }
        }
        groups
    }
}

impl Row {
    fn new(cluster: &ClusterSummary, state: State, now: Timestamp) -> Self {
        let said = cluster.seen.as_ref().map(|seen| &seen.said);
        let version = |version: Option<&String>| version.map(|one| shown(one)).unwrap_or_default();
        Self {
            name: shown(cluster.id.name()),
            link: route::of_cluster(&cluster.id),
            group: shown(cluster.id.resource_group()),
            state,
            configurations: cluster.configurations.len(),
            version: version(said.and_then(|said| said.agent_version.as_ref())),
            kubernetes: version(said.and_then(|said| said.kubernetes_version.as_ref())),
            nodes: said.and_then(|said| said.nodes),
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
