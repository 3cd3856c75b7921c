//! A configuration: what it follows, what is applied, what is wrong, and what it said before.

use askama::Template;
use axum::response::Response;
use gitmoor_arm::{
    ConfigurationId, MessageLevel, OperatorParams, OperatorScope, StatusReport, Timestamp,
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
    text::{When, count, short, shown},
};
use crate::{
    api::{refusal::Refusal, route::Route as ApiRoute},
    store::{Summary, WithReport},
};

/// A commit, perhaps with a link.
pub(super) struct Commit {
    short: String,
    full: String,
    link: Option<String>,
}

/// An entry of the timeline.
struct Entry {
    state: State,
    at: Option<When>,
    commit: Option<Commit>,
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
    let WithReport { desired, report } = found.ok_or_else(|| Refusal::no_configuration(id))?;
    let history = pages.store.history(id).await?;
    let now = Timestamp::now();
    let properties = &desired.properties;
    let address = properties.repository_url.clone().unwrap_or_default();
    let repository = Repository::find(&address);
    let params = OperatorParams::parse(properties.operator_params()).unwrap_or_default();
    let summary = report.as_ref().map(Summary::of);
    let state = State::of(summary.as_ref(), params.suspend);
    let since = history.first().filter(|_| report.is_some());
    let report = report.unwrap_or_default();
    let commit = |text: &Option<String>| Commit::new(text.as_deref()?, repository.as_ref());
    let cluster = id.cluster();
    let guarded = commit(&report.attempted_revision).filter(|_| is_guarded(&report));
    let commands = pages.commands(call, id, properties)?;
    let commands = commands.all(guarded.as_ref().map(|commit| &*commit.full));
    let configuration = Configuration {
        frame: Frame::of(visitor).section("clusters").live(Some(&cluster)),
        name: shown(id.name()),
        path: route::of_configuration(id),
        cluster: (shown(cluster.name()), route::of_cluster(&cluster)),
        state,
        since: When::maybe(since.and_then(|entry| entry.since), now),
        message: message(&report, state),
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
            .map(|entry| Entry::new(entry, repository.as_ref(), now))
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
        may_write: visitor
            .may(&ApiRoute::Configuration(id.clone()), &Method::PUT)
            .is_ok(),
    };
    Ok(page(StatusCode::OK, &configuration))
}

fn message(report: &StatusReport, state: State) -> String {
    if !report.message.is_empty() {
        return shown(&report.message);
    }
    let text = match state {
        State::Pending => "Waiting for the cluster: its agent asks twice a minute.",
        State::Compliant => "What the repository says is applied.",
        _ => "",
    };
    text.to_owned()
}

/// Whether there are deletions that wait for someone to confirm them.
fn is_guarded(report: &StatusReport) -> bool {
    report
        .problems
        .iter()
        .any(|problem| problem.reason == "Guarded")
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
        (objects.problems, "problems"),
    ]
    .map(|(number, word)| Count { number, word })
    .into()
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
    fn new(summary: &Summary, repository: Option<&Repository>, now: Timestamp) -> Self {
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
            commit: revision.and_then(|id| Commit::new(id, repository)),
            what: what.join(" · "),
        }
    }
}
