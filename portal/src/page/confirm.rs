//! Deletions that wait for someone: what they are, and the button that confirms them, for the commit
//! that was looked at.

use askama::Template;
use axum::response::Response;
use gitmoor_arm::ConfigurationId;
use http::{Method, StatusCode};

use super::{
    Call, Pages,
    configuration::{Commit, guarded, guards},
    frame::{Frame, page},
    route,
    session::Visitor,
    sign_in::field,
    text::shown,
};
use crate::{api::refusal::Refusal, store::WithReport};

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    frame: Frame,
    name: String,
    cluster: String,
    path: String,
    commit: Commit,
    total: u32,
    messages: Vec<String>,
    /// Whether another commit waits than the one that was looked at.
    changed: bool,
}

/// The deletions that wait for someone, to be looked at before they are confirmed.
pub(super) async fn form(
    pages: &Pages,
    visitor: &Visitor,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    let found = pages.find(visitor, id, &Method::PUT).await?;
    show(visitor, id, &found, false)
}

fn show(
    visitor: &Visitor,
    id: &ConfigurationId,
    found: &WithReport,
    changed: bool,
) -> Result<Response, Refusal> {
    let report = found.report.as_ref().ok_or_else(Refusal::nothing_guarded)?;
    let commit = guarded(report).and_then(|id| Commit::new(id, None));
    let messages = guards(report).map(|problem| shown(&problem.message));
    let confirm = ConfirmPage {
        frame: Frame::of(visitor).section("clusters"),
        name: shown(id.name()),
        cluster: shown(id.cluster().name()),
        path: route::of_configuration(id),
        commit: commit.ok_or_else(Refusal::nothing_guarded)?,
        total: report.objects.map_or(0, |objects| objects.total),
        messages: messages.collect(),
        changed,
    };
    let status = if changed {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Ok(page(status, &confirm))
}

/// Confirms the deletions of the commit that the form names, if it is the one that waits.
pub(super) async fn confirm(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    id: &ConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    let sent = pages.read(visitor, call, body)?;
    let found = pages.find(visitor, id, &Method::PUT).await?;
    let commit = field(&sent, "commit").unwrap_or_default();
    if found.report.as_ref().and_then(guarded) != Some(commit) {
        return show(visitor, id, &found, true);
    }
    let change = ("gitmoor-confirm-prune", Some(commit));
    pages.flag(visitor, id, found, change).await
}
