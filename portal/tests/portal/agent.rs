//! The client that agents use, unchanged, against the portal.

use std::fs;

use gitmoor_arm::{Client, ClusterFacts, ComplianceState, Error, Settings, StatusReport};
use gitmoor_portal::identity::{ClientSecret, Role};
use serde_json::json;

use super::server::{
    CLUSTER, Server, body, client as trusting, data_plane, versioned, versioned_list,
};

/// The client of a principal, which asks for its tokens itself.
fn client(server: &Server, principal: &ClientSecret, key: &str) -> Client {
    // The provider of this process is installed with the first client.
    drop(trusting(server.ca.as_deref().unwrap()));
    let file = server.directory().join("secret");
    fs::write(&file, principal.expose()).unwrap();
    let settings = json!({
        "clusterId": CLUSTER,
        key: server.url,
        "caFile": server.directory().join("ca.pem"),
        "credential": {"servicePrincipal": {
            "tenantId": server.store.tenant(),
            "clientId": principal.id(),
            "clientSecretFile": file,
            "authority": server.url,
        }},
    });
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Client::new(&settings).unwrap()
}

#[tokio::test]
async fn the_agent_lists_all_pages_and_reports() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 2.try_into().unwrap()).await;
    let alice = server.contributor().await;
    for name in ["a", "b", "c"] {
        let mut body = body("https://git.example.net/x.git");
        body["properties"]["configurationProtectedSettings"] =
            json!({"httpsUser": "Ym90", "httpsKey": "cGFzcw=="});
        alice.put(&versioned(CLUSTER, name), body).await;
    }
    let cluster = CLUSTER.parse().unwrap();
    let principal = server.store.create_agent(&cluster).await.unwrap();
    let agent = client(&server, &principal, "dataPlane");

    let listed = agent.list().await.unwrap();
    let names: Vec<_> = listed.iter().filter_map(|c| c.name.as_deref()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let settings = listed[2]
        .properties
        .configuration_protected_settings
        .as_ref();
    let password = settings.unwrap().decode_text("httpsKey").unwrap().unwrap();
    assert_eq!(password.expose(), "pass");

    let mut report = StatusReport {
        observed_etag: listed[2].etag.clone().unwrap(),
        compliance_state: Some(ComplianceState::Compliant),
        ..StatusReport::default()
    };
    agent.report_status("c", &report).await.unwrap();
    let shown = alice.get(&versioned(CLUSTER, "c")).await.body;
    let status = &shown["properties"]["complianceStatus"];
    assert_eq!(status["complianceState"], "Compliant");

    report.observed_etag = listed[1].etag.clone().unwrap();
    let stale = agent.report_status("c", &report).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "{stale:?}");
}

#[tokio::test]
async fn an_agent_that_knows_arm_alone_lists_without_secrets() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 1.try_into().unwrap()).await;
    let alice = server.contributor().await;
    for name in ["a", "b"] {
        let body = body("https://git.example.net/x.git");
        alice.put(&versioned(CLUSTER, name), body).await;
    }
    let scope = CLUSTER.parse().unwrap();
    let role = Role::Reader;
    let principal = server
        .store
        .create_principal("edge-07", &scope, role)
        .await
        .unwrap();
    let agent = client(&server, &principal, "endpoint");
    let mut listed = Vec::new();
    for configuration in agent.list().await.unwrap() {
        listed.push(serde_json::to_value(configuration).unwrap());
    }
    assert_eq!(listed, alice.pages(&versioned_list(CLUSTER)).await.0);
}

#[tokio::test]
async fn an_agent_is_seen_with_what_it_says_of_its_cluster() {
    for (key, role) in [("dataPlane", Role::Agent), ("endpoint", Role::Reader)] {
        let server = Server::start().await;
        let alice = server.contributor().await;
        let path = format!("{CLUSTER}?api-version=2024-01-01");
        let group = CLUSTER.split_once("/providers/").unwrap().0;
        let group = format!("{group}?api-version=2024-11-01");
        alice.put(&group, json!({"location": "oslo"})).await;
        let cluster = json!({"location": "oslo", "properties": {}});
        alice.put(&path, cluster).await;
        // That someone else lists is no sign of the agent.
        alice.get(&versioned_list(CLUSTER)).await;
        let shown = alice.get(&path).await;
        assert_eq!(shown.body["properties"]["connectivityStatus"], "Connecting");
        let principal = server
            .store
            .create_principal("edge-07", &CLUSTER.parse().unwrap(), role)
            .await
            .unwrap();
        let agent = client(&server, &principal, key);
        agent.list().await.unwrap();
        let shown = alice.get(&path).await.body["properties"].clone();
        assert_eq!(shown["connectivityStatus"], "Connected", "{key}");
        assert_eq!(shown["agentVersion"], env!("CARGO_PKG_VERSION"));
        assert!(shown["lastConnectivityTime"].is_string());
        assert!(shown["kubernetesVersion"].is_null() && shown["totalNodeCount"].is_null());
        agent.describe(ClusterFacts {
            kubernetes_version: Some("1.34.1+k3s1".into()),
            nodes: Some(3),
        });
        agent.list().await.unwrap();
        let shown = alice.get(&path).await.body["properties"].clone();
        assert_eq!(shown["kubernetesVersion"], "1.34.1+k3s1", "{key}");
        assert_eq!(shown["totalNodeCount"], 3);
        // What it no longer knows is as it was.
        agent.describe(ClusterFacts::default());
        agent.list().await.unwrap();
        let shown = alice.get(&path).await.body["properties"].clone();
        assert_eq!(shown["totalNodeCount"], 3);
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_portal() {
    let server = Server::start().await;
    let scope = CLUSTER.parse().unwrap();
    let role = Role::Contributor;
    let principal = server
        .store
        .create_principal("alice", &scope, role)
        .await
        .unwrap();
    let error = client(&server, &principal, "dataPlane")
        .list()
        .await
        .unwrap_err();
    let Error::Refused { status, code, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!((status, code.as_str()), (403, "AuthorizationFailed"));
    let token = server.token_of(principal.id()).await;
    assert_eq!(
        server.caller(&token).get(&data_plane(CLUSTER)).await.status,
        403
    );
}
