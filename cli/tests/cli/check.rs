//! `gitmoor check`: what an operator would make of a folder.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{gitmoor, outcome};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn check(path: &Path) -> (i32, String, String) {
    outcome(&mut gitmoor(&["check", path.to_str().unwrap()]))
}

fn json_of(path: &Path) -> (i32, Value) {
    let (code, text, log) = outcome(&mut gitmoor(&[
        "check",
        path.to_str().unwrap(),
        "-o",
        "json",
    ]));
    assert_eq!(log, "");
    (code, serde_json::from_str(&text).unwrap())
}

/// Path and line of everything in a list.
fn places(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| format!("{}:{}", one["path"].as_str().unwrap(), one["line"]))
        .collect()
}

#[test]
fn objects_come_with_their_place_as_they_would_be_sent() {
    let two = "# two\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, creationTimestamp: null}\ndata: {mode: 0644, on: yes}\n";
    let folder = folder(&[("apps/two.yaml", two), ("README.md", "# text")]);
    let (code, found) = json_of(folder.path());
    assert_eq!(code, 0);
    assert_eq!(
        found,
        json!({
            "objects": [
                {"path": "apps/two.yaml", "line": 2, "object": {
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                    "data": {"a": "Yg=="},
                }},
                {"path": "apps/two.yaml", "line": 7, "object": {
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
                    "data": {"mode": 420, "true": true},
                }},
            ],
            "problems": [],
            "remarks": [],
        })
    );
    assert_eq!(
        check(folder.path()),
        (
            0,
            "2 objects in 1 file, 0 problems, 0 remarks\n".to_owned(),
            String::new()
        )
    );
}

#[test]
fn problems_are_told_by_file_and_line_with_status_1() {
    let folder = folder(&[
        ("bad.yaml", "a: [\n"),
        ("fine.yaml", &map("fine")),
        ("notes.yaml", "\n\njust: notes\n"),
    ]);
    let (code, text, log) = check(folder.path());
    assert_eq!((code, log.as_str()), (1, ""));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("bad.yaml:1: InvalidYaml: "), "{text}");
    assert!(
        lines[1].starts_with("notes.yaml:3: remark: NoKind: "),
        "{text}"
    );
    assert_eq!(lines[2], "1 object in 1 file, 1 problem, 1 remark");
    let (_, found) = json_of(folder.path());
    assert_eq!(places(&found["problems"]), ["bad.yaml:1"]);
    assert_eq!(found["problems"][0]["reason"], "InvalidYaml");
    assert!(found["problems"][0]["message"].is_string());
}

#[test]
fn remarks_alone_are_no_failure() {
    let twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: one\n  a: two\n";
    let (code, found) = json_of(folder(&[("a.yaml", twice)]).path());
    assert_eq!(code, 0);
    assert_eq!(found["problems"], json!([]));
    assert_eq!(places(&found["remarks"]), ["a.yaml:6"]);
    assert_eq!(found["remarks"][0]["reason"], "DuplicateKey");
    assert_eq!(found["objects"][0]["object"]["data"], json!({"a": "two"}));
}

#[test]
fn an_object_that_is_declared_twice_is_a_problem_that_names_both_places() {
    let again = format!("{}---\n{}", map("one"), map("other"));
    let elsewhere = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: b}\n";
    let folder = folder(&[
        ("a.yaml", &map("one")),
        ("b.yaml", &again),
        ("c.yaml", elsewhere),
    ]);
    let (code, found) = json_of(folder.path());
    assert_eq!(code, 1);
    assert_eq!(places(&found["problems"]), ["b.yaml:1"]);
    assert_eq!(found["problems"][0]["reason"], "DuplicateObject");
    let message = found["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("a.yaml:1"), "{message}");
    assert_eq!(places(&found["objects"]), ["b.yaml:5", "c.yaml:1"]);
}

#[test]
fn an_object_that_is_to_be_ignored_would_not_be_sent() {
    let ignored = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {gitmoor.io/sync: ignore}}\n";
    let (code, found) = json_of(folder(&[("a.yaml", ignored)]).path());
    assert_eq!((code, &found["objects"]), (0, &json!([])));
}

