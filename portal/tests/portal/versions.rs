//! Api-versions: each with its own body, and the ids of a request in its answer.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::{
    Body, CLUSTER, Server, configuration, data_plane, list_path, versioned, versioned_list,
};

const URL: &str = "https://git.example.net/blue/deploy.git";
pub(super) const FIRST: &str = "2019-11-01-preview";
pub(super) const LATER: [&str; 10] = [
    "2020-07-01-preview",
    "2020-10-01-preview",
    "2021-03-01",
    "2021-05-01-preview",
    "2021-11-01-preview",
    "2022-01-01-preview",
    "2022-03-01",
    "2022-07-01",
    "2022-11-01",
    "2023-05-01",
];

fn path(version: &str) -> String {
    format!("{}?api-version={version}", configuration(CLUSTER, "blue"))
}

#[tokio::test]
async fn every_version_reads_what_another_wrote_in_its_own_form() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let secrets = json!({"httpsUser": "Ym90", "httpsKey": "czNjcjN0"});
    for version in LATER {
        let body = json!({"properties": {
            "repositoryUrl": URL, "configurationProtectedSettings": secrets,
        }});
        let put = alice.put(&path(version), body).await;
        assert!(put.status.is_success(), "{version}: {}", put.text);
        for other in LATER {
            assert_eq!(alice.get(&path(other)).await.body, put.body, "{other}");
        }
        let mut first = put.body;
        first["properties"]["enableHelmOperator"] = json!("false");
        let properties = first["properties"].as_object_mut().unwrap();
        properties.remove("configurationProtectedSettings").unwrap();
        properties.remove("sshKnownHostsContents").unwrap();
        first.as_object_mut().unwrap().remove("systemData").unwrap();
        assert_eq!(alice.get(&path(FIRST)).await.body, first);
        let list = format!("{}?api-version={FIRST}", list_path(CLUSTER));
        assert_eq!(alice.pages(&list).await.0, [first.clone()]);

        // What it shows may be written back, and takes nothing away that it does not know.
        first["properties"]["enableHelmOperator"] = json!("true");
        let put = alice.put(&path(FIRST), first).await;
        assert_eq!(put.status, StatusCode::OK, "{}", put.text);
        assert_eq!(put.body["properties"]["enableHelmOperator"], "true");
        let shown = alice.get(&path(version)).await.body;
        assert_eq!(shown["properties"]["enableHelmOperator"], true);
        let (items, _) = agent.pages(&data_plane(CLUSTER)).await;
        let kept = &items[0]["properties"]["configurationProtectedSettings"];
        assert_eq!(kept, &secrets);
        alice.delete(&path(version)).await;
    }
}

#[tokio::test]
async fn the_first_preview_takes_no_known_hosts_away() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    // Base64 of `git.example.net ssh-ed25519 AAAA…`, a key of 32 bytes.
    let hosts = "Z2l0LmV4YW1wbGUubmV0IHNzaC1lZDI1NTE5IEFBQUFDM056YUMxbFpESTFOVEU1QUFBQUlBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBCg==";
    let body = json!({"properties": {
        "repositoryUrl": "git@git.example.net:blue.git", "sshKnownHostsContents": hosts,
    }});
    let put = alice.put(&versioned(CLUSTER, "blue"), body.clone()).await;
    assert_eq!(put.status, StatusCode::CREATED, "{}", put.text);
    let hosts_kept = async || {
        let shown = alice.get(&versioned(CLUSTER, "blue")).await.body;
        shown["properties"]["sshKnownHostsContents"].clone()
    };
    let mut first = body;
    first["properties"]["sshKnownHostsContents"].take();
    assert_eq!(alice.put(&path(FIRST), first.clone()).await.status, 200);
    assert_eq!(hosts_kept().await, hosts);
    alice.put(&versioned(CLUSTER, "blue"), first).await;
    assert_eq!(hosts_kept().await, "");
}

#[tokio::test]
async fn a_request_can_be_found_by_the_ids_in_its_answer() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let list = versioned_list(CLUSTER);
    let answer = alice.get(&list).await;
    let header = |name: &str| answer.headers[name].to_str().unwrap();
    assert_eq!(
        header("x-ms-correlation-request-id"),
        header("x-ms-request-id")
    );
    assert!(header("x-ms-routing-request-id").ends_with(header("x-ms-request-id")));
    assert!(!answer.headers.contains_key("x-ms-client-request-id"));

    let given = [
        ("x-ms-correlation-request-id", "c-1"),
        ("x-ms-client-request-id", "mine-2"),
        ("x-ms-return-client-request-id", "true"),
    ];
    let answer = alice
        .send_with(Method::GET, &list, Body::None, &given)
        .await;
    assert_eq!(answer.headers["x-ms-correlation-request-id"], "c-1");
    assert_eq!(answer.headers["x-ms-client-request-id"], "mine-2");
    let hostile = [("x-ms-correlation-request-id", "<script>")];
    let answer = alice
        .send_with(Method::GET, &list, Body::None, &hostile)
        .await;
    assert_ne!(answer.headers["x-ms-correlation-request-id"], "<script>");
    assert_eq!(answer.body["value"], Value::Array(Vec::new()));
}
