//! A cluster: its configurations, and what is known of itself.

use askama::Template;
use axum::response::Response;
use gitmoor_arm::{ClusterId, Timestamp};
use http::{Method, StatusCode};

use super::{
    Pages,
    clusters::tags,
    configurations::Row,
    frame::{Frame, page},
    session::Visitor,
    state::State,
    text::{When, shown},
};
use crate::api::{refusal::Refusal, route::Route as ApiRoute};

#[derive(Template)]
#[template(path = "cluster.html")]
struct Cluster {
    frame: Frame,
    name: String,
    id: String,
    states: Vec<State>,
    offline: bool,
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
    let found = pages.store.cluster_summary(id).await?;
    let cluster = found.ok_or_else(|| Refusal::no_cluster(id))?;
    let now = Timestamp::now();
    let states = State::of_cluster(&cluster, now);
    let rows = cluster.configurations.iter();
    let write = ApiRoute::Cluster(id.clone());
    let said = cluster.seen.as_ref().map(|seen| &seen.said);
    let cluster = Cluster {
        frame: Frame::of(visitor).section("clusters").live(Some(id)),
        name: shown(cluster.id.name()),
        id: shown(cluster.id.as_str()),
        states: State::told(&states),
        offline: states.contains(&State::Offline),
        seen: When::maybe(cluster.seen.as_ref().map(|seen| seen.at), now),
        version: said.and_then(|said| said.agent_version.as_deref().map(shown)),
        kubernetes: said.and_then(|said| said.kubernetes_version.as_deref().map(shown)),
        nodes: said.and_then(|said| said.nodes),
        location: cluster.location.as_deref().map(shown),
        tags: tags(&cluster.tags),
        rows: rows.map(|one| Row::new(&cluster, one, now)).collect(),
        may_write: visitor.may(&write, &Method::PUT).is_ok(),
    };
    Ok(page(StatusCode::OK, &cluster))
}