#[test]
fn a_single_file_is_read_whatever_its_name_ends_in() {
    let again = format!("{}---\n{}", map("one"), map("one"));
    let folder = folder(&[("one.txt", &again), ("other.yaml", "a: [")]);
    let (code, found) = json_of(&folder.path().join("one.txt"));
    assert_eq!(code, 1);
    assert_eq!(places(&found["problems"]), ["one.txt:5"]);
    let message = found["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains(" one.txt:1 "), "{message}");
    fs::write(folder.path().join(".hidden"), map("one")).unwrap();
    let (code, found) = json_of(&folder.path().join(".hidden"));
    assert_eq!(
        (code, places(&found["objects"])),
        (0, vec![".hidden:1".to_owned()])
    );
}

#[test]
fn links_are_read_as_git_holds_them_and_never_lead_outside() {
    let outside = folder(&[("secret.yaml", &map("secret"))]);
    let folder = folder(&[
        ("real/a.yaml", &map("a")),
        (".git/config.yaml", &map("git")),
    ]);
    let at = |name: &str| folder.path().join(name);
    symlink("real/a.yaml", at("inside.yaml")).unwrap();
    symlink(outside.path(), at("outside")).unwrap();
    symlink("../../../../etc/hostname", at("up.yaml")).unwrap();
    symlink(".git/config.yaml", at("git.yaml")).unwrap();
    symlink(at("real"), outside.path().join("link-to-folder")).unwrap();
    let (code, found) = json_of(folder.path());
    assert_eq!(code, 1);
    assert_eq!(places(&found["objects"]), ["inside.yaml:1"]);
    assert_eq!(
        places(&found["problems"]),
        ["git.yaml:null", "outside:null", "up.yaml:null"]
    );
    let reasons = found["problems"].as_array().unwrap().iter();
    assert!(reasons.clone().all(|one| one["reason"] == "BadLink"));
    let (code, found) = json_of(&outside.path().join("link-to-folder"));
    assert_eq!(
        (code, places(&found["objects"])),
        (0, vec!["a.yaml:1".to_owned()])
    );
}

#[test]
fn a_repository_within_the_folder_is_a_submodule() {
    let folder = folder(&[("lib/.git", "gitdir: x"), ("lib/a.yaml", &map("a"))]);
    let (code, found) = json_of(folder.path());
    assert_eq!(
        (code, places(&found["problems"])),
        (1, vec!["lib:null".to_owned()])
    );
    assert_eq!(found["objects"], json!([]));
}

#[test]
fn a_file_past_the_limit_is_a_problem() {
    let folder = folder(&[("great.yaml", &"#".repeat((16 << 20) + 1))]);
    let (code, found) = json_of(folder.path());
    assert_eq!(
        (code, &found["problems"][0]["reason"]),
        (1, &json!("TooLarge"))
    );
}

#[test]
fn what_cannot_be_read_has_status_2() {
    let folder = folder(&[("closed/a.yaml", &map("a"))]);
    let absent = folder.path().join("absent");
    let (code, text, error) = check(&absent);
    assert_eq!((code, text.as_str()), (2, ""));
    let absent = absent.display();
    assert!(
        error.starts_with(&format!("error: read {absent}\n  caused by: ")),
        "{error}"
    );
    let closed = folder.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    // Root may read everything, and then there is nothing to see.
    if fs::read_dir(&closed).is_err() {
        assert_eq!(check(folder.path()).0, 2);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn names_of_files_do_not_steer_the_terminal() {
    let folder = folder(&[("a\u{1b}[31m.yaml", "a: [\n")]);
    let (_, text, _) = check(folder.path());
    assert!(text.starts_with("a\\u{1b}[31m.yaml:"), "{text}");
}

#[test]
fn a_git_repository_is_read_without_a_remark_about_git() {
    let folder = folder(&[("a.yaml", &map("a"))]);
    let init = Command::new("git")
        .arg("init")
        .arg("-q")
        .arg(folder.path())
        .status();
    assert!(init.unwrap().success());
    let (code, text, _) = check(folder.path());
    assert_eq!(
        (code, text.as_str()),
        (0, "1 object in 1 file, 0 problems, 0 remarks\n")
    );
}
