//! The data plane: secrets go to the cluster's agent and nowhere else, status comes back.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::server::{Answer, CLUSTER, Caller, Server, body, data_plane, versioned, versioned_list};

const URL: &str = "https://git.example.net/blue/deploy.git";

/// Base64 of `bot` and of `a-canary-password`.
const USER: &str = "Ym90";
const KEY: &str = "YS1jYW5hcnktcGFzc3dvcmQ=";

fn with_secrets(settings: &Value) -> Value {
    json!({"properties": {"repositoryUrl": URL, "configurationProtectedSettings": settings}})
}

pub(super) async fn secrets_of(agent: &Caller) -> Value {
    let (items, _) = agent.pages(&data_plane(CLUSTER)).await;
    items[0]["properties"]["configurationProtectedSettings"].clone()
}

async fn etag_of(agent: &Caller) -> Value {
    agent.pages(&data_plane(CLUSTER)).await.0[0]["etag"].clone()
}

async fn report(agent: &Caller, etag: &Value, state: &str) -> Answer {
    let report = json!({
        "observedEtag": etag,
        "complianceState": state,
        "lastConfigApplied": "2026-11-23T05:00:00Z",
        "message": "2 objects are live",
        "messageLevel": "Information",
        "appliedRevision": "8d1f1d5c9a",
        "problems": [{"path": "prod/web.yaml", "line": 7, "reason": "Invalid", "message": "no"}],
        "repositoryPublicKey": "ssh-ed25519 AAAA",
    });
    let path = format!("{}/blue/status", data_plane(CLUSTER));
    agent.put(&path, report).await
}

#[tokio::test]
async fn secrets_are_given_to_the_agent_alone() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let secrets = json!({"httpsUser": USER, "httpsKey": KEY});

    let created = alice.put(&path, with_secrets(&secrets)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let replaced = alice.put(&path, with_secrets(&secrets)).await;
    let shown = alice.get(&path).await;
    let listed = alice.get(&versioned_list(CLUSTER)).await;
    for answer in [created, replaced, shown, listed] {
        assert!(!answer.text.contains(KEY), "{}", answer.text);
        assert!(
            answer
                .text
                .contains("\"configurationProtectedSettings\":{}"),
            "{}",
            answer.text
        );
    }

    assert_eq!(secrets_of(&agent).await, secrets);
    let listed = agent.get(&data_plane(CLUSTER)).await;
    let cache = listed.headers["cache-control"].to_str().unwrap();
    assert!(cache.contains("no-store"), "{cache}");

    let wrong = json!({"httpsUser": USER, "httpsKey": "a canary that is no base64"});
    let refused = alice.put(&path, with_secrets(&wrong)).await;
    assert_eq!(refused.error(), (400, "InvalidRequestContent"));
    assert!(!refused.text.contains("canary"), "{}", refused.text);
}

#[tokio::test]
async fn secrets_are_kept_unless_they_are_replaced_or_cleared() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let secrets = json!({"httpsUser": USER, "httpsKey": KEY});

    for cleared in [json!({}), Value::Null] {
        alice.put(&path, with_secrets(&secrets)).await;
        let mut other = body(URL);
        other["properties"]["operatorNamespace"] = json!("team-blue");
        assert_eq!(alice.put(&path, other).await.status, StatusCode::OK);
        assert_eq!(secrets_of(&agent).await, secrets);

        let before = etag_of(&agent).await;
        alice.put(&path, with_secrets(&cleared)).await;
        assert_eq!(secrets_of(&agent).await, json!({}));
        assert_ne!(etag_of(&agent).await, before);
    }
}

