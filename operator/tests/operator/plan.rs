//! What is to be done, from what is declared, what was applied, and what the cluster knows.

use std::{collections::HashSet, sync::Arc};

use gitmoor_operator::{
    ObjectKey, Reason,
    fingerprint::{Fingerprint, Seen},
    inventory::Inventory,
    kinds::{Kinds, Resource},
    plan::{Guard, Plan, Terms, plan},
    read::{Declared, Digest, Manifests, Options, Sync},
    snapshot::BlobId,
};

fn kinds() -> Kinds {
    let resource = |version: &str, plural: &str, namespaced: bool| Resource {
        version: version.into(),
        plural: plural.into(),
        namespaced,
        watchable: true,
        appliable: true,
    };
    Kinds::of([
        ("", "ConfigMap", resource("v1", "configmaps", true)),
        ("", "Namespace", resource("v1", "namespaces", false)),
        (
            "",
            "ServiceAccount",
            resource("v1", "serviceaccounts", true),
        ),
        ("apps", "Deployment", resource("v1", "deployments", true)),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration",
            resource("v1", "validatingwebhookconfigurations", false),
        ),
        (
            "rbac.authorization.k8s.io",
            "ClusterRole",
            resource("v1", "clusterroles", false),
        ),
    ])
}

fn key(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        group: group.into(),
        kind: kind.into(),
        namespace: namespace.map(Arc::from),
        name: name.into(),
    }
}

fn declared(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Declared {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    Declared {
        key: key(group, kind, namespace, name),
        version: version.into(),
        path: format!("{name}.yaml").into(),
        line: 1,
        blob: BlobId([0; 20]),
        index: 0,
        digest: Digest([1; 16]),
        options: Options {
            sync: Sync::Enforce,
            ..Options::default()
        },
    }
}

fn map(name: &str) -> Declared {
    declared("v1", "ConfigMap", None, name)
}

fn map_key(name: &str) -> ObjectKey {
    key("", "ConfigMap", Some("shop"), name)
}

fn manifests(declared: Vec<Declared>) -> Manifests {
    Manifests {
        declared,
        ..Manifests::default()
    }
}

const TERMS: Terms<'static> = Terms {
    namespace: "shop",
    heals: true,
    prune: true,
    hidden: false,
    confirmed: false,
    looked: false,
    revision: "c0ffee",
    guard: Guard {
        objects: 10,
        percent: 50,
    },
    others: &[],
    behind: &[],
};

/// An inventory in which all this is applied.
fn applied(declared: &[Declared]) -> Inventory {
    let mut inventory = Inventory::default();
    for (number, one) in (1..).zip(declared) {
        let mut key = one.key.clone();
        if &*one.key.kind != "Namespace" {
            key.namespace.get_or_insert_with(|| "shop".into());
        }
        inventory.announce([(key.clone(), Arc::clone(&one.version))]);
        let seen = Seen {
            uid: number,
            version: 1,
            fingerprint: Some(Fingerprint(1)),
            generation: 0,
            opted_out: false,
        };
        inventory.applied(&key, &one.version, one.digest.at(&one.path), seen, 0);
    }
    inventory
}

fn to_apply(plan: &Plan) -> Vec<String> {
    plan.stages
        .iter()
        .flatten()
        .map(|work| work.key.to_string())
        .collect()
}

fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.problems.iter().map(|problem| problem.reason).collect()
}

fn maps(names: std::ops::Range<u32>) -> Vec<Declared> {
    names.map(|n| map(&format!("m{n}"))).collect()
}

#[test]
fn what_is_applied_already_is_left_alone() {
    let all = maps(0..3);
    let plan = plan(&manifests(all.clone()), &applied(&all), &kinds(), TERMS);
    assert_eq!((plan.unchanged, plan.to_apply()), (3, 0));
    assert!(plan.prune.is_empty() && plan.problems.is_empty());
}

#[test]
fn only_what_changed_is_applied() {
    let before = maps(0..3);
    let mut after = before.clone();
    after[1].digest = Digest([2; 16]);
    let plan = plan(&manifests(after), &applied(&before), &kinds(), TERMS);
    assert_eq!(to_apply(&plan), ["ConfigMap shop/m1"]);
    assert_eq!(plan.stages.iter().flatten().next().unwrap().ours, Some(2));
}

