//! Which specs the API server takes. Everything is a dry run, so that the cases are independent.

use std::process::Command;

use serde_json::{Value, json};

use super::{cluster, kubectl, printed};

fn configuration(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "gitmoor.io/v1alpha1",
        "kind": "SourceControlConfiguration",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    })
}

/// What the API server makes of an object, or why it refuses it.
async fn create(object: &Value) -> Result<Value, String> {
    let arguments = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    let output = kubectl(cluster().await, &arguments, &object.to_string()).await;
    printed(&output).map(|json| serde_json::from_str(&json).unwrap())
}

/// A spec with a repository, and this field besides.
fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({"repository": "https://example.org/team/repository"});
    spec[field] = value;
    spec
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let created = create(&configuration("a", &with("reference", Value::Null)))
        .await
        .unwrap();
    assert_eq!(
        created["spec"],
        json!({
            "repository": "https://example.org/team/repository",
            "reference": {},
            "paths": ["."],
            "interval": "1m",
            "timeout": "5m",
            "scope": "namespace",
            "prune": true,
            "heal": "enforce",
            "pruneOnDelete": false,
            "adopt": false,
            "suspend": false,
        })
    );
}

#[tokio::test]
async fn good_specs_are_accepted() {
    let long = format!("https://example.org/{}", "a".repeat(2048 - 20));
    let paths: Vec<String> = (0..64)
        .map(|n| format!("{n}/{}", "a".repeat(1000)))
        .collect();
    let specs = [
        with("repository", json!("https://example.org/a")),
        with("repository", json!("https://example.org:8443/a/b.git")),
        with("repository", json!("https://[::1]:8443/a")),
        with("repository", json!("http://example.org/a@b")),
        with("repository", json!("ssh://git@example.org/~team/a.git")),
        with("repository", json!("ssh://example.org:2222/a")),
        with("repository", json!("git@example.org:a/b.git")),
        with("repository", json!("git@ssh.dev.azure.com:v3/o/p/r")),
        with("repository", json!(long)),
        with("paths", json!(["."])),
        with(
            "paths",
            json!(["a/b", "a..b/..c", "deploy/app.yaml", "ä ö"]),
        ),
        with("paths", json!(paths)),
        with("interval", json!("5s")),
        with("interval", json!("24h")),
        with("interval", json!("1h30m")),
        with("interval", json!("90000ms")),
        with(
            "credentials",
            json!({"secretName": "git.example.org-token"}),
        ),
        with("scope", json!("cluster")),
        with("prune", json!(false)),
        with("heal", json!("detect")),
        with("heal", json!("off")),
        with("pruneOnDelete", json!(true)),
        with("suspend", json!(true)),
    ];
    for spec in specs {
        let created = create(&configuration("a", &spec)).await;
        assert!(created.is_ok(), "{spec}: {}", created.unwrap_err());
    }
    let name = "a".repeat(63);
    create(&configuration(&name, &with("prune", json!(true))))
        .await
        .unwrap();
}

