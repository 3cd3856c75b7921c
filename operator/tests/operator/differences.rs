//! What differs between a live object and what was declared, field by field.

use gitmoor_operator::differences::{differences, listed};
use serde_json::{Value, json};

const OURS: &str = "gitmoor:shop:shop";

fn entry(manager: &str, operation: &str, fields: impl Into<Value>) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "v1",
           "fieldsType": "FieldsV1", "fieldsV1": fields.into()})
}

/// An object with these fields, and what is known of who owns them.
fn object(mut fields: Value, entries: impl Into<Value>) -> Value {
    fields["metadata"] = json!({"name": "a", "managedFields": entries.into()});
    fields
}

fn found(live: &Value, wanted: &Value) -> Vec<String> {
    let found = differences(live, wanted, OURS, false);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_changed_and_a_missing_field_are_named_with_both_values_and_the_other_manager() {
    let fields = json!({"f:data": {".": {}, "f:colour": {}, "f:size": {}, "f:shape": {}}});
    let wanted = object(
        json!({"data": {"colour": "blue", "size": "7", "shape": "round", "foreign": "x"}}),
        json!([entry(OURS, "Apply", fields)]),
    );
    let live = object(
        json!({"data": {"colour": "red", "shape": "round", "foreign": "y"}}),
        json!([
            entry(OURS, "Apply", json!({"f:data": {"f:shape": {}}})),
            entry(
                "kubectl-edit",
                "Update",
                json!({"f:data": {"f:colour": {}, "f:foreign": {}}})
            ),
        ]),
    );
    assert_eq!(
        found(&live, &wanted),
        [
            r#".data.colour is "red", and should be "blue" (kubectl-edit)"#,
            r#".data.size is missing, and should be "7""#,
        ]
    );
}

#[test]
fn items_of_a_list_are_found_by_their_keys_and_not_by_their_places() {
    let image = json!({".": {}, "f:name": {}, "f:image": {}, "f:args": {}});
    let ports =
        json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}});
    let mut front = image.clone();
    front["f:ports"] = ports;
    let fields = json!({"f:spec": {"f:containers": {
        "k:{\"name\":\"front\"}": front,
        "k:{\"name\":\"back\"}": image,
    }}});
    let wanted = object(
        json!({"spec": {"containers": [
            {"name": "front", "image": "f:1", "args": ["a", "b"], "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"name": "back", "image": "b:1", "args": []},
        ]}}),
        json!([entry(OURS, "Apply", fields)]),
    );
    let live = object(
        json!({"spec": {"containers": [
            {"name": "foreign", "image": "x"},
            {"name": "front", "image": "f:2", "args": ["b"], "ports": [{"containerPort": 80, "protocol": "UDP"}]},
        ]}}),
        json!([entry(
            "helm",
            "Update",
            json!({"f:spec": {"f:containers": {
                "k:{\"name\":\"front\"}": {"f:image": {}, "f:args": {}},
            }}})
        )]),
    );
    assert_eq!(
        found(&live, &wanted),
        [
            r#".spec.containers[name="back"] is missing, and should be {"args":[],"image":"b:1","name":"back"}"#,
            r#".spec.containers[name="front"].args is ["b"], and should be ["a","b"] (helm)"#,
            r#".spec.containers[name="front"].image is "f:2", and should be "f:1" (helm)"#,
            r#".spec.containers[name="front"].ports[containerPort=80,protocol="TCP"] is missing, and should be {"containerPort":80,"protocol":"TCP"}"#,
        ]
    );
}

#[test]
fn an_item_of_a_set_is_missing_or_there() {
    let fields =
        json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"a/b\"": {}, "v:\"c/d\"": {}}}});
    let mut wanted = object(json!({}), json!([entry(OURS, "Apply", fields)]));
    wanted["metadata"]["finalizers"] = json!(["a/b", "c/d"]);
    let mut live = object(json!({}), json!([]));
    live["metadata"]["finalizers"] = json!(["c/d", "e/f"]);
    assert_eq!(
        found(&live, &wanted),
        [r#".metadata.finalizers[="a/b"] is missing, and should be "a/b""#]
    );
}

#[test]
fn values_of_a_secret_are_not_shown() {
    let fields = json!({"f:data": {"f:password": {}, "f:token": {}}});
    let wanted = object(
        json!({"data": {"password": "aHVudGVyMg==", "token": "dG9rZW4="}}),
        json!([entry(OURS, "Apply", fields)]),
    );
    let live = object(json!({"data": {"password": "b3RoZXI="}}), json!([]));
    let found = differences(&live, &wanted, OURS, true);
    assert_eq!(
        listed(&found),
        ".data.password differs; .data.token is missing"
    );
    assert!(
        found
            .iter()
            .all(|one| one.wanted.is_none() && one.live.is_none())
    );
}

#[test]
fn what_is_shown_is_bounded_and_in_one_line() {
    let names: Vec<String> = (10..60)
        .map(|n| format!("{n}{}", "k".repeat(300)))
        .collect();
    let fields: serde_json::Map<_, _> = names
        .iter()
        .map(|name| (format!("f:{name}"), json!({})))
        .collect();
    let data: serde_json::Map<_, _> = names
        .iter()
        .map(|name| (name.clone(), json!("line\n".repeat(1000))))
        .collect();
    let wanted = object(
        json!({"data": data}),
        json!([entry(OURS, "Apply", json!({"f:data": fields}))]),
    );
    let live = object(json!({"data": {"other": "x"}}), json!([]));
    let text = listed(&differences(&live, &wanted, OURS, false));
    assert!(text.len() < 4096, "{}", text.len());
    assert!(!text.contains('\n'));
    assert!(text.ends_with("and 42 fields more"), "{text}");
}
