//! `gitmoor health`: how the objects of a file fare.

use std::{
    fs::{self, File},
    process::Stdio,
};

use serde_json::{Value, json};

use super::program::{gitmoor, outcome};

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: shop, generation: 4}
spec: {replicas: 3, progressDeadlineSeconds: 600}
status: {observedGeneration: 4, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2}
";
const ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
";

/// What the command makes of a text, as a file and, which must be the same, as its standard input.
fn health(text: &str, more: &[&str]) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("objects");
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let (code, output, error) = outcome(gitmoor(&["health", "-f", path]).args(more));
    let piped = gitmoor(&["health", "-f", "-"])
        .args(more)
        .stdin(Stdio::from(File::open(&file).unwrap()))
        .output()
        .unwrap();
    assert_eq!(piped.status.code(), Some(code));
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), output);
    let error = error.replace(path, "-");
    assert_eq!(String::from_utf8(piped.stderr).unwrap(), error);
    (code, output, error)
}

fn json_of(text: &str) -> Value {
    let (code, output, error) = health(text, &["-o", "json"]);
    assert_eq!((code, error.as_str()), (0, ""));
    serde_json::from_str(&output).unwrap()
}

#[test]
fn documents_and_lists_in_yaml_and_json_are_judged_alike_with_their_status() {
    let expected = json!([
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "front",
            "status": "InProgress", "message": "2 of 3 replicas are available",
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "namespace": "",
            "name": "reader", "status": "Current", "message": "it exists and has no status",
        },
    ]);
    assert_eq!(
        json_of(&format!("{DEPLOYMENT}---\n{ROLE}---\n# nothing\n")),
        expected
    );
    let item = |text: &str| format!("- {}\n", text.trim_end().replace('\n', "\n  "));
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{}",
        item(DEPLOYMENT),
        item(ROLE)
    );
    assert_eq!(json_of(&list), expected);
    let list = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [
            {
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "front", "namespace": "shop"},
                "spec": {"replicas": 3},
                "status": {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2},
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": "reader"},
            },
        ],
    });
    assert_eq!(json_of(&list.to_string()), expected);
    assert_eq!(json_of(DEPLOYMENT), json!([expected[0]]));
}

#[test]
fn the_keys_come_in_the_order_in_which_they_are_told() {
    let (_, output, _) = health(ROLE, &["-o", "json"]);
    let at = [
        "apiVersion",
        "kind",
        "namespace",
        "name",
        "status",
        "message",
    ]
    .map(|key| output.find(&format!("\"{key}\":")).unwrap());
    assert!(at.is_sorted(), "{output}");
}

#[test]
fn a_person_gets_a_table() {
    let (code, output, error) = health(&format!("{DEPLOYMENT}---\n{ROLE}"), &[]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(
        output,
        "\
STATUS      OBJECT                                        WHY
InProgress  Deployment.apps shop/front                    2 of 3 replicas are available
Current     ClusterRole.rbac.authorization.k8s.io reader  it exists and has no status
"
    );
}

#[test]
fn objects_cannot_steer_the_terminal_or_fake_a_row() {
    let yaml = "apiVersion: v1\nkind: Stall\nmetadata: {name: \"\\e[31m\"}\nstatus: {conditions: [{type: Ready, status: 'False', message: \"no\\nCurrent  all\"}]}\n";
    let (_, output, _) = health(yaml, &[]);
    assert_eq!(output.lines().count(), 2, "{output}");
    assert!(output.contains("\\u{1b}[31m"), "{output}");
    assert!(output.ends_with("  no Current  all\n"), "{output}");
}

#[test]
fn nothing_to_judge_is_no_failure() {
    for text in ["", "# nothing\n", "{apiVersion: v1, kind: List, items: []}"] {
        assert_eq!(json_of(text), json!([]), "{text}");
    }
    assert_eq!(
        health("", &[]),
        (0, "no objects\n".to_owned(), String::new())
    );
}

#[test]
fn what_is_no_object_is_unknown() {
    let found = json_of("hello\n---\n{kind: Pod, metadata: [1]}\n");
    let empty = json!({
        "apiVersion": "", "kind": "", "namespace": "", "name": "", "status": "Unknown",
        "message": "it cannot be judged: the document is not an object",
    });
    assert_eq!(found[0], empty);
    assert_eq!(
        (&found[1]["kind"], &found[1]["status"]),
        (&json!("Pod"), &json!("Unknown"))
    );
    assert!(
        health("hello", &[])
            .1
            .contains("Unknown  (no object)  it cannot")
    );
}

#[test]
fn a_document_that_cannot_be_read_is_told_and_the_others_are_judged() {
    let (code, output, error) = health(
        &format!("{ROLE}---\na: [\n---\n{DEPLOYMENT}"),
        &["-o", "json"],
    );
    let found: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, found.as_array().unwrap().len()), (2, 2), "{error}");
    assert!(
        error.starts_with("-:") && error.contains(": InvalidYaml: "),
        "{error}"
    );
    // A remark is no problem.
    let (code, output, error) = health("kind: A\nkind: B\napiVersion: v1\n", &[]);
    assert_eq!(code, 0);
    assert!(output.contains("Current  B "), "{output}");
    assert!(error.starts_with("-:2: remark: DuplicateKey: "), "{error}");
}

#[test]
fn a_file_that_is_not_there_and_a_call_without_one_have_status_2() {
    let (code, output, error) = outcome(&mut gitmoor(&["health", "-f", "/absent.yaml"]));
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(
        error.starts_with("error: read /absent.yaml\n  caused by: "),
        "{error}"
    );
    let (code, _, error) = outcome(&mut gitmoor(&["health"]));
    assert_eq!(code, 2);
    assert!(error.contains("--filename <FILE>"), "{error}");
}
