//! `operatorParams`.

use std::time::Duration;

use gitmoor_arm::{OperatorParams, normalised_operator_params, with_flags};

fn parsed(text: &str) -> OperatorParams {
    OperatorParams::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn flags_at_fault(text: &str) -> Vec<String> {
    let problems = OperatorParams::parse(text).unwrap_err();
    problems.into_iter().map(|problem| problem.flag).collect()
}

#[test]
fn the_flags_become_values() {
    let params = parsed(
        "--git-readonly --git-branch=main --git-path=prod,base --git-path 'team blue' \
         --git-poll-interval=1m30s --sync-garbage-collection",
    );
    assert_eq!(params.branch.as_deref(), Some("main"));
    assert_eq!(params.paths, ["prod", "base", "team blue"]);
    assert_eq!(params.poll_interval, Some(Duration::from_secs(90)));
    assert!(params.read_only && params.garbage_collection);
    assert!(params.without_effect.is_empty());
}

#[test]
fn without_flags_the_default_branch_is_the_repositorys_and_nothing_is_pruned() {
    assert_eq!(parsed(""), OperatorParams::default());
    assert_eq!(parsed("  \n").branch, None);
    assert!(!parsed("").garbage_collection);
}

#[test]
fn the_last_of_a_repeated_flag_counts() {
    let params = parsed(
        "--git-branch=a --git-branch b --sync-garbage-collection --sync-garbage-collection=false",
    );
    assert_eq!(params.branch.as_deref(), Some("b"));
    assert!(!params.garbage_collection);
}

#[test]
fn go_durations_are_read() {
    for (text, milliseconds) in [
        ("5s", 5_000),
        ("1.5m", 90_000),
        ("5000ms", 5_000),
        ("1h", 3_600_000),
    ] {
        let params = parsed(&format!("--git-poll-interval={text}"));
        assert_eq!(
            params.poll_interval,
            Some(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
    for text in [
        "",
        "5",
        "1x",
        "s",
        "-5s",
        "4s",
        "25h",
        "1e9h",
        "99999999999999999999h",
    ] {
        assert_eq!(
            flags_at_fault(&format!("--git-poll-interval='{text}'")),
            ["--git-poll-interval"],
            "{text}"
        );
    }
}

#[test]
fn harmless_flags_are_taken_and_have_no_effect() {
    let params = parsed(
        "--git-user=bot --git-email bot@example.net --git-label=x --git-ci-skip --registry-disable-scanning \
         --git-timeout=30s --sync-interval=5m --git-gpg-key-import=/keys --git-verify-signatures-mode=none \
         --manifest-generation=false --sops=false",
    );
    assert_eq!(
        params.without_effect,
        [
            "--git-ci-skip",
            "--git-email",
            "--git-gpg-key-import",
            "--git-label",
            "--git-timeout",
            "--git-user",
            "--registry-disable-scanning",
            "--sync-interval"
        ]
    );
}

#[test]
fn all_flags_that_cannot_be_followed_are_named_at_once() {
    let mut flags = flags_at_fault(
        "--git-branch=main --manifest-generation --sops --git-verify-signatures-mode=all --disable-registry-scanning \
         --k8s-allow-namespace=a --git-path=/abs stray -l --git-url=https://x/y",
    );
    flags.sort();
    assert_eq!(
        flags,
        [
            "--disable-registry-scanning",
            "--git-path",
            "--git-url",
            "--git-verify-signatures-mode",
            "--k8s-allow-namespace",
            "--manifest-generation",
            "--sops",
            "-l",
            "stray"
        ]
    );
}

#[test]
fn wrong_values_are_refused() {
    for text in [
        "--git-branch=",
        "--git-branch=-x",
        "--git-branch=a..b",
        "--git-branch=../../x",
        "--git-branch='a b'",
        "--git-branch=a.lock",
        "--git-branch",
        "--git-path=a/../../b",
        "--git-readonly=maybe",
        "--sync-garbage-collection=yes",
        "--git-branch --git-readonly",
        "--git-label='open",
        "--",
    ] {
        assert_eq!(flags_at_fault(text).len(), 1, "{text}");
    }
    let many = vec!["p"; 65].join(",");
    assert_eq!(
        flags_at_fault(&format!("--git-path={many}")),
        ["--git-path"]
    );
}

#[test]
fn params_are_kept_as_arm_keeps_them() {
    for (given, kept) in [
        ("", "--git-readonly"),
        (" --git-branch=main ", "--git-readonly --git-branch=main"),
        (
            "--git-branch=main --git-readonly",
            "--git-branch=main --git-readonly",
        ),
        ("--git-user=bot", "--git-user=bot"),
        (
            "--git-email bot@example.net ",
            "--git-email bot@example.net",
        ),
    ] {
        assert_eq!(normalised_operator_params(given), kept);
        assert_eq!(normalised_operator_params(kept), kept, "stable");
    }
}

#[test]
fn a_configuration_is_suspended_and_its_sync_requested_by_flags_of_our_own() {
    let params = parsed("--gitmoor-suspend --gitmoor-requested-at=2026-11-23T05:00:00Z");
    assert!(params.suspend);
    assert_eq!(params.requested_at.as_deref(), Some("2026-11-23T05:00:00Z"));
    assert!(!parsed("--gitmoor-suspend=false").suspend);
    for value in ["", "now; rm", &"1".repeat(65)] {
        let text = format!("--gitmoor-requested-at='{value}'");
        assert_eq!(flags_at_fault(&text), ["--gitmoor-requested-at"], "{value}");
    }
}

#[test]
fn deletions_are_confirmed_for_one_commit() {
    let params = parsed("--gitmoor-confirm-prune=8e1f0c7");
    assert_eq!(params.confirm_prune.as_deref(), Some("8e1f0c7"));
    for value in ["", "8e1f0c", "HEAD~12", "8E1F0C7", &"1".repeat(41)] {
        let text = format!("--gitmoor-confirm-prune='{value}'");
        assert_eq!(
            flags_at_fault(&text),
            ["--gitmoor-confirm-prune"],
            "{value}"
        );
    }
}

#[test]
fn flags_are_changed_and_the_others_kept() {
    let suspended = Some("");
    let table = [
        ("", "--gitmoor-suspend"),
        ("--gitmoor-suspend=false", "--gitmoor-suspend"),
        (
            "--git-path 'team blue' --gitmoor-suspend --git-user x",
            "--git-path 'team blue' --git-user x --gitmoor-suspend",
        ),
        ("an 'open quote", "an 'open quote"),
    ];
    for (text, wanted) in table {
        assert_eq!(with_flags(text, &[("gitmoor-suspend", suspended)]), wanted);
    }
    let text = "--git-branch main --git-poll-interval=1m --git-branch=other";
    let changed = with_flags(
        text,
        &[("git-branch", Some("a b")), ("git-poll-interval", None)],
    );
    assert_eq!(changed, "'--git-branch=a b'");
}

#[test]
fn dependencies_and_the_timeout_are_read() {
    let params = parsed("--gitmoor-depends-on=infra,base --gitmoor-timeout=10m");
    assert_eq!(params.depends_on, ["infra", "base"]);
    assert_eq!(params.timeout, Some(Duration::from_mins(10)));
    let many = vec!["x"; 17].join(",");
    for text in [
        "--gitmoor-depends-on=Infra".to_owned(),
        format!("--gitmoor-depends-on={many}"),
        "--gitmoor-timeout=10".to_owned(),
        "--gitmoor-timeout=25h".to_owned(),
    ] {
        assert_eq!(flags_at_fault(&text).len(), 1, "{text}");
    }
}
