//! What a configuration's status says. Pure: from what happened to the status; [`Reporter`] writes
//! it, only when it changed and at most once a second.

mod writer;

use std::collections::BTreeSet;

use gitmoor_crds::{
    Commit, Counts, Drift, MAX_PROBLEMS, ObjectState, Problem as Reported,
    SourceControlConfigurationStatus, conditions, reasons,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use crate::{
    Problem,
    snapshot::{Author, CommitId},
};

pub use writer::{Reporter, WriteError};

/// Something that stands in the way of the whole configuration: no commit can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// A stable word in CamelCase.
    pub reason: String,
    /// What was attempted, what is wrong, what to do.
    pub message: String,
    /// Whether nothing will improve until someone changes something.
    pub stalled: bool,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The generation of the configuration that all this is about.
    pub generation: Option<i64>,
    /// Which operator process reports.
    pub instance: String,
    /// Whether the configuration is suspended.
    pub suspended: bool,
    /// The public half of the key by which the repository is read.
    pub public_key: Option<String>,
    /// What stands in the way of everything.
    pub obstacle: Option<Obstacle>,
    /// The commit that is being applied at this moment, and how much of it is done.
    pub progress: Option<String>,
    /// The commit that was tried last.
    pub attempted: Option<CommitId>,
    /// Who wrote that.
    pub author: Author,
    /// The commit that was gone through to the end last.
    pub applied: Option<CommitId>,
    /// When.
    pub applied_at: Option<Timestamp>,
    /// Who wrote it.
    pub applied_author: Option<Author>,
    /// How many objects there are.
    pub counts: Counts,
    /// How the objects fare, as far as a status says it.
    pub inventory: Vec<ObjectState>,
    /// What was put right, the newest first, as far as a status says it.
    pub drifts: Vec<Drift>,
    /// What is wrong with the commit or its objects.
    pub problems: Vec<Problem>,
    /// What the configuration depends on and waits for.
    pub dependency: Option<Obstacle>,
    /// Which objects are not healthy yet, and have time.
    pub waits_for: Option<String>,
    /// Remarks on how the configuration is served, such as kinds that may not be watched.
    pub remarks: Vec<String>,
}

/// The status that says so. `before` is the one that is there: a condition that stays keeps the
/// time of its last change.
pub fn status(
    facts: &Facts,
    before: &SourceControlConfigurationStatus,
    now: Timestamp,
) -> SourceControlConfigurationStatus {
    let problems: BTreeSet<Reported> = facts.problems.iter().map(reported).collect();
    let total = problems.len();
    let mut counts = facts.counts;
    counts.problems = u32::try_from(total).unwrap_or(u32::MAX);
    let revision = |commit: Option<CommitId>, before: &Option<String>| {
        commit
            .map(|commit| commit.to_string())
            .or_else(|| before.clone())
    };
    SourceControlConfigurationStatus {
        observed_generation: facts.generation,
        conditions: conditions_of(facts, total, before, now),
        attempted_revision: revision(facts.attempted, &before.attempted_revision),
        applied_revision: revision(facts.applied, &before.applied_revision),
        last_applied_time: facts
            .applied_at
            .map(Time)
            .or_else(|| before.last_applied_time.clone()),
        applied_commit: facts
            .applied_author
            .as_ref()
            .and_then(commit_of)
            .or_else(|| before.applied_commit.clone()),
        objects: facts.applied.map(|_| counts).or(before.objects),
        inventory: match facts.applied {
            Some(_) => facts.inventory.clone(),
            None => before.inventory.clone(),
        },
        drifts: facts.drifts.clone(),
        problems: problems.into_iter().take(MAX_PROBLEMS).collect(),
        problems_omitted: u32::try_from(total.saturating_sub(MAX_PROBLEMS))
            .ok()
            .filter(|omitted| *omitted > 0),
        instance: Some(facts.instance.clone()),
        repository_public_key: facts.public_key.clone(),
    }
}

