//! The OpenAPI document: anyone may read it, and what it says of api-versions is what is answered.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::server::{Body, CLUSTER, Server, client};

/// A path of the document, with the parts of a cluster's id in their places.
fn filled(path: &str, document: &Value) -> String {
    let parts: Vec<&str> = CLUSTER.split('/').collect();
    path.split('/')
        .map(|part| match part {
            "{subscriptionId}" => parts[2],
            "{resourceGroupName}" => parts[4],
            "{clusterRp}" => parts[6],
            "{clusterResourceName}" => parts[7],
            "{clusterName}" => parts[8],
            "{roleAssignmentName}" | "{roleDefinitionId}" => "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
            "{namespace}" => document["components"]["parameters"]["namespace"]["schema"]["enum"][0]
                .as_str()
                .unwrap(),
            _ if part.starts_with('{') => "blue",
            _ => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn anyone_is_told_what_there_is() {
    let server = Server::start_with(|settings| {
        settings.url = Some("https://portal.example.net/".parse().unwrap());
    })
    .await;
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let url = format!("{}/openapi.json", server.url);
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "https://portal.example.net");
}

#[tokio::test]
async fn the_api_versions_of_the_document_are_those_that_are_answered() {
    let server = Server::start().await;
    let alice = server.principal("/", Role::Owner).await;
    let document = alice.get("/openapi.json").await.body;
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap();
            let version = parameters.iter().find(|one| one["name"] == "api-version");
            let Some(version) = version else { continue };
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = filled(path, &document);
            let known = version["schema"]["enum"].as_array().unwrap();
            let known = known.iter().map(|version| version.as_str().unwrap());
            for (version, is_known) in known
                .map(|version| (version, true))
                .chain([("2001-01-01", false)])
            {
                let body = Body::Bytes(b"no JSON".to_vec());
                let path = format!("{path}?api-version={version}");
                let answer = alice.send(method.clone(), &path, body).await;
                let refused = answer.error() == (400, "NoRegisteredProviderFound");
                assert_eq!(refused, !is_known, "{method} {path}: {}", answer.text);
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "{asked}");
}
