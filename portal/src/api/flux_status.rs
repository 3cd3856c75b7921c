//! The status of a Flux configuration, made of what was reported of its parts.

use gitmoor_arm::ComplianceState;
use serde_json::{Value, json};

use crate::store::{FluxPart, FluxRecord, Summary};

/// The kind of the resource that a part is in the cluster.
const KIND: &str = "SourceControlConfiguration";

/// The read-only fields of its properties.
pub(super) fn of(record: &FluxRecord) -> Value {
    let suspended = record.properties.suspend;
    let states: Vec<&str> = record
        .parts
        .iter()
        .map(|part| state(part, suspended))
        .collect();
    let summaries = || record.parts.iter().filter_map(|part| part.summary.as_ref());
    let reports = record.parts.iter().filter_map(|part| part.report.as_ref());
    let statuses: Vec<Value> = record
        .parts
        .iter()
        .flat_map(|part| statuses(part, &record.properties.namespace, suspended))
        .collect();
    // A line for each: parts that bring no key have one of their own.
    let mut keys: Vec<&str> = reports
        .filter_map(|report| report.repository_public_key.as_deref())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    json!({
        "complianceState": worst(&states),
        "statuses": statuses,
        "repositoryPublicKey": keys.join("\n"),
        "sourceSyncedCommitId": commit(record),
        "sourceUpdatedAt": summaries().filter_map(|summary| summary.last_applied).max(),
        "statusUpdatedAt": summaries().filter_map(|summary| summary.at).max(),
    })
}

/// In the words of this API, which are not quite those of the other.
fn state(part: &FluxPart, suspended: bool) -> &'static str {
    let summary = part.summary.as_ref();
    match summary.and_then(|summary| summary.state.as_ref()) {
        _ if suspended => "Suspended",
        Some(ComplianceState::Compliant | ComplianceState::Installed) => "Compliant",
        Some(ComplianceState::Noncompliant | ComplianceState::Failed) => "Non-Compliant",
        Some(ComplianceState::Pending) | None => "Pending",
        Some(ComplianceState::Other(_)) => "Unknown",
    }
}

fn worst(states: &[&'static str]) -> &'static str {
    const FROM_THE_WORST: [&str; 5] = [
        "Non-Compliant",
        "Unknown",
        "Pending",
        "Suspended",
        "Compliant",
    ];
    let mut known = FROM_THE_WORST.into_iter();
    // Of nothing, nothing is known.
    known
        .find(|state| states.contains(state))
        .unwrap_or("Unknown")
}

/// The commit that all parts have applied, behind its branch.
fn commit(record: &FluxRecord) -> Option<String> {
    let applied = |part: &FluxPart| part.summary.as_ref()?.applied_revision.clone();
    let mut commits = record.parts.iter().map(applied);
    let first = commits.next()??;
    if !commits.all(|commit| commit.as_ref() == Some(&first)) {
        return None;
    }
    let reference = record.properties.git_repository.repository_ref.as_ref();
    Some(
        match reference.and_then(|reference| reference.branch.as_deref()) {
            Some(branch) => format!("{branch}/{first}"),
            None => first,
        },
    )
}

/// That of the part itself, and of its objects: of those with a problem, and of those whose health is
/// known.
fn statuses(part: &FluxPart, namespace: &str, suspended: bool) -> Vec<Value> {
    let state = state(part, suspended);
    let own = |conditions: Vec<Value>| {
        json!({
            "name": part.name,
            "namespace": namespace,
            "kind": KIND,
            "complianceState": state,
            "statusConditions": conditions,
        })
    };
    let Some(summary) = &part.summary else {
        return vec![own(Vec::new())];
    };
    let (problems, inventory) = match &part.report {
        Some(report) => (&report.problems, &report.inventory[..]),
        None => (&summary.first, &[][..]),
    };
    let applied_by = json!({"name": part.name, "namespace": namespace});
    let status = |text: &str, state: &str, reason: &str, message: String| {
        let (kind, namespace, name) = object(text)?;
        Some(json!({
            "name": name,
            "namespace": namespace,
            "kind": kind,
            "complianceState": state,
            "appliedBy": applied_by,
            "statusConditions": [{
                "type": "Ready",
                "status": condition(state),
                "reason": reason,
                "message": message,
            }],
        }))
    };
    let told = problems.iter().filter_map(|problem| {
        let message = match (problem.path.as_str(), problem.line) {
            ("", _) => problem.message.clone(),
            (path, Some(line)) => format!("{path}:{line}: {}", problem.message),
            (path, None) => format!("{path}: {}", problem.message),
        };
        let object = problem.object.as_deref()?;
        status(object, "Non-Compliant", &problem.reason, message)
    });
    let is_told = |object: &str| {
        let mut problems = problems.iter();
        problems.any(|problem| problem.object.as_deref() == Some(object))
    };
    let others = inventory.iter().filter(|one| !is_told(&one.object));
    let others = others.filter_map(|one| {
        let state = health(&one.health);
        status(&one.object, state, &one.health, one.message.clone())
    });
    let report = part.report.as_ref();
    let message = report.map_or(&summary.message, |report| &report.message);
    let own = own(vec![ready(state, message, summary)]);
    [own].into_iter().chain(told).chain(others).collect()
}

/// A word of kstatus in those of this API.
fn health(word: &str) -> &'static str {
    match word {
        "Current" => "Compliant",
        "InProgress" | "Terminating" => "Pending",
        "Failed" | "NotFound" => "Non-Compliant",
        _ => "Unknown",
    }
}

/// How it stands with a condition that is `Ready` in that state.
fn condition(state: &str) -> &'static str {
    match state {
        "Compliant" => "True",
        "Non-Compliant" => "False",
        _ => "Unknown",
    }
}

fn ready(state: &str, message: &str, summary: &Summary) -> Value {
    json!({
        "type": "Ready",
        "status": condition(state),
        "reason": state.replace('-', ""),
        "message": message,
        "lastTransitionTime": summary.since,
    })
}

/// `Kind.group namespace/name`, or without a namespace: the kind, the namespace and the name.
fn object(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (kind, name) = text.split_once(' ')?;
    let kind = kind.split('.').next()?;
    Some(match name.split_once('/') {
        Some((namespace, name)) => (kind, Some(namespace), name),
        None => (kind, None, name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_says_how_all_is() {
        let table = [
            (&[][..], "Unknown"),
            (&["Compliant", "Compliant"], "Compliant"),
            (&["Compliant", "Pending"], "Pending"),
            (&["Pending", "Non-Compliant", "Compliant"], "Non-Compliant"),
            (&["Suspended"], "Suspended"),
        ];
        for (states, wanted) in table {
            assert_eq!(worst(states), wanted, "{states:?}");
        }
    }

    #[test]
    fn objects_are_read_as_agents_write_them() {
        let table = [
            (
                "Deployment.apps shop/front",
                Some(("Deployment", Some("shop"), "front")),
            ),
            ("Namespace shop", Some(("Namespace", None, "shop"))),
            ("nonsense", None),
        ];
        for (text, wanted) in table {
            assert_eq!(object(text), wanted, "{text}");
        }
    }
}