#[test]
fn stages_and_kinds_come_in_order() {
    let all = vec![
        declared(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            None,
            "hook",
        ),
        declared("apps/v1", "Deployment", None, "front"),
        declared("v1", "ServiceAccount", None, "front"),
        declared(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            None,
            "reader",
        ),
        declared("v1", "Namespace", None, "shop"),
    ];
    let plan = plan(&manifests(all), &Inventory::default(), &kinds(), TERMS);
    assert_eq!(
        to_apply(&plan),
        [
            "Namespace shop",
            "ClusterRole.rbac.authorization.k8s.io reader",
            "ServiceAccount shop/front",
            "Deployment.apps shop/front",
            "ValidatingWebhookConfiguration.admissionregistration.k8s.io hook",
        ]
    );
}

#[test]
fn an_object_that_is_declared_twice_is_applied_from_neither_place_and_not_pruned() {
    let mut twice = map("m0");
    twice.key.namespace = Some("shop".into());
    twice.path = "other.yaml".into();
    let inventory = applied(&[map("m0")]);
    let plan = plan(
        &manifests(vec![map("m0"), twice]),
        &inventory,
        &kinds(),
        TERMS,
    );
    assert_eq!(reasons(&plan), [Reason::DuplicateObject]);
    let problem = &plan.problems[0];
    assert!(
        problem.path == "other.yaml" && problem.message.contains("m0.yaml:1"),
        "{problem:?}"
    );
    assert_eq!((plan.to_apply(), plan.prune.len()), (0, 0));
}

#[test]
fn a_kind_in_another_version_or_group_is_explained() {
    let all = vec![
        declared("apps/v1beta1", "Deployment", None, "a"),
        declared("extensions/v1beta1", "Deployment", None, "b"),
        declared("example.org/v1", "Widget", None, "c"),
    ];
    let plan = plan(&manifests(all), &Inventory::default(), &kinds(), TERMS);
    assert_eq!(
        reasons(&plan),
        [
            Reason::UnknownVersion,
            Reason::UnknownVersion,
            Reason::UnknownKind
        ]
    );
    for problem in &plan.problems[..2] {
        assert!(
            problem.message.contains("apiVersion: apps/v1"),
            "{}",
            problem.message
        );
    }
    assert!(plan.kinds_missing);
}

#[test]
fn what_is_no_longer_declared_is_pruned() {
    let before = maps(0..3);
    let plan = plan(&manifests(maps(0..2)), &applied(&before), &kinds(), TERMS);
    assert_eq!(plan.prune, [map_key("m2")]);
}

#[test]
fn what_was_refused_and_never_applied_is_forgotten_without_a_question() {
    let mut inventory = applied(&maps(0..1));
    let namespace = key("", "Namespace", None, "shop");
    for one in [&map_key("refused"), &namespace, &map_key("unclear")] {
        inventory.announce([(one.clone(), "v1".into())]);
    }
    inventory.failed(&map_key("refused"), true);
    inventory.failed(&namespace, true);
    inventory.failed(&map_key("unclear"), false);
    assert_eq!(inventory.touched(), 2);
    let plan = plan(&manifests(maps(0..1)), &inventory, &kinds(), TERMS);
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    assert_eq!(plan.forget.len(), 2);
    assert_eq!(plan.prune, [map_key("unclear")]);
}

#[test]
fn nothing_is_pruned_while_something_may_be_hidden_or_when_it_is_not_asked_for() {
    let inventory = applied(&maps(0..3));
    for terms in [
        Terms {
            hidden: true,
            ..TERMS
        },
        Terms {
            prune: false,
            ..TERMS
        },
    ] {
        let plan = plan(&manifests(maps(0..2)), &inventory, &kinds(), terms);
        assert!(plan.prune.is_empty());
    }
}

