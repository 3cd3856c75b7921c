//! What the cluster says of a configuration, in ARM's words. Pure.
//!
//! | the resource | `complianceState` | level |
//! | --- | --- | --- |
//! | ARM's configuration is wrong, or the cluster refuses it | `Failed` | `Error` |
//! | cannot be written to the cluster for the moment | `Pending` | `Warning` |
//! | not there yet, or its status speaks of an older generation | `Pending` | `Information` |
//! | `Ready` is `True` | `Compliant` | `Information`; `Warning` with problems |
//! | `Ready` is `Unknown` or absent | `Pending` | `Information` |
//! | `Ready` is `False`, `Stalled` is `True` | `Failed` | `Error` |
//! | `Ready` is `False`, `suspend` | `Noncompliant` | `Warning` |
//! | `Ready` is `False` else | `Noncompliant` | `Error` |

use gitmoor_arm::{
    Commit, ComplianceState, Drift, MessageLevel, ObjectCounts, ObjectState, Problem, StatusReport,
    Timestamp,
};
use gitmoor_crds::{
    SourceControlConfiguration, SourceControlConfigurationStatus,
    conditions::{READY, STALLED},
    reasons::SUSPENDED,
};

use super::settle::Obstacle;

/// The report on a configuration whose resource has at least a generation.
pub(super) fn report(
    etag: &str,
    obstacles: &[Obstacle],
    generation: Option<i64>,
    live: Option<&SourceControlConfiguration>,
) -> StatusReport {
    let status = live
        .and_then(|live| live.status.clone())
        .unwrap_or_default();
    let (state, level, message) = judge(obstacles, generation, &status);
    let mut report = StatusReport {
        observed_etag: etag.to_owned(),
        compliance_state: Some(state),
        message_level: Some(level),
        message,
        last_config_applied: status
            .last_applied_time
            .as_ref()
            .and_then(|time| time.0.to_string().parse::<Timestamp>().ok()),
        attempted_revision: status.attempted_revision.clone(),
        applied_revision: status.applied_revision.clone(),
        applied_commit: status.applied_commit.as_ref().and_then(|commit| {
            Some(Commit {
                author: commit.author.clone(),
                authored_at: commit.authored_at.0.to_string().parse().ok()?,
                title: commit.title.clone(),
            })
        }),
        objects: status.objects.map(|counts| ObjectCounts {
            total: counts.total,
            changed: counts.changed,
            pruned: counts.pruned,
            healed: counts.healed,
            unhealthy: counts.unhealthy,
            problems: counts.problems,
        }),
        problems_omitted: status.problems_omitted.unwrap_or_default(),
        repository_public_key: status.repository_public_key.clone(),
        ..StatusReport::default()
    };
    let faults = obstacles.iter().filter_map(|obstacle| match obstacle {
        Obstacle::Fault(message) => Some(Problem {
            reason: "InvalidConfiguration".to_owned(),
            message: message.clone(),
            ..Problem::default()
        }),
        Obstacle::Failure(_) => None,
    });
    let problems = status.problems.into_iter().map(|problem| Problem {
        path: problem.path,
        line: problem.line,
        object: problem.object,
        reason: problem.reason,
        message: problem.message,
    });
    let states = status.inventory.into_iter().map(|state| ObjectState {
        object: state.object,
        health: state.health,
        message: state.message,
    });
    let drifts = status.drifts.into_iter().filter_map(|drift| {
        Some(Drift {
            object: drift.object,
            time: drift.time.0.to_string().parse().ok()?,
            deleted: drift.deleted,
            manager: drift.manager,
        })
    });
    report.inventory = states.collect();
    report.drifts = drifts.collect();
    report.problems = faults.chain(problems).collect();
    report.bounded()
}