/// Who wrote a commit, as a status has it; nothing where the commit's date is none.
fn commit_of(author: &Author) -> Option<Commit> {
    Some(Commit {
        author: author.name.clone(),
        authored_at: Time(Timestamp::from_second(author.seconds).ok()?),
        title: author.title.clone(),
    })
}

/// A problem as a status has it.
pub(crate) fn reported(problem: &Problem) -> Reported {
    Reported {
        path: problem.path.clone(),
        line: problem.line,
        object: problem.object.as_ref().map(ToString::to_string),
        reason: problem.reason.to_string(),
        message: problem.message.clone(),
    }
}

fn conditions_of(
    facts: &Facts,
    problems: usize,
    before: &SourceControlConfigurationStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |kind: &str, status: &str, reason: &str, message: String| {
        let same = before
            .conditions
            .iter()
            .find(|one| one.type_ == kind && one.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: facts.generation,
            last_transition_time: same.map_or(Time(now), |one| one.last_transition_time.clone()),
        }
    };
    let ready = |status: &str, reason: &str, message: String| {
        condition(conditions::READY, status, reason, message)
    };
    if facts.suspended {
        let message = "suspended: nothing is fetched, applied or healed".to_owned();
        return vec![ready("False", reasons::SUSPENDED, message)];
    }
    let faults: Vec<&Problem> = facts
        .problems
        .iter()
        .filter(|problem| !problem.reason.is_warning())
        .collect();
    let mut all = Vec::new();
    if let Some(obstacle) = facts.obstacle.as_ref().or(facts.dependency.as_ref()) {
        all.push(ready("False", &obstacle.reason, obstacle.message.clone()));
        if obstacle.stalled {
            let message = obstacle.message.clone();
            all.push(condition(
                conditions::STALLED,
                "True",
                &obstacle.reason,
                message,
            ));
        }
    } else if let (Some(progress), None) = (&facts.progress, facts.applied) {
        all.push(ready("Unknown", reasons::PROGRESSING, progress.clone()));
    } else if let Some(worst) = faults.first() {
        let more = match faults.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more in status.problems)"),
        };
        all.push(ready(
            "False",
            reasons::PROBLEMS,
            format!("{}{more}", sentence(worst)),
        ));
    } else if let (Some(commit), Some(waits)) = (facts.applied, &facts.waits_for) {
        let message = format!(
            "applied commit {}, and waits for {waits}",
            &commit.to_string()[..12]
        );
        all.push(ready("Unknown", reasons::PROGRESSING, message));
    } else if let Some(commit) = facts.applied {
        let remarks = match problems {
            0 => String::new(),
            some => format!(", {some} remarks in status.problems"),
        };
        let more: String = facts
            .remarks
            .iter()
            .map(|remark| format!("; {remark}"))
            .collect();
        let commit = commit.to_string();
        let message = format!(
            "applied commit {}: {} objects{remarks}{more}",
            &commit[..12],
            facts.counts.total
        );
        all.push(ready("True", reasons::APPLIED, message));
    } else {
        let message = "waiting for the repository's first answer".to_owned();
        all.push(ready("Unknown", reasons::PROGRESSING, message));
    }
    if let Some(progress) = &facts.progress {
        all.push(condition(
            conditions::RECONCILING,
            "True",
            reasons::PROGRESSING,
            progress.clone(),
        ));
    }
    all
}

/// A problem in one line: place, object, what is wrong.
pub fn sentence(problem: &Problem) -> String {
    let mut text = String::new();
    if !problem.path.is_empty() {
        text.push_str(&problem.path);
        if let Some(line) = problem.line {
            text.push_str(&format!(":{line}"));
        }
        text.push_str(": ");
    }
    if let Some(object) = &problem.object {
        text.push_str(&format!("{object}: "));
    }
    text.push_str(&problem.message);
    text
}