#[tokio::test]
async fn kept_secrets_must_fit_what_is_put() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let secrets = json!({"httpsUser": USER, "httpsKey": KEY});
    alice.put(&path, with_secrets(&secrets)).await;
    let refused = alice.put(&path, body("git@git.example.net:blue.git")).await;
    assert_eq!(refused.error(), (400, "InvalidRequestContent"));
    // Nor do they go to a server for which they were not given.
    for elsewhere in [
        "https://evil.example.net/blue/deploy.git",
        "https://git.example.net:8443/blue/deploy.git",
        "http://git.example.net/blue/deploy.git",
    ] {
        let refused = alice.put(&path, body(elsewhere)).await;
        assert_eq!(refused.error(), (400, "InvalidRequestContent"));
        assert_eq!(refused.targets(), ["properties.repositoryUrl"]);
        assert!(refused.text.contains("git.example.net"), "{}", refused.text);
    }
    let shown = alice.get(&path).await;
    assert_eq!(shown.body["properties"]["repositoryUrl"], URL);
    let renamed = "https://GIT.example.net:443/green/deploy.git";
    assert_eq!(alice.put(&path, body(renamed)).await.status, StatusCode::OK);
    let agent = server.agent(CLUSTER).await;
    assert_eq!(secrets_of(&agent).await, secrets);
    // One that is empty is none.
    let empty = json!({"httpsUser": "", "httpsKey": ""});
    alice.put(&path, with_secrets(&empty)).await;
    let moved = alice.put(&path, body("https://other.example.net/x")).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.text);
    let mut anew = body("https://other.example.net/blue/deploy.git");
    anew["properties"]["configurationProtectedSettings"] = secrets.clone();
    assert_eq!(alice.put(&path, anew).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_secrets_of_one_that_was_deleted_do_not_come_back() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let secrets = json!({"httpsUser": USER, "httpsKey": KEY});
    alice.put(&path, with_secrets(&secrets)).await;
    let etag = etag_of(&agent).await;
    report(&agent, &etag, "Compliant").await;
    alice.delete(&path).await;
    alice.put(&path, body(URL)).await;
    assert_eq!(secrets_of(&agent).await, json!({}));
    assert_ne!(etag_of(&agent).await, etag);
    let shown = alice.get(&path).await;
    let status = &shown.body["properties"]["complianceStatus"];
    assert_eq!(status["complianceState"], "Pending");
}

#[tokio::test]
async fn a_report_is_shown_as_the_compliance_status() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let before = alice.put(&path, body(URL)).await;
    let answer = report(&agent, &etag_of(&agent).await, "Noncompliant").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);

    let shown = alice.get(&path).await.body;
    let properties = &shown["properties"];
    let status = &properties["complianceStatus"];
    assert_eq!(status["complianceState"], "Noncompliant");
    assert_eq!(status["lastConfigApplied"], "2026-11-23T05:00:00+00:00");
    assert_eq!(status["messageLevel"], "Information");
    let message: Value = serde_json::from_str(status["message"].as_str().unwrap()).unwrap();
    assert_eq!(message["OperatorMessage"], "2 objects are live");
    assert_eq!(message["AppliedRevision"], "8d1f1d5c9a");
    assert_eq!(message["Problems"][0]["line"], 7);
    assert_eq!(properties["repositoryPublicKey"], "ssh-ed25519 AAAA");
    assert_eq!(properties["provisioningState"], "Succeeded");
    // A report is no change of what is desired.
    assert_eq!(shown["etag"], before.body["etag"]);
    assert_eq!(shown["systemData"], before.body["systemData"]);

    let (listed, _) = alice.pages(&versioned_list(CLUSTER)).await;
    assert_eq!(listed, [shown]);

    report(&agent, &etag_of(&agent).await, "Compliant").await;
    let shown = alice.get(&path).await.body;
    let status = &shown["properties"]["complianceStatus"];
    assert_eq!(status["complianceState"], "Compliant");
}

#[tokio::test]
async fn the_public_key_of_a_configuration_is_told_also_while_a_change_is_not_yet_reported() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    alice.put(&path, body(URL)).await;
    report(&agent, &etag_of(&agent).await, "Compliant").await;
    let mut changed = body(URL);
    for namespace in ["team-blue", "team-green"] {
        changed["properties"]["operatorNamespace"] = json!(namespace);
        let replaced = alice.put(&path, changed.clone()).await;
        let (listed, _) = alice.pages(&versioned_list(CLUSTER)).await;
        for shown in [&replaced.body, &alice.get(&path).await.body, &listed[0]] {
            let properties = &shown["properties"];
            assert_eq!(properties["repositoryPublicKey"], "ssh-ed25519 AAAA");
            let state = &properties["complianceStatus"]["complianceState"];
            assert_eq!(state, "Pending");
        }
    }
}

