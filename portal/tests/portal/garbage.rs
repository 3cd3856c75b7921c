//! Bodies that are none: whatever is sent, the caller is told that it is wrong, and the portal goes on.

use gitmoor_portal::identity::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{
    CLUSTER, SUBSCRIPTION, Server, body, client, data_plane, versioned, versioned_list,
};

const URL: &str = "https://git.example.net/blue/deploy.git";

/// No object of any use.
fn garbage() -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str| open.repeat(20_000) + &close.repeat(20_000);
    let texts = [
        "",
        " ",
        "{",
        "}",
        "[]",
        "[[]]",
        "{}",
        "null",
        "true",
        "\"text\"",
        "7",
        "-0.0",
        "1e400",
        "1e-400",
        "99999999999999999999999999999999",
        "{\"\":{}}",
        "{} {}",
        "{\"a\":1,}",
        "\u{feff}{}",
        "NaN",
    ];
    let mut all: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).to_vec();
    all.push(deep("[", "]").into_bytes());
    all.push(deep("{\"a\":", "}").into_bytes());
    all.push(vec![0; 1000]);
    all.push(b"\"\xff\xfe\"".to_vec());
    all.push(b"%00%ff=%zz&&=&=&grant_type".to_vec());
    all
}

#[tokio::test]
async fn no_status_is_taken_that_is_none() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let created = alice.put(&versioned(CLUSTER, "blue"), body(URL)).await;
    let path = format!("{}/blue/status", data_plane(CLUSTER));
    for garbage in garbage() {
        let answer = agent.put(&path, garbage.clone()).await;
        let sent = String::from_utf8_lossy(&garbage);
        assert!(answer.status.is_client_error(), "{sent}: {answer:?}");
    }
    let with = |field: &str, value: Value| {
        let mut report = json!({"observedEtag": created.body["etag"]});
        report[field] = value;
        report
    };
    let commit = |at: &str| json!({"author": "a", "title": "t", "authoredAt": at});
    let reports = [
        with("lastConfigApplied", json!("9999-12-31T23:59:59-01:00")),
        with("lastConfigApplied", json!("0001-01-01T00:00:00+01:00")),
        with("lastConfigApplied", json!("-9999-01-01T00:00:00Z")),
        with("lastConfigApplied", json!("")),
        with("lastConfigApplied", json!(7)),
        with("appliedCommit", commit("9999-12-31T23:59:59-23:59")),
        with("appliedCommit", commit("now")),
        with("appliedCommit", json!({})),
        with("objects", json!({"total": -1})),
        with("objects", json!({"total": 4_294_967_296_u64})),
        with("objects", json!({"total": 1.5})),
        with("problemsOmitted", json!(1e300)),
        with("problems", json!([{"line": -7}])),
        with("problems", json!([7])),
        with("problems", json!("none")),
        with("inventory", json!([[[]]])),
        with("complianceState", json!([])),
        with("observedEtag", json!(7)),
        with("message", Value::Null),
    ];
    for report in reports {
        let answer = agent.put(&path, report.clone()).await;
        let error = answer.error();
        assert_eq!(error, (400, "InvalidRequestContent"), "{report}");
    }
    let shown = alice.get(&versioned(CLUSTER, "blue")).await.body;
    let status = &shown["properties"]["complianceStatus"];
    assert_eq!(status["complianceState"], "Pending");
}

#[tokio::test]
async fn neither_a_token_nor_a_credential_is_given_for_garbage() {
    let server = Server::start().await;
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    for path in ["/adfs/oauth2/token", "/dataplane/v1/enrolments"] {
        let url = format!("{}{path}", server.url);
        for garbage in garbage() {
            let sent = String::from_utf8_lossy(&garbage).into_owned();
            let answer = client.post(&url).body(garbage).send().await.unwrap();
            let status = answer.status();
            assert!(status.is_client_error(), "{path} {sent}: {status}");
        }
    }
    let enrolments = [
        json!({"token": "x"}),
        json!({"token": "x", "sealingKey": ""}),
        json!({"token": [], "sealingKey": {}}),
        json!({"token": "x", "sealingKey": "AAAA"}),
        json!(["x", "y"]),
    ];
    for enrolment in enrolments {
        let url = format!("{}/dataplane/v1/enrolments", server.url);
        let answer = client.post(&url).json(&enrolment).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{enrolment}");
    }
}

#[tokio::test]
async fn nothing_is_written_by_garbage() {
    let server = Server::start().await;
    let alice = server.principal(SUBSCRIPTION, Role::Owner).await;
    let group = CLUSTER.split("/providers").next().unwrap();
    let configuration = format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration");
    let paths = [
        (Method::PUT, versioned(CLUSTER, "blue")),
        (
            Method::PUT,
            format!("{configuration}/fluxConfigurations/blue?api-version=2025-04-01"),
        ),
        (Method::PUT, format!("{CLUSTER}?api-version=2024-01-01")),
        (Method::PUT, format!("{group}x?api-version=2021-04-01")),
    ];
    for (method, path) in paths {
        for garbage in garbage() {
            let sent = String::from_utf8_lossy(&garbage).into_owned();
            let answer = alice.send(method.clone(), &path, garbage).await;
            assert!(answer.status.is_client_error(), "{path} {sent}");
        }
    }
    let listed = alice.get(&versioned_list(CLUSTER)).await;
    assert_eq!(listed.body["value"], json!([]));
}