#[test]
fn an_object_whose_version_is_not_known_is_not_pruned() {
    let before = vec![declared("apps/v1", "Deployment", None, "front"), map("m0")];
    let after = vec![declared("apps/v2", "Deployment", None, "front"), map("m0")];
    let plan = plan(&manifests(after), &applied(&before), &kinds(), TERMS);
    assert_eq!(reasons(&plan), [Reason::UnknownVersion]);
    assert!(plan.prune.is_empty());
}

#[test]
fn a_great_deletion_asks_first() {
    let inventory = applied(&maps(0..30));
    let less = manifests(maps(0..14));
    let held = plan(&less, &inventory, &kinds(), TERMS);
    assert!(held.prune.is_empty());
    assert_eq!(reasons(&held), [Reason::Guarded]);
    assert!(
        ["16 of 30", "and 11 more)"]
            .iter()
            .all(|words| held.problems[0].message.contains(words)),
        "{}",
        held.problems[0].message
    );
    assert!(held.problems[0].message.contains("\"c0ffee\""));
    let confirmed = plan(
        &less,
        &inventory,
        &kinds(),
        Terms {
            confirmed: true,
            ..TERMS
        },
    );
    assert_eq!(confirmed.prune.len(), 16);
    let half = plan(&manifests(maps(0..15)), &inventory, &kinds(), TERMS);
    assert_eq!(half.prune.len(), 15, "half is not more than half");
}

#[test]
fn deleting_everything_asks_first() {
    let plan = plan(
        &manifests(Vec::new()),
        &applied(&maps(0..2)),
        &kinds(),
        TERMS,
    );
    assert_eq!(reasons(&plan), [Reason::Guarded]);
    assert!(plan.prune.is_empty());
}

#[test]
fn a_namespace_asks_before_it_is_deleted_and_others_go() {
    let mut before = maps(0..2);
    before.push(declared("v1", "Namespace", None, "shop"));
    let inventory = applied(&before);
    let plan = plan(&manifests(maps(0..1)), &inventory, &kinds(), TERMS);
    assert_eq!(plan.prune, [map_key("m1")]);
    assert_eq!(reasons(&plan), [Reason::Guarded]);
}

#[test]
fn a_deleted_object_that_is_declared_is_applied_anew_and_one_that_is_not_is_forgotten() {
    let mut inventory = applied(&maps(0..3));
    inventory.gone(&map_key("m0"), 9);
    inventory.gone(&map_key("m2"), 9);
    let plan = plan(&manifests(maps(0..2)), &inventory, &kinds(), TERMS);
    assert_eq!(to_apply(&plan), ["ConfigMap shop/m0"]);
    assert_eq!(plan.stages.iter().flatten().next().unwrap().ours, None);
    assert_eq!(plan.forget, [map_key("m2")]);
    assert!(plan.prune.is_empty());
}

#[test]
fn create_only_and_ignored_objects_are_left_to_others() {
    let mut once = map("once");
    once.options.sync = Sync::CreateOnly;
    let mut never = map("never");
    never.options.sync = Sync::Ignore;
    let all = manifests(vec![once.clone(), never]);
    let first = plan(&all, &Inventory::default(), &kinds(), TERMS);
    assert_eq!(to_apply(&first), ["ConfigMap shop/once"]);
    let inventory = applied(&[once.clone(), map("never")]);
    once.digest = Digest([9; 16]);
    let second = plan(&all, &inventory, &kinds(), TERMS);
    assert_eq!((second.to_apply(), second.prune.len()), (0, 0));
}

#[test]
fn what_another_configuration_declares_is_left_to_it() {
    let inventory = applied(&maps(0..4));
    // One names the namespace that the other leaves out.
    let mut named = map("m2");
    named.key.namespace = Some("shop".into());
    let mut ignored = map("m1");
    ignored.options.sync = Sync::Ignore;
    let other = Arc::new(manifests(vec![named, ignored]));
    let terms = Terms {
        others: &[Arc::clone(&other)],
        ..TERMS
    };
    let plan = plan(&manifests(maps(0..1)), &inventory, &kinds(), terms);
    assert_eq!(plan.prune, [map_key("m1"), map_key("m3")]);
    assert!(plan.waits && plan.problems.is_empty(), "{plan:?}");
}

