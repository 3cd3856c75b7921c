//! A configuration: what it follows, what is applied, what is wrong, and what it said before.

use askama::Template;
use axum::response::Response;
use gitmoor_arm::{
    ConfigurationId, Drift, MessageLevel, OperatorParams, OperatorScope, Problem, StatusReport,
    Timestamp,
};
use http::{Method, StatusCode};

use super::{
    Call, Pages,
    commands::Commands,
    frame::{Frame, page},
    git_host::Repository,
    overview::Line,
    route,
    session::Visitor,
    state::State,
    text::{When, count, lasted, short, shown},
};
use crate::{
    api::{refusal::Refusal, route::Route as ApiRoute},
    store::{Summary, WithReport},
};

/// A commit, perhaps with a link.
pub(super) struct Commit {
    pub(super) short: String,
    pub(super) full: String,
    pub(super) link: Option<String>,
}

/// An entry of the timeline.
struct Entry {
    state: State,
    at: Option<When>,
    /// How long it was, or has been, so.
    lasted: Option<String>,
    commit: Option<Commit>,
    /// Whose that is, as the commit says.
    written: Option<String>,
    what: String,
}

/// Who wrote a commit.
struct Written {
    author: String,
    at: Option<When>,
    title: String,
}

/// An object and how it fares.
struct Object {
    name: String,
    /// How it is drawn.
    slug: &'static str,
    health: String,
    message: String,
}

/// What others had changed and was put right.
struct Righted {
    object: String,
    when: Option<When>,
    what: String,
}

/// A number and what it counts.
struct Count {
    number: u32,
    word: &'static str,
}

#[derive(Template)]
#[template(path = "configuration.html")]
struct Configuration {
    frame: Frame,
    name: String,
    path: String,
    cluster: (String, String),
    state: State,
    since: Option<When>,
    message: String,
    /// Whether all that was reported is from before the last change.
    earlier: bool,
    offline: bool,
    seen: Option<When>,
    reported: Option<When>,
    /// The fluxConfiguration that it is a part of.
    flux: Option<String>,
    repository: String,
    repository_link: Option<String>,
    branch: String,
    paths: String,
    interval: String,
    namespace: String,
    scope: &'static str,
    prune: bool,
    suspended: bool,
    applied: Option<Commit>,
    written: Option<Written>,
    attempted: Option<Commit>,
    /// The commit whose deletions wait for someone to confirm them.
    guarded: Option<Commit>,
    last_applied: Option<When>,
    counts: Vec<Count>,
    objects: Vec<Object>,
    righted: Vec<Righted>,
    unlisted: usize,
    problems: Vec<Line>,
    omitted: u32,
    deploy_key: String,
    history: Vec<Entry>,
    modified: (String, Option<When>),
    created: (String, Option<When>),
    may_write: bool,
    commands: Vec<Commands>,
}

pub(super) async fn show(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    let found = pages.store.configuration(id).await?;
    let WithReport {
        desired,
        report,
        earlier,
    } = found.ok_or_else(|| Refusal::no_configuration(id))?;
    let cluster = id.cluster();
    let seen = pages.store.seen(&cluster).await?;
    let last = pages.store.summary(id).await?;
    let history = pages.store.history(id).await?;
    let now = Timestamp::now();
    let properties = &desired.properties;
    let address = properties.repository_url.clone().unwrap_or_default();
    let repository = Repository::find(&address, &pages.git_hosts);
    let params = OperatorParams::parse(properties.operator_params()).unwrap_or_default();
    let is_earlier = earlier.is_some();
    let state = State::of(last.as_ref(), params.suspend).since_changed(is_earlier, params.suspend);
    let report = report.or(earlier).unwrap_or_default();
    let since = state.since(last.as_ref(), is_earlier);
    let commit = |text: &Option<String>| Commit::new(text.as_deref()?, repository.as_ref());
    let guarded = guarded(&report).filter(|_| !is_earlier);
    let guarded = guarded.and_then(|id| Commit::new(id, repository.as_ref()));
    let may_write = desired.flux.is_none()
        && visitor
            .may(&ApiRoute::Configuration(id.clone()), &Method::PUT)
            .is_ok();
    let commands = if may_write {
        let settings = pages.store.protected_settings(id).await?;
        let secrets = settings.names().collect();
        let commands = pages.commands(call, id, properties, Some(&desired.etag), secrets)?;
        commands.all(guarded.as_ref().map(|commit| &*commit.full))
    } else {
        Vec::new()
    };
    let configuration = Configuration {
        frame: Frame::of(visitor).section("clusters").live(Some(&cluster)),
        name: shown(id.name()),
        path: route::of_configuration(id),
        cluster: (shown(cluster.name()), route::of_cluster(&cluster)),
        state,
        since: When::maybe(since, now),
        message: message(&report, state, is_earlier, seen.is_none()),
        earlier: is_earlier,
        offline: State::of_presence(seen.as_ref(), now) == Some(State::Offline),
        seen: When::maybe(seen.as_ref().map(|seen| seen.at), now),
        reported: When::maybe(last.and_then(|last| last.at), now),
        flux: desired.flux.as_deref().map(shown),
        repository_link: repository.as_ref().map(|one| one.address().to_owned()),
        repository: shown(&address),
        branch: params
            .branch
            .as_deref()
            .map_or("the default branch".to_owned(), shown),
        paths: match params.paths.as_slice() {
            [] => "the whole repository".to_owned(),
            paths => shown(&paths.join(", ")),
        },
        interval: params
            .poll_interval
            .map_or("every minute".to_owned(), |every| {
                format!("every {} s", every.as_secs())
            }),
        namespace: shown(properties.operator_namespace()),
        scope: match properties.operator_scope() {
            OperatorScope::Namespace => "this namespace alone",
            _ => "the whole cluster",
        },
        prune: params.garbage_collection,
        suspended: params.suspend,
        applied: commit(&report.applied_revision),
        attempted: commit(&report.attempted_revision)
            .filter(|_| report.attempted_revision != report.applied_revision),
        written: report.applied_commit.as_ref().map(|commit| Written {
            author: shown(&commit.author),
            at: When::maybe(Some(commit.authored_at), now),
            title: shown(&commit.title),
        }),
        guarded,
        last_applied: When::maybe(report.last_config_applied, now),
        counts: counts(&report),
        unlisted: unlisted(&report),
        righted: report
            .drifts
            .iter()
            .map(|drift| Righted::new(drift, now))
            .collect(),
        objects: report
            .inventory
            .iter()
            .map(|state| Object {
                name: shown(&state.object),
                slug: match state.health.as_str() {
                    "Current" => State::Compliant,
                    "Failed" | "NotFound" => State::Failed,
                    _ => State::Pending,
                }
                .slug(),
                health: shown(&state.health),
                message: shown(&state.message),
            })
            .collect(),
        problems: report
            .problems
            .iter()
            .map(|problem| {
                let commit = report.attempted_revision.as_deref();
                Line::new(problem, repository.as_ref(), commit)
            })
            .collect(),
        omitted: report.problems_omitted,
        deploy_key: shown(report.repository_public_key.as_deref().unwrap_or_default()),
        history: history
            .iter()
            .enumerate()
            .map(|(at, entry)| {
                let newer = at.checked_sub(1).and_then(|newer| history[newer].at);
                Entry::new(entry, repository.as_ref(), newer, now)
            })
            .collect(),
        modified: (
            shown(&desired.last_modified_by),
            When::maybe(Some(desired.last_modified_at), now),
        ),
        created: (
            shown(&desired.created_by),
            When::maybe(Some(desired.created_at), now),
        ),
        commands,
        may_write,
    };
    Ok(page(StatusCode::OK, &configuration))
}

