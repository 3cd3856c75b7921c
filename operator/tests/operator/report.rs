//! What a status says.

use gitmoor_crds::SourceControlConfigurationStatus;
use gitmoor_operator::{
    Problem, Reason,
    report::{Facts, Obstacle, status},
    snapshot::CommitId,
};
use k8s_openapi::jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition<'a>(
    status: &'a SourceControlConfigurationStatus,
    kind: &str,
) -> Option<(&'a str, &'a str, &'a str)> {
    let one = status.conditions.iter().find(|one| one.type_ == kind)?;
    Some((&one.status, &one.reason, &one.message))
}

fn of(facts: &Facts) -> SourceControlConfigurationStatus {
    status(facts, &SourceControlConfigurationStatus::default(), at(1))
}

fn applied() -> Facts {
    Facts {
        generation: Some(3),
        attempted: Some(CommitId([0xab; 20])),
        applied: Some(CommitId([0xab; 20])),
        applied_at: Some(at(7)),
        ..Facts::default()
    }
}

fn problem(reason: Reason, line: u32) -> Problem {
    Problem {
        path: "web/front.yaml".to_owned(),
        line: Some(line),
        object: None,
        reason,
        message: "what is wrong".to_owned(),
    }
}

#[test]
fn an_applied_commit_is_ready_and_names_itself() {
    let status = of(&applied());
    let (value, reason, message) = condition(&status, "Ready").unwrap();
    assert_eq!((value, reason), ("True", "Applied"));
    assert!(message.contains("abababababab"), "{message}");
    assert_eq!(status.applied_revision.as_deref(), Some(&*"ab".repeat(20)));
    assert_eq!(status.observed_generation, Some(3));
    assert!(condition(&status, "Stalled").is_none());
}

#[test]
fn a_problem_is_named_with_its_place() {
    let mut facts = applied();
    facts.problems = vec![problem(Reason::Invalid, 7), problem(Reason::Forbidden, 9)];
    let status = of(&facts);
    let (value, reason, message) = condition(&status, "Ready").unwrap();
    assert_eq!((value, reason), ("False", "Problems"));
    assert!(
        message.starts_with("web/front.yaml:7: what is wrong (and 1 more"),
        "{message}"
    );
    assert_eq!(status.objects.unwrap().problems, 2);
}

#[test]
fn a_remark_does_not_take_readiness() {
    let mut facts = applied();
    facts.problems = vec![problem(Reason::OtherTool, 1)];
    let status = of(&facts);
    assert_eq!(condition(&status, "Ready").unwrap().0, "True");
    assert_eq!(status.problems.len(), 1);
}

#[test]
fn only_so_many_problems_are_listed_and_the_rest_are_counted() {
    let mut facts = applied();
    facts.problems = (0..250)
        .map(|line| problem(Reason::Invalid, line))
        .collect();
    let status = of(&facts);
    assert_eq!(status.problems.len(), 100);
    assert_eq!(status.problems_omitted, Some(150));
    assert_eq!(status.objects.unwrap().problems, 250);
}

#[test]
fn an_obstacle_hides_no_last_good_state() {
    let before = of(&applied());
    let facts = Facts {
        obstacle: Some(Obstacle {
            reason: "RepositoryNotFound".to_owned(),
            message: "no such repository".to_owned(),
            stalled: true,
        }),
        ..Facts::default()
    };
    let status = status(&facts, &before, at(99));
    assert_eq!(
        condition(&status, "Ready"),
        Some(("False", "RepositoryNotFound", "no such repository"))
    );
    assert_eq!(condition(&status, "Stalled").unwrap().0, "True");
    assert_eq!(status.applied_revision, before.applied_revision);
    assert_eq!(status.objects, before.objects);
}

#[test]
fn a_condition_that_stays_keeps_its_time() {
    let before = of(&applied());
    let after = status(&applied(), &before, at(99));
    assert_eq!(after, before);
    let mut facts = applied();
    facts.suspended = true;
    let after = status(&facts, &before, at(99));
    assert_eq!(after.conditions[0].last_transition_time.0, at(99));
}