#[tokio::test]
async fn a_report_of_what_was_replaced_is_not_the_status_of_the_new() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    alice.put(&path, body(URL)).await;
    let old = etag_of(&agent).await;
    report(&agent, &old, "Compliant").await;

    // Replaced: the status that was there is gone, and a late report does not bring it back.
    alice
        .put(&path, body("https://git.example.net/other.git"))
        .await;
    let state = || async {
        alice.get(&path).await.body["properties"]["complianceStatus"]["complianceState"].clone()
    };
    assert_eq!(state().await, "Pending");
    let late = report(&agent, &old, "Compliant").await;
    assert_eq!(late.error(), (412, "PreconditionFailed"));
    assert_eq!(state().await, "Pending");
    let unnamed = report(&agent, &Value::from(""), "Compliant").await;
    assert_eq!(unnamed.error(), (412, "PreconditionFailed"));

    report(&agent, &etag_of(&agent).await, "Compliant").await;
    assert_eq!(state().await, "Compliant");

    alice.delete(&path).await;
    let gone = report(&agent, &old, "Compliant").await;
    assert_eq!(gone.error(), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn a_report_that_is_none_is_refused() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    alice.put(&versioned(CLUSTER, "blue"), body(URL)).await;
    let path = format!("{}/blue/status", data_plane(CLUSTER));
    for body in [&b""[..], b"{", b"[7]", b"7", b"{\"problems\": {}}"] {
        let answer = agent.put(&path, body.to_vec()).await;
        assert_eq!(answer.error(), (400, "InvalidRequestContent"));
    }
    let problems: Vec<Value> = (0..5_000)
        .map(|line| json!({"path": "a.yaml", "line": line, "reason": "R", "message": "m"}))
        .collect();
    let etag = etag_of(&agent).await;
    let many = json!({"observedEtag": etag, "problems": problems});
    assert_eq!(agent.put(&path, many).await.status, StatusCode::NO_CONTENT);
    let shown = alice.get(&versioned(CLUSTER, "blue")).await.body;
    let message = shown["properties"]["complianceStatus"]["message"]
        .as_str()
        .unwrap();
    let message: Value = serde_json::from_str(message).unwrap();
    assert_eq!(message["Problems"].as_array().unwrap().len(), 100);
    assert_eq!(message["ProblemsOmitted"], 4_900);
}

#[tokio::test]
async fn the_agents_list_comes_in_pages_and_without_status() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 2.try_into().unwrap()).await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    for name in ["a", "b", "c"] {
        alice.put(&versioned(CLUSTER, name), body(URL)).await;
    }
    let (items, sizes) = agent.pages(&data_plane(CLUSTER)).await;
    assert_eq!(sizes, [2, 1]);
    for item in &items {
        assert_eq!(item["properties"]["repositoryUrl"], URL);
        assert_eq!(item["properties"].get("complianceStatus"), None);
    }
}

#[tokio::test]
async fn a_page_of_large_items_has_fewer_of_them() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let text = "x".repeat(1000);
    let problems: Vec<Value> = (0..100)
        .map(|_| json!({"path": text, "object": text, "reason": text, "message": text}))
        .collect();
    for number in 0..6 {
        let name = format!("c{number}");
        let created = alice.put(&versioned(CLUSTER, &name), body(URL)).await;
        let path = format!("{}/{name}/status", data_plane(CLUSTER));
        let report = json!({"observedEtag": created.body["etag"], "problems": problems});
        let answer = agent.put(&path, report).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    }
    let (items, sizes) = alice.pages(&versioned_list(CLUSTER)).await;
    assert_eq!(items.len(), 6);
    assert_eq!(sizes, [3, 3]);
}