#[tokio::test]
async fn bad_specs_are_refused_and_the_message_names_the_field() {
    let address =
        "write an address such as https://host/path, ssh://git@host/path or git@host:path";
    let secret = "no user name or password here: name a Secret in credentials";
    let path = "a path starts at the root of the repository and stays in it";
    let interval = "the interval is at least 5s and at most 24h";
    let too_many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let table = [
        (
            with("repository", Value::Null),
            "spec.repository",
            "Required value",
        ),
        (
            with("repository", json!("")),
            "spec.repository",
            "at least 1 chars",
        ),
        (
            with("repository", json!("a".repeat(2049))),
            "spec.repository",
            "Too long",
        ),
        (
            with("repository", json!("https://user:password@example.org/a")),
            "spec.repository",
            secret,
        ),
        (
            with("repository", json!("https://token@example.org/a")),
            "spec.repository",
            secret,
        ),
        (
            with("repository", json!("https://a:b@c@example.org/a")),
            "spec.repository",
            secret,
        ),
        (
            with("repository", json!("http://token@example.org/a")),
            "spec.repository",
            secret,
        ),
        (
            with("repository", json!("ssh://git:password@example.org/a")),
            "spec.repository",
            secret,
        ),
        (
            with("repository", json!("https://example.org/a?token=b")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("https://example.org/a#b")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("file:///etc")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("ftp://example.org/a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("/srv/git/a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("git@example.org:-a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("-a@example.org:a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("git@-oProxyCommand=a:b")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("example.org:a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("https://example.org")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("https:///a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("https://example.org/a b")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("https://example.org/a\nb")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("https://example.org\\@other.org/a")),
            "spec.repository",
            address,
        ),
        (
            with("repository", json!("ssh://-oProxyCommand=a/b")),
            "spec.repository",
            address,
        ),
        (with("paths", json!([])), "spec.paths", "at least 1 items"),
        (
            with("paths", json!([""])),
            "spec.paths[0]",
            "at least 1 chars",
        ),
        (with("paths", json!(["/etc"])), "spec.paths", path),
        (with("paths", json!([".."])), "spec.paths", path),
        (
            with("paths", json!([".", " a/../../b"])),
            "spec.paths",
            path,
        ),
        (with("paths", json!(["a/.."])), "spec.paths", path),
        (
            with("paths", json!(too_many)),
            "spec.paths",
            "at most 64 items",
        ),
        (
            with("paths", json!(["a".repeat(1025)])),
            "spec.paths[0]",
            "Too long",
        ),
        (with("interval", json!("1s")), "spec.interval", interval),
        (with("interval", json!("4999ms")), "spec.interval", interval),
        (with("interval", json!("25h")), "spec.interval", interval),
        (with("interval", json!("24h1ms")), "spec.interval", interval),
        (
            with("interval", json!("999999999h")),
            "spec.interval",
            interval,
        ),
        (
            with("interval", json!("99999h99999h99999h99999h99999h")),
            "spec.interval",
            interval,
        ),
        (
            with("interval", json!("foo")),
            "spec.interval",
            "in body should match",
        ),
        (
            with("interval", json!("")),
            "spec.interval",
            "in body should match",
        ),
        (
            with("interval", json!("-1m")),
            "spec.interval",
            "in body should match",
        ),
        (
            with("interval", json!("1.5h")),
            "spec.interval",
            "in body should match",
        ),
        (
            with("interval", json!("9223372036854775808ns")),
            "spec.interval",
            "in body should match",
        ),
        (
            with("interval", json!(60)),
            "spec.interval",
            "must be of type string",
        ),
        (
            with("reference", json!({"branch": ""})),
            "spec.reference.branch",
            "at least 1 chars",
        ),
        (
            with("reference", json!({"branch": "a".repeat(256)})),
            "spec.reference.branch",
            "Too long",
        ),
        (
            with("reference", json!({"tag": "a"})),
            "spec.reference.tag",
            "unknown field",
        ),
        (
            with("credentials", json!({})),
            "spec.credentials.secretName",
            "Required value",
        ),
        (
            with("credentials", json!({"secretName": "../a"})),
            "spec.credentials.secretName",
            "should match",
        ),
        (
            with("credentials", json!({"secretName": "A"})),
            "spec.credentials.secretName",
            "should match",
        ),
        (
            with("credentials", json!({"secretName": "a", "password": "b"})),
            "spec.credentials.password",
            "unknown field",
        ),
        (
            with("scope", json!("all")),
            "spec.scope",
            "supported values: \"namespace\", \"cluster\"",
        ),
        (
            with("prune", json!("yes")),
            "spec.prune",
            "must be of type boolean",
        ),
        (
            with("syncGarbageCollection", json!(true)),
            "spec.syncGarbageCollection",
            "unknown field",
        ),
    ];
    for (spec, field, problem) in table {
        let refusal = create(&configuration("a", &spec))
            .await
            .expect_err(&spec.to_string());
        assert!(refusal.contains(field), "{spec}: {refusal}");
        assert!(refusal.contains(problem), "{spec}: {refusal}");
    }
}

#[tokio::test]
async fn a_name_is_short_enough_for_a_label() {
    let object = configuration(&"a".repeat(64), &with("prune", json!(true)));
    let refusal = create(&object).await.unwrap_err();
    assert!(
        refusal.contains("the name may have at most 63 characters"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_branch_is_what_git_takes_for_one() {
    let names = [
        "main",
        "release/1.2",
        "a",
        "feature/ä-ö",
        "a.b",
        "a@b",
        "a{b}",
        "a/b.locked",
        "refs/heads/a",
        "1",
        "-a",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.",
        "a/b.",
        "a./b",
        "a..b",
        "a.lock",
        "a.lock/b",
        "@",
        "@/a",
        "a@{1}",
        "@{-1}",
        "a b",
        "a\tb",
        "a\u{1}b",
        "a\u{7f}b",
        "a~b",
        "a^b",
        "a:b",
        "a?b",
        "a*b",
        "a[b",
        "a]b",
        "a\\b",
        "HEAD",
    ];
    let mut taken = 0;
    for name in names {
        // Not in a working copy, where `@{-1}` is a branch.
        let mut git = Command::new("git");
        git.args(["check-ref-format", "--branch", name])
            .current_dir("/");
        let good = git.output().unwrap().status.success();
        let created = create(&configuration(
            "a",
            &with("reference", json!({"branch": name})),
        ))
        .await;
        assert_eq!(created.is_ok(), good, "{name:?}: {created:?}");
        match created {
            Ok(_) => taken += 1,
            Err(refusal) => {
                assert!(refusal.contains("spec.reference.branch"), "{refusal}");
                assert!(
                    refusal.contains("this is no name of a Git branch"),
                    "{refusal}"
                );
            }
        }
    }
    assert!(taken > 10 && taken < names.len() - 10);
}

#[tokio::test]
async fn the_scope_stays_what_it_was() {
    let cluster = cluster().await;
    let apply = async |spec: &Value| {
        let object = configuration("scope-stays", spec).to_string();
        printed(&kubectl(cluster, &["apply", "-f", "-"], &object).await)
    };
    apply(&with("scope", json!("cluster"))).await.unwrap();
    apply(&with("interval", json!("10s")))
        .await
        .expect_err("the default is another scope");
    let refusal = apply(&with("scope", json!("namespace"))).await.unwrap_err();
    assert!(refusal.contains("spec.scope"), "{refusal}");
    assert!(refusal.contains("the scope cannot be changed"), "{refusal}");
    let mut other = with("scope", json!("cluster"));
    other["interval"] = json!("10s");
    apply(&other).await.unwrap();
}
