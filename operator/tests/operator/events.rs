//! Which events a report comes to, and how many are too many.

use std::time::Duration;

use gitmoor_crds::{Counts, SourceControlConfigurationStatus};
use gitmoor_operator::events::{Entry, Event, Ledger, Said, Sort, of_report};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use tokio::time::Instant;

fn status(ready: &str, reason: &str, applied: &str) -> SourceControlConfigurationStatus {
    SourceControlConfigurationStatus {
        conditions: vec![Condition {
            type_: "Ready".to_owned(),
            status: ready.to_owned(),
            reason: reason.to_owned(),
            message: format!("it is {ready}"),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }],
        applied_revision: Some(applied.to_owned()),
        objects: Some(Counts {
            changed: 3,
            pruned: 1,
            ..Counts::default()
        }),
        ..SourceControlConfigurationStatus::default()
    }
}

fn without_changes(
    mut status: SourceControlConfigurationStatus,
) -> SourceControlConfigurationStatus {
    status.objects = Some(Counts::default());
    status
}

#[test]
fn an_event_tells_what_ready_says_when_it_says_something_else() {
    let well = || status("True", "Applied", "a");
    let all = "; 3 objects changed, 1 deleted";
    for (before, after, expected) in [
        (well(), well(), None),
        (
            SourceControlConfigurationStatus::default(),
            well(),
            Some((Sort::Normal, "Applied", format!("it is True{all}"))),
        ),
        // Another commit, and all as before.
        (
            well(),
            status("True", "Applied", "b"),
            Some((Sort::Normal, "Applied", format!("it is True{all}"))),
        ),
        // It has changed nothing, and the status says so.
        (
            well(),
            without_changes(status("True", "Applied", "b")),
            None,
        ),
        // On its way to be ready: of interest with a new commit alone.
        (well(), status("Unknown", "Progressing", "a"), None),
        (
            well(),
            status("Unknown", "Progressing", "b"),
            Some((Sort::Normal, "Progressing", format!("it is Unknown{all}"))),
        ),
        (
            well(),
            status("False", "Problems", "a"),
            Some((Sort::Warning, "Problems", "it is False".to_owned())),
        ),
        (
            status("False", "Problems", "a"),
            status("False", "AuthenticationFailed", "a"),
            Some((
                Sort::Warning,
                "AuthenticationFailed",
                "it is False".to_owned(),
            )),
        ),
        (
            status("False", "Problems", "a"),
            well(),
            Some((Sort::Normal, "Applied", "it is True".to_owned())),
        ),
        // Somebody wanted it so.
        (
            well(),
            status("False", "Suspended", "a"),
            Some((Sort::Normal, "Suspended", "it is False".to_owned())),
        ),
    ] {
        let event = of_report(&Said::from(&before), &after);
        let event = event.map(|event| (event.sort, event.reason, event.note));
        let expected = expected.map(|(sort, reason, note)| (sort, reason.to_owned(), note));
        assert_eq!(event, expected, "{before:?} {after:?}");
    }
}

#[test]
fn a_note_is_as_long_as_the_api_server_takes_it() {
    let event = Event::new(Sort::Normal, "Applied", "Sync", "ä".repeat(1000));
    assert!(event.note.len() <= 1024 && event.note.len() > 1000);
    assert!(event.note.ends_with('…'));
    let short = Event::new(Sort::Normal, "Applied", "Sync", "a".repeat(1024));
    assert_eq!(short.note.len(), 1024);
}

fn event(number: usize) -> Event {
    Event::new(Sort::Warning, "Invalid", "Sync", format!("wrong {number}"))
}

#[test]
fn the_same_again_is_a_series_until_it_was_quiet_for_long() {
    let start = Instant::now();
    let minutes = |count| start + Duration::from_mins(count);
    let mut ledger = Ledger::new(start);
    assert_eq!(ledger.enter(&event(1), 7, start), Some(Entry::New(7)));
    assert_eq!(
        ledger.enter(&event(1), 8, minutes(20)),
        Some(Entry::Again(7, 2))
    );
    assert_eq!(ledger.enter(&event(2), 9, minutes(20)), Some(Entry::New(9)));
    assert_eq!(
        ledger.enter(&event(1), 10, minutes(40)),
        Some(Entry::Again(7, 3))
    );
    assert_eq!(
        ledger.enter(&event(1), 11, minutes(75)),
        Some(Entry::New(11))
    );
    ledger.forgotten(&event(1), 12);
    assert_eq!(
        ledger.enter(&event(1), 13, minutes(76)),
        Some(Entry::Again(12, 2))
    );
}

#[test]
fn however_much_there_is_to_tell_few_events_are_told() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    let mut number = 0;
    let mut told = |ledger: &mut Ledger, at| {
        let entered = (0..1000).filter(|_| {
            number += 1;
            ledger.enter(&event(number), number as u64, at).is_some()
        });
        entered.count()
    };
    assert_eq!(told(&mut ledger, start), 25);
    assert_eq!(told(&mut ledger, start), 0);
    let later = start + Duration::from_secs(95);
    assert_eq!(told(&mut ledger, later), 3);
    // However long it was quiet.
    assert_eq!(told(&mut ledger, later + Duration::from_hours(24)), 25);
}
