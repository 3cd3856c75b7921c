//! What is wrong now, everywhere, the worst first: for the person on call.

use std::{cmp::Reverse, collections::BTreeMap};

use askama::Template;
use axum::response::Response;
use gitmoor_arm::Timestamp;
use http::StatusCode;

use super::{
    Call, Pages,
    frame::{Frame, page},
    git_host::Repository,
    list::{Links, Query},
    route,
    session::Visitor,
    state::State,
    text::{When, count, shown},
};
use crate::{
    GitHost,
    api::refusal::Refusal,
    store::{ClusterSummary, ConfigurationSummary},
};

/// Work that goes on for longer than this is looked at by someone.
const SLOW: time::Duration = time::Duration::minutes(10);

/// One thing that is wrong.
struct Item {
    state: State,
    since: Option<When>,
    order: (State, Reverse<u32>, String),
    name: String,
    link: String,
    /// Where it is, when it is a configuration.
    cluster: Option<(String, String)>,
    message: String,
    /// When it was changed, if the message is from before that.
    changed: Option<When>,
    problems: Vec<Line>,
    more: u32,
}

/// A problem in one line.
pub(super) struct Line {
    pub(super) place: String,
    pub(super) link: Option<String>,
    pub(super) object: Option<String>,
    pub(super) message: String,
}

/// How many there are of a state.
pub(super) struct Tally {
    pub(super) state: State,
    pub(super) number: usize,
}

impl Tally {
    pub(super) fn all(tallies: BTreeMap<State, usize>) -> Vec<Self> {
        let tallies = tallies.into_iter();
        tallies
            .map(|(state, number)| Self { state, number })
            .collect()
    }

    /// The list of those that it counts: an agent's state is that of a cluster.
    fn link(&self) -> String {
        let list = if self.state.is_of_agent() {
            "clusters"
        } else {
            "configurations"
        };
        format!("/{list}?state={}", self.state.slug())
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    headline: String,
    items: Vec<Item>,
    pages: Links,
    tallies: Vec<Tally>,
    clusters: usize,
    configurations: usize,
    /// Whether there is nothing at all that the visitor may look at.
    nobody: bool,
}

pub(super) async fn show(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
) -> Result<Response, Refusal> {
    let board = pages.board().await?;
    let now = Timestamp::now();
    let mut items = Vec::new();
    let mut tallies: BTreeMap<State, usize> = BTreeMap::new();
    let (mut clusters, mut configurations) = (0, 0);
    for cluster in board.seen_by(visitor) {
        clusters += 1;
        if let Some(state) = State::of_agent(cluster, now) {
            *tallies.entry(state).or_default() += 1;
            if state == State::Offline {
                items.push(offline(cluster, now));
            }
        }
        for one in &cluster.configurations {
            configurations += 1;
            let state = State::of_configuration(one);
            *tallies.entry(state).or_default() += 1;
            let slow = state == State::Pending && now.0 - since(one, state).0 > SLOW;
            if state.is_wrong() || slow {
                items.push(wrong(cluster, one, state, now, &pages.git_hosts));
            }
        }
    }
    items.sort_by(|a, b| a.order.cmp(&b.order));
    let nobody = !visitor
        .principal
        .assignments
        .iter()
        .any(|one| one.role.reads());
    let headline = match items.len() {
        _ if nobody => "You may not look at anything here.".to_owned(),
        0 if clusters == 0 => "There is nothing here yet.".to_owned(),
        0 => "Nothing is wrong.".to_owned(),
        1 => "1 thing needs someone.".to_owned(),
        number => format!("{number} things need someone."),
    };
    let (items, links) = Query::read("/", call).cut(items);
    let overview = Overview {
        frame: Frame::of(visitor).section("overview").live(None),
        headline,
        items,
        pages: links,
        tallies: Tally::all(tallies),
        clusters,
        configurations,
        nobody,
    };
    Ok(page(StatusCode::OK, &overview))
}

/// Since when a configuration is as it is.
fn since(one: &ConfigurationSummary, state: State) -> Timestamp {
    let reported = state.since(one.summary.as_ref(), one.earlier);
    reported.unwrap_or(one.last_modified_at)
}

fn offline(cluster: &ClusterSummary, now: Timestamp) -> Item {
    let name = shown(cluster.id.name());
    let message = match cluster.configurations.len() {
        0 => "Its agent has not called.".to_owned(),
        number => format!(
            "Its agent has not called: of its {} nothing newer is known.",
            count(number, "configuration")
        ),
    };
    Item {
        state: State::Offline,
        since: When::maybe(cluster.seen.as_ref().map(|seen| seen.at), now),
        order: (State::Offline, Reverse(0), name.clone()),
        link: route::of_cluster(&cluster.id),
        name,
        cluster: None,
        message,
        changed: None,
        problems: Vec::new(),
        more: 0,
    }
}

fn wrong(
    cluster: &ClusterSummary,
    one: &ConfigurationSummary,
    state: State,
    now: Timestamp,
    hosts: &BTreeMap<String, GitHost>,
) -> Item {
    let summary = one.summary.clone().unwrap_or_default();
    let repository = one.properties.repository_url.as_deref();
    let repository = repository.and_then(|address| Repository::find(address, hosts));
    let commit = summary.attempted_revision.as_deref();
    let message = match &one.summary {
        None => "Its cluster has not said anything of it.".to_owned(),
        Some(summary) => shown(&summary.message),
    };
    let problems: Vec<Line> = summary
        .first
        .iter()
        .map(|problem| Line::new(problem, repository.as_ref(), commit))
        .collect();
    let shown_here = u32::try_from(problems.len()).unwrap_or_default();
    Item {
        state,
        since: When::maybe(Some(since(one, state)), now),
        changed: When::maybe(Some(one.last_modified_at).filter(|_| one.earlier), now),
        order: (state, Reverse(summary.problems), one.name.clone()),
        name: shown(&one.name),
        link: format!("{}/{}", route::of_cluster(&cluster.id), one.name),
        cluster: Some((shown(cluster.id.name()), route::of_cluster(&cluster.id))),
        message,
        problems,
        more: summary.problems.saturating_sub(shown_here),
    }
}

impl Line {
    pub(super) fn new(
        problem: &gitmoor_arm::Problem,
        repository: Option<&Repository>,
        commit: Option<&str>,
    ) -> Self {
        let place = match problem.line {
            Some(line) if !problem.path.is_empty() => format!("{}:{line}", problem.path),
            _ => problem.path.clone(),
        };
        let link = repository.zip(commit);
        let link = link
            .and_then(|(repository, commit)| repository.file(commit, &problem.path, problem.line));
        Self {
            place: shown(&place),
            link,
            object: problem.object.as_deref().map(shown),
            message: format!("{}: {}", shown(&problem.reason), shown(&problem.message)),
        }
    }
}