#[test]
fn nothing_is_pruned_before_others_have_read_the_commit() {
    let inventory = applied(&maps(0..4));
    let behind = ["platform".to_owned()];
    let terms = Terms {
        behind: &behind,
        ..TERMS
    };
    let held = plan(&manifests(maps(0..1)), &inventory, &kinds(), terms);
    assert!(held.prune.is_empty() && held.waits);
    assert_eq!(reasons(&held), [Reason::PrunePostponed]);
    assert!(held.problems[0].message.contains("platform"), "{held:?}");
    let same = plan(&manifests(maps(0..4)), &inventory, &kinds(), terms);
    assert!(!same.waits && same.problems.is_empty(), "{same:?}");
}

#[test]
fn a_namespace_that_was_never_applied_is_looked_at_before_it_is_asked_about() {
    let mut inventory = applied(&maps(0..2));
    let namespace = key("", "Namespace", None, "shop");
    inventory.announce([(namespace.clone(), "v1".into())]);
    // As after a restart: whether it was refused is not known any more.
    inventory.failed(&namespace, false);
    let less = manifests(maps(0..1));
    let first = plan(&less, &inventory, &kinds(), TERMS);
    assert_eq!(first.look, [namespace]);
    assert!(
        first.prune.is_empty() && first.problems.is_empty(),
        "{first:?}"
    );
    let looked = Terms {
        looked: true,
        ..TERMS
    };
    let second = plan(&less, &inventory, &kinds(), looked);
    assert_eq!(second.prune, [map_key("m1")]);
    assert_eq!(reasons(&second), [Reason::Guarded]);
}

#[test]
fn what_may_be_gone_is_looked_at_before_a_great_deletion_is_asked_about() {
    let mut inventory = applied(&maps(0..14));
    // As after a death: announced, and never heard of again.
    let old: Vec<ObjectKey> = maps(14..30)
        .iter()
        .map(|one| map_key(&one.key.name))
        .collect();
    inventory.announce(old.iter().map(|key| (key.clone(), "v1".into())));
    for key in &old {
        inventory.failed(key, false);
    }
    let less = manifests(maps(0..13));
    let first = plan(&less, &inventory, &kinds(), TERMS);
    let wanted: HashSet<&ObjectKey> = old.iter().collect();
    assert_eq!(first.look.iter().collect::<HashSet<_>>(), wanted);
    assert!(first.prune.is_empty(), "nothing is deleted before");
    assert!(first.problems.is_empty(), "{first:?}");
    let looked = Terms {
        looked: true,
        ..TERMS
    };
    let there = plan(&less, &inventory, &kinds(), looked);
    assert_eq!(reasons(&there), [Reason::Guarded]);
    for key in &old {
        inventory.remove(key);
    }
    let gone = plan(&less, &inventory, &kinds(), looked);
    assert_eq!(gone.prune, [map_key("m13")]);
    assert!(gone.problems.is_empty(), "{gone:?}");
}

#[test]
fn an_object_that_asks_to_be_left_alone_is_not_applied() {
    let before = maps(0..2);
    let mut inventory = applied(&before);
    let asks = Seen {
        uid: 1,
        version: 2,
        fingerprint: Some(Fingerprint(1)),
        generation: 0,
        opted_out: true,
    };
    inventory.seen(&map_key("m0"), asks, 0);
    let mut after = before.clone();
    after[0].digest = Digest([2; 16]);
    after[1].digest = Digest([2; 16]);
    let plan = plan(&manifests(after), &inventory, &kinds(), TERMS);
    assert_eq!(to_apply(&plan), ["ConfigMap shop/m1"]);
}

#[test]
fn a_namespace_written_on_an_object_of_the_cluster_says_nothing() {
    let mut role = declared(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        None,
        "reader",
    );
    role.key.namespace = Some("shop".into());
    let plan = plan(
        &manifests(vec![role]),
        &Inventory::default(),
        &kinds(),
        TERMS,
    );
    assert_eq!(
        to_apply(&plan),
        ["ClusterRole.rbac.authorization.k8s.io reader"]
    );
}