fn judge(
    obstacles: &[Obstacle],
    generation: Option<i64>,
    status: &SourceControlConfigurationStatus,
) -> (ComplianceState, MessageLevel, String) {
    let texts = |fault: bool| -> Vec<&str> {
        let of_sort = obstacles.iter().filter_map(|obstacle| match obstacle {
            Obstacle::Fault(message) => fault.then_some(message.as_str()),
            Obstacle::Failure(message) => (!fault).then_some(message.as_str()),
        });
        of_sort.collect()
    };
    let (faults, failures) = (texts(true), texts(false));
    if !faults.is_empty() {
        return (
            ComplianceState::Failed,
            MessageLevel::Error,
            faults.join("; "),
        );
    }
    if !failures.is_empty() {
        return (
            ComplianceState::Pending,
            MessageLevel::Warning,
            failures.join("; "),
        );
    }
    let condition = |kind| status.conditions.iter().find(|one| one.type_ == kind);
    let current = generation.is_some() && status.observed_generation >= generation;
    let (Some(ready), true) = (condition(READY), current) else {
        let message = "waiting for the operator".to_owned();
        return (ComplianceState::Pending, MessageLevel::Information, message);
    };
    let stalled = condition(STALLED).is_some_and(|one| one.status == "True");
    let (state, level) = match ready.status.as_str() {
        "True" if status.problems.is_empty() => {
            (ComplianceState::Compliant, MessageLevel::Information)
        }
        "True" => (ComplianceState::Compliant, MessageLevel::Warning),
        "False" if stalled => (ComplianceState::Failed, MessageLevel::Error),
        "False" if ready.reason == SUSPENDED => {
            (ComplianceState::Noncompliant, MessageLevel::Warning)
        }
        "False" => (ComplianceState::Noncompliant, MessageLevel::Error),
        _ => (ComplianceState::Pending, MessageLevel::Information),
    };
    (state, level, ready.message.clone())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{Condition, Time},
        jiff::Timestamp,
    };

    use super::*;

    fn status(
        conditions: &[(&str, &str, &str)],
        problems: usize,
    ) -> SourceControlConfigurationStatus {
        let problem = gitmoor_crds::Problem {
            path: "a.yaml".into(),
            line: Some(1),
            object: None,
            reason: "Invalid".into(),
            message: "wrong".into(),
        };
        SourceControlConfigurationStatus {
            observed_generation: Some(3),
            conditions: conditions
                .iter()
                .map(|(kind, status, reason)| Condition {
                    type_: (*kind).to_owned(),
                    status: (*status).to_owned(),
                    reason: (*reason).to_owned(),
                    message: format!("{kind} is {status}"),
                    observed_generation: Some(3),
                    last_transition_time: Time(Timestamp::UNIX_EPOCH),
                })
                .collect(),
            problems: vec![problem; problems],
            ..SourceControlConfigurationStatus::default()
        }
    }

    #[test]
    fn each_state_has_its_word_and_level() {
        use ComplianceState::{Compliant, Failed, Noncompliant, Pending};
        use MessageLevel::{Error, Information, Warning};
        let fault = [Obstacle::Fault("no".into())];
        let failure = [Obstacle::Failure("not now".into())];
        let ready = status(&[("Ready", "True", "Applied")], 0);
        let table = [
            (&fault[..], Some(3), ready.clone(), Failed, Error),
            (&failure[..], Some(3), ready.clone(), Pending, Warning),
            (&[], None, ready.clone(), Pending, Information),
            (&[], Some(4), ready.clone(), Pending, Information),
            (&[], Some(3), ready, Compliant, Information),
            (
                &[],
                Some(3),
                status(&[("Ready", "True", "Applied")], 1),
                Compliant,
                Warning,
            ),
            (&[], Some(3), status(&[], 0), Pending, Information),
            (
                &[],
                Some(3),
                status(&[("Ready", "Unknown", "Progressing")], 0),
                Pending,
                Information,
            ),
            (
                &[],
                Some(3),
                status(&[("Ready", "False", "Problems")], 1),
                Noncompliant,
                Error,
            ),
            (
                &[],
                Some(3),
                status(&[("Ready", "False", "Suspended")], 0),
                Noncompliant,
                Warning,
            ),
            (
                &[],
                Some(3),
                status(&[("Stalled", "True", "X"), ("Ready", "False", "X")], 0),
                Failed,
                Error,
            ),
        ];
        for (obstacles, generation, status, state, level) in table {
            let (found, of_level, message) = judge(obstacles, generation, &status);
            assert_eq!(
                (found, of_level),
                (state, level),
                "{obstacles:?} {status:?}"
            );
            assert!(!message.is_empty());
        }
    }
}
