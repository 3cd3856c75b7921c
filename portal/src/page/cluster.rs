//! A cluster: its configurations, and what is known of itself.

use askama::Template;
use axum::response::Response;
use gitmoor_arm::{ClusterId, OperatorParams};
use http::{Method, StatusCode};

use super::{
    Pages,
    clusters::tags,
    frame::{Frame, page},
    route,
    session::Visitor,
    state::State,
    text::{When, short, shown},
};
use crate::api::{refusal::Refusal, route::Route as ApiRoute};

/// A configuration in a row.
struct Row {
    name: String,
    link: String,
    state: State,
    follows: String,
    commit: Option<String>,
    applied: Option<When>,
}

#[derive(Template)]
#[template(path = "cluster.html")]
struct Cluster {
    frame: Frame,
    name: String,
    id: String,
    state: State,
    seen: Option<When>,
    version: Option<String>,
    kubernetes: Option<String>,
    nodes: Option<u32>,
    location: Option<String>,
    tags: String,
    rows: Vec<Row>,
    may_write: bool,
}

pub(super) async fn show(
    pages: &Pages,
    visitor: &Visitor,
    id: &ClusterId,
) -> Result<Response, Refusal> {
    let board = pages.board().await?;
    let found = board.seen_by(visitor).find(|one| one.id == *id);
    let cluster = found.ok_or_else(|| Refusal::no_cluster(id))?;
    let rows = cluster.configurations.iter().map(|one| {
        let summary = one.summary.as_ref();
        let params = OperatorParams::parse(one.properties.operator_params());
        let branch = params.ok().and_then(|params| params.branch);
        let url = one.properties.repository_url.as_deref().unwrap_or_default();
        let branch = branch
            .map(|branch| format!(" @ {branch}"))
            .unwrap_or_default();
        Row {
            name: shown(&one.name),
            link: format!("{}/{}", route::of_cluster(id), one.name),
            state: State::of_configuration(one),
            follows: shown(&format!("{url}{branch}")),
            commit: summary.and_then(|one| one.applied_revision.as_deref().map(short)),
            applied: When::maybe(summary.and_then(|one| one.last_applied), board.now),
        }
    });
    let write = ApiRoute::Cluster(id.clone());
    let said = cluster.seen.as_ref().map(|seen| &seen.said);
    let cluster = Cluster {
        frame: Frame::of(visitor).section("clusters").live(Some(id)),
        name: shown(cluster.id.name()),
        id: shown(cluster.id.as_str()),
        state: State::of_cluster(cluster, board.now),
        seen: When::maybe(cluster.seen.as_ref().map(|seen| seen.at), board.now),
        version: said.and_then(|said| said.agent_version.as_deref().map(shown)),
        kubernetes: said.and_then(|said| said.kubernetes_version.as_deref().map(shown)),
        nodes: said.and_then(|said| said.nodes),
        location: cluster.location.as_deref().map(shown),
        tags: tags(&cluster.tags),
        rows: rows.collect(),
        may_write: visitor.may(&write, &Method::PUT).is_ok(),
    };
    Ok(page(StatusCode::OK, &cluster))
}