fn message(report: &StatusReport, state: State, earlier: bool, unseen: bool) -> String {
    if earlier && state == State::Pending {
        return "Waiting for the cluster to say how it is after the last change.".to_owned();
    }
    if !report.message.is_empty() {
        return shown(&report.message);
    }
    let text = match state {
        State::Pending if unseen => "Its cluster's agent has never called.",
        State::Pending => "Waiting for its cluster's agent.",
        State::Compliant => "What the repository says is applied.",
        _ => "",
    };
    text.to_owned()
}

/// What is said of deletions that wait for someone to confirm them.
pub(super) fn guards(report: &StatusReport) -> impl Iterator<Item = &Problem> {
    let problems = report.problems.iter();
    problems.filter(|problem| problem.reason == "Guarded")
}

/// The commit whose deletions wait.
pub(super) fn guarded(report: &StatusReport) -> Option<&str> {
    let commit = report.attempted_revision.as_deref();
    commit.filter(|_| guards(report).next().is_some())
}

/// How many objects are not listed one by one.
fn unlisted(report: &StatusReport) -> usize {
    let total = report.objects.map_or(0, |objects| objects.total);
    usize::try_from(total).map_or(0, |total| total.saturating_sub(report.inventory.len()))
}

fn counts(report: &StatusReport) -> Vec<Count> {
    let Some(objects) = report.objects else {
        return Vec::new();
    };
    [
        (objects.total, "objects"),
        (objects.changed, "changed by the last sync"),
        (objects.pruned, "deleted by the last sync"),
        (objects.healed, "drifts healed since the last commit"),
        (objects.unhealthy, "not healthy"),
        (objects.problems, "problems"),
    ]
    .map(|(number, word)| Count { number, word })
    .into()
}

impl Righted {
    fn new(drift: &Drift, now: Timestamp) -> Self {
        let what = if drift.deleted { "deleted" } else { "changed" };
        let what = match &drift.manager {
            Some(manager) => format!("{what} by {}", shown(manager)),
            None => what.to_owned(),
        };
        Self {
            object: shown(&drift.object),
            when: When::maybe(Some(drift.time), now),
            what,
        }
    }
}

impl Commit {
    pub(super) fn new(id: &str, repository: Option<&Repository>) -> Option<Self> {
        (!id.is_empty()).then(|| Self {
            short: short(id),
            full: shown(id),
            link: repository.and_then(|repository| repository.commit(id)),
        })
    }
}

impl Entry {
    /// `newer` is when the next one began.
    fn new(
        summary: &Summary,
        repository: Option<&Repository>,
        newer: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let suspended = summary.level == Some(MessageLevel::Warning)
            && summary.state == Some(gitmoor_arm::ComplianceState::Noncompliant);
        let revision = summary.attempted_revision.as_deref();
        let mut what = vec![shown(&summary.message)];
        if let Some(objects) = summary.objects {
            let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            what.push(format!(
                "{}, {} changed, {} deleted, {}",
                count(number(objects.total), "object"),
                objects.changed,
                objects.pruned,
                count(number(objects.problems), "problem"),
            ));
        }
        what.retain(|text| !text.is_empty());
        Self {
            state: State::of(Some(summary), suspended),
            at: When::maybe(summary.at, now),
            lasted: summary.at.map(|at| match newer {
                Some(newer) => format!("for {}", lasted(at, newer)),
                None => format!("for {} so far", lasted(at, now)),
            }),
            written: summary
                .applied_commit
                .as_ref()
                .filter(|_| summary.attempted_revision == summary.applied_revision)
                .map(|commit| format!("{}: {}", shown(&commit.author), shown(&commit.title))),
            commit: revision.and_then(|id| Commit::new(id, repository)),
            what: what.join(" · "),
        }
    }
}
