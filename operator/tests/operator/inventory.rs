//! The inventory in memory. What reaches the cluster is tested on the control plane.

use std::{collections::BTreeSet, sync::Arc};

use gitmoor_operator::{
    ObjectKey,
    fingerprint::{Fingerprint, Seen},
    inventory::{Inventory, Live},
    read::Digest,
};

fn key(name: &str) -> ObjectKey {
    ObjectKey {
        group: "".into(),
        kind: "ConfigMap".into(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

fn version() -> Arc<str> {
    "v1".into()
}

fn seen(uid: u128, version: u64, fingerprint: u64) -> Seen {
    Seen {
        uid,
        version,
        fingerprint: Some(Fingerprint(fingerprint)),
        generation: 0,
        opted_out: false,
    }
}

const DIGEST: Digest = Digest([7; 16]);

/// An inventory with one applied object.
fn with_one() -> Inventory {
    let mut inventory = Inventory::default();
    inventory.announce([(key("a"), version())]);
    inventory.applied(&key("a"), &version(), DIGEST, seen(1, 10, 100), 0);
    inventory
}

#[test]
fn a_new_object_is_written_down_before_it_is_applied() {
    let mut inventory = Inventory::default();
    assert_eq!(inventory.announce([(key("a"), version())]), [0]);
    assert_eq!(
        inventory.announce([(key("a"), version())]),
        [0],
        "it could not be written"
    );
    inventory.written(0);
    assert!(
        inventory.announce([(key("a"), version())]).is_empty(),
        "it is in already"
    );
    assert_eq!(inventory.len(), 1);
}

#[test]
fn the_answer_to_our_own_write_is_no_drift() {
    let mut inventory = with_one();
    assert!(!inventory.seen(&key("a"), seen(1, 10, 100), 1));
    assert!(inventory.find(&key("a")).unwrap().is_as_applied());
}

#[test]
fn an_event_from_before_our_write_is_no_drift() {
    let mut inventory = with_one();
    assert!(!inventory.seen(&key("a"), seen(1, 9, 55), 1));
    assert!(inventory.find(&key("a")).unwrap().is_as_applied());
}

#[test]
fn a_foreign_change_is_news_and_no_drift() {
    let mut inventory = with_one();
    assert!(inventory.seen(&key("a"), seen(1, 11, 100), 1));
    assert!(inventory.find(&key("a")).unwrap().is_as_applied());
}

#[test]
fn a_change_of_our_fields_is_drift_of_our_object() {
    let mut inventory = with_one();
    assert!(inventory.seen(&key("a"), seen(1, 11, 101), 1));
    let entry = inventory.find(&key("a")).unwrap();
    assert!(!entry.is_as_applied());
    assert_eq!(entry.ours(), Some(1));
}

#[test]
fn a_generation_that_moves_while_nothing_of_ours_does_is_suspicious_until_it_is_verified() {
    let mut inventory = with_one();
    let moved = Seen {
        generation: 2,
        ..seen(1, 11, 100)
    };
    assert!(!inventory.find(&key("a")).unwrap().is_suspicious());
    assert!(inventory.seen(&key("a"), moved, 1));
    assert!(inventory.find(&key("a")).unwrap().is_suspicious());
    inventory.verified(&key("a"));
    assert!(!inventory.find(&key("a")).unwrap().is_suspicious());

    // A restart does not forget it.
    let bytes = inventory.encode(0);
    let mut inventory = Inventory::default();
    assert_eq!(inventory.decode(0, &bytes), Ok(()));
    inventory.seen(&key("a"), moved, 1);
    assert!(!inventory.find(&key("a")).unwrap().is_suspicious());
}

#[test]
fn an_object_that_was_made_anew_is_not_ours() {
    let mut inventory = with_one();
    assert!(inventory.seen(&key("a"), seen(2, 11, 100), 1));
    let entry = inventory.find(&key("a")).unwrap();
    assert!(!entry.is_as_applied());
    assert_eq!(entry.ours(), None);
}

#[test]
fn a_deletion_is_news_once_and_not_after_a_newer_write() {
    let mut inventory = with_one();
    assert!(inventory.gone(&key("a"), 11));
    assert!(!inventory.gone(&key("a"), 11));
    inventory.applied(&key("a"), &version(), DIGEST, seen(3, 20, 100), 0);
    assert!(
        !inventory.gone(&key("a"), 12),
        "the event is older than our write"
    );
    assert!(inventory.find(&key("a")).unwrap().is_as_applied());
}

#[test]
fn what_a_list_does_not_show_is_gone_unless_it_was_applied_since() {
    let mut inventory = Inventory::default();
    inventory.announce(["old", "shown", "new"].map(|name| (key(name), version())));
    inventory.applied(&key("old"), &version(), DIGEST, seen(1, 1, 1), 0);
    inventory.applied(&key("shown"), &version(), DIGEST, seen(2, 2, 2), 0);
    // List number 1 begins here.
    inventory.seen(&key("shown"), seen(2, 2, 2), 1);
    inventory.applied(&key("new"), &version(), DIGEST, seen(3, 3, 3), 1);
    assert_eq!(
        inventory.listed("", "ConfigMap", Some("shop"), 1),
        [key("old")]
    );
    assert_eq!(inventory.find(&key("old")).unwrap().live, Live::Gone);
    assert!(
        inventory.listed("", "ConfigMap", None, 1).is_empty(),
        "it is news once"
    );
}

#[test]
fn a_list_of_one_namespace_says_nothing_of_others() {
    let mut inventory = with_one();
    assert!(
        inventory
            .listed("", "ConfigMap", Some("elsewhere"), 9)
            .is_empty()
    );
    assert!(inventory.listed("apps", "ConfigMap", None, 9).is_empty());
}

#[test]
fn a_failed_write_leaves_the_object_and_forgets_what_it_is() {
    let mut inventory = with_one();
    inventory.failed(&key("a"), true);
    assert_eq!(inventory.find(&key("a")).unwrap().digest, None);
    assert_eq!(inventory.len(), 1);
}

#[test]
fn a_small_change_makes_a_small_part_stale() {
    let mut inventory = Inventory::default();
    let keys: Vec<_> = (0..10_000).map(|n| key(&format!("n{n}"))).collect();
    let chunks = inventory.announce(keys.iter().map(|key| (key.clone(), version())));
    assert_eq!(chunks.len(), 64);
    for chunk in chunks {
        inventory.written(chunk);
    }
    assert!(!inventory.is_stale(), "all of it was written");
    inventory.applied(&keys[17], &version(), DIGEST, seen(1, 1, 1), 0);
    assert_eq!(inventory.stale().len(), 1);
}

#[test]
fn growth_writes_the_new_chunks_and_later_those_that_lost() {
    let mut inventory = Inventory::default();
    inventory.announce((0..256).map(|n| (key(&format!("n{n}")), version())));
    let chunks = inventory.announce([(key("one-more"), version())]);
    assert!(
        chunks.contains(&1),
        "what moves to the new chunk is written there: {chunks:?}"
    );
    let all: BTreeSet<u32> = chunks.into_iter().chain(inventory.stale()).collect();
    assert_eq!(all, BTreeSet::from([0, 1]));
}

#[test]
fn an_object_that_asks_to_be_left_alone_is_and_a_restart_remembers_it() {
    let mut inventory = with_one();
    let asks = Seen {
        generation: 0,
        opted_out: true,
        ..seen(1, 11, 100)
    };
    assert!(inventory.seen(&key("a"), asks, 0));
    let entry = inventory.find(&key("a")).unwrap();
    assert!(entry.is_left_alone());
    inventory.gone(&key("a"), 12);
    assert!(!inventory.find(&key("a")).unwrap().is_left_alone());
}

#[test]
fn what_growth_left_behind_in_an_old_chunk_is_written_out_of_it() {
    let mut inventory = Inventory::default();
    inventory.announce((0..256).map(|n| (key(&format!("n{n}")), version())));
    let old = inventory.encode(0);
    inventory.announce([(key("one-more"), version())]);
    let new = inventory.encode(1);

    // The process died before it wrote the old chunk anew.
    let mut inventory = Inventory::default();
    assert_eq!(inventory.decode(1, &new), Ok(()));
    assert_eq!(inventory.decode(0, &old), Ok(()));
    assert_eq!(inventory.stale(), [0]);
}
