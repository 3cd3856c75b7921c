//! Configurations as rows: of one cluster, or of all of them, searched and filtered.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use gitmoor_arm::{OperatorParams, Timestamp};
use http::StatusCode;

use super::{
    Call, Pages,
    frame::{Frame, page},
    list::{self, Links, Query},
    overview::Tally,
    route,
    session::Visitor,
    state::State,
    text::{When, short, shown},
};
use crate::{
    api::refusal::Refusal,
    store::{ClusterSummary, ConfigurationSummary},
};

/// A configuration in a row.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) link: String,
    /// Its cluster, and whether its agent calls no more.
    pub(super) cluster: (String, String),
    pub(super) offline: bool,
    pub(super) state: State,
    pub(super) follows: String,
    pub(super) commit: Option<String>,
    pub(super) applied: Option<When>,
    pub(super) reported: Option<When>,
}

#[derive(Template)]
#[template(path = "configurations.html")]
struct Configurations {
    frame: Frame,
    query: Query,
    states: Vec<Tally>,
    found: String,
    rows: Vec<Row>,
    pages: Links,
    nothing_at_all: bool,
}

pub(super) async fn show(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
) -> Result<Response, Refusal> {
    let query = Query::read("/configurations", call);
    let board = pages.board().await?;
    let now = Timestamp::now();
    let mut tallies: BTreeMap<State, usize> = BTreeMap::new();
    let mut total = 0;
    let mut found = Vec::new();
    for cluster in board.seen_by(visitor) {
        for one in &cluster.configurations {
            total += 1;
            let state = State::of_configuration(one);
            *tallies.entry(state).or_default() += 1;
            let wanted = query.state.is_none_or(|wanted| wanted == state);
            if wanted && query.finds(|| texts(cluster, one)) {
                found.push((state, cluster, one));
            }
        }
    }
    found.sort_by(|a, b| (a.0, &a.2.name, &a.1.id).cmp(&(b.0, &b.2.name, &b.1.id)));
    let number = list::found(found.len(), total, "configuration");
    let (rows, links) = query.cut(found);
    let configurations = Configurations {
        frame: Frame::of(visitor).section("configurations").live(None),
        states: Tally::all(tallies),
        found: number,
        rows: rows
            .into_iter()
            .map(|(_, cluster, one)| Row::new(cluster, one, now))
            .collect(),
        pages: links,
        nothing_at_all: total == 0,
        query,
    };
    Ok(page(StatusCode::OK, &configurations))
}

/// What is searched of one.
fn texts(cluster: &ClusterSummary, one: &ConfigurationSummary) -> [String; 5] {
    let properties = &one.properties;
    [
        one.name.clone(),
        cluster.id.name().to_owned(),
        cluster.id.resource_group().to_owned(),
        properties.repository_url.clone().unwrap_or_default(),
        properties.operator_namespace().to_owned(),
    ]
}

impl Row {
    pub(super) fn new(
        cluster: &ClusterSummary,
        one: &ConfigurationSummary,
        now: Timestamp,
    ) -> Self {
        let summary = one.summary.as_ref();
        let params = OperatorParams::parse(one.properties.operator_params());
        let branch = params.ok().and_then(|params| params.branch);
        let url = one.properties.repository_url.as_deref().unwrap_or_default();
        let branch = branch
            .map(|branch| format!(" @ {branch}"))
            .unwrap_or_default();
        let link = route::of_cluster(&cluster.id);
        Self {
            name: shown(&one.name),
            state: State::of_configuration(one),
            follows: shown(&format!("{url}{branch}")),
            commit: summary.and_then(|one| one.applied_revision.as_deref().map(short)),
            applied: When::maybe(summary.and_then(|one| one.last_applied), now),
            reported: When::maybe(summary.and_then(|one| one.at), now),
            offline: State::of_agent(cluster, now) == Some(State::Offline),
            link: format!("{link}/{}", one.name),
            cluster: (shown(cluster.id.name()), link),
        }
    }
}
