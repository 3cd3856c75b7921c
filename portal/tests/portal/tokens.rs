//! Tokens: nothing is answered without one, and each reaches what it was made for and no more.

use gitmoor_portal::tokens::{Grant, Role};
use reqwest::Method;

use super::server::{
    Body, CLUSTER, Caller, OTHER_CLUSTER, SUBSCRIPTION, Server, VERSION, body, client, data_plane,
    versioned, versioned_list,
};

const URL: &str = "https://git.example.net/blue/deploy.git";

/// Every call there is, and one that there is not.
fn calls() -> Vec<(Method, String)> {
    let operations =
        format!("/providers/Microsoft.KubernetesConfiguration/operations?api-version={VERSION}");
    vec![
        (Method::GET, operations),
        (Method::GET, versioned_list(CLUSTER)),
        (Method::GET, versioned(CLUSTER, "blue")),
        (Method::PUT, versioned(CLUSTER, "blue")),
        (Method::DELETE, versioned(CLUSTER, "blue")),
        (Method::GET, data_plane(CLUSTER)),
        (Method::PUT, format!("{}/blue/status", data_plane(CLUSTER))),
        (Method::GET, "/nothing".to_owned()),
    ]
}

#[tokio::test]
async fn without_a_token_that_is_right_nothing_is_answered() {
    let server = Server::start().await;
    let ca = server.ca.as_deref().unwrap();
    let alice = server.contributor().await;
    alice.put(&versioned(CLUSTER, "blue"), body(URL)).await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let token = server
        .store
        .create_principal("bob", &scope, Role::Contributor)
        .await
        .unwrap();
    let right = token.expose();
    let (head, secret) = right.rsplit_once('.').unwrap();
    let flipped: String = secret.chars().rev().collect();
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(right.to_owned()),
        Some(format!("Basic {right}")),
        Some(format!("Bearer {head}.")),
        Some(format!("Bearer {head}.{flipped}")),
        Some(format!("Bearer {head}.{}", &secret[1..])),
        Some(format!("Bearer {right}x")),
        Some(format!("Bearer {}", right.replace("gitmoor", "other"))),
        Some(format!("Bearer gitmoor.{}.{secret}", uuid::Uuid::new_v4())),
        Some(format!("Bearer {}", "a".repeat(8000))),
    ];
    let client = client(ca).build().unwrap();
    for (method, path) in calls() {
        for header in &headers {
            let mut request = client.request(method.clone(), format!("{}{path}", server.url));
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let response = request.json(&body(URL)).send().await.unwrap();
            let case = format!("{method} {path} with {header:?}");
            assert_eq!(response.status(), 401, "{case}");
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{case}: {challenge}");
            let body: serde_json::Value =
                serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert!(body["error"]["code"].is_string(), "{case}");
        }
    }
    assert_eq!(alice.get(&versioned(CLUSTER, "blue")).await.status, 200);
}

#[tokio::test]
async fn a_token_reaches_what_it_was_made_for_and_no_more() {
    let server = Server::start().await;
    let group = CLUSTER.split("/providers").next().unwrap();
    let other_group = group.replace("edge", "edg");
    let principal = async |scope: &str, role| server.principal(scope, role).await;
    // Of each caller: the answers to the calls above, in their order.
    let table: [(&str, Caller, [u16; 8]); 9] = [
        (
            "contributor of the subscription",
            principal(SUBSCRIPTION, Role::Contributor).await,
            [200, 200, 404, 201, 200, 403, 403, 404],
        ),
        (
            "contributor of the group, in another case",
            principal(&group.to_uppercase(), Role::Contributor).await,
            [200, 200, 404, 201, 200, 403, 403, 404],
        ),
        (
            "contributor of the cluster",
            principal(CLUSTER, Role::Contributor).await,
            [200, 200, 404, 201, 200, 403, 403, 404],
        ),
        (
            "reader of the cluster",
            principal(CLUSTER, Role::Reader).await,
            [200, 200, 404, 403, 403, 403, 403, 404],
        ),
        (
            "contributor of another subscription",
            principal("/subscriptions/3f1", Role::Contributor).await,
            [200, 403, 403, 403, 403, 403, 403, 404],
        ),
        (
            "contributor of another group",
            principal(&other_group, Role::Contributor).await,
            [200, 403, 403, 403, 403, 403, 403, 404],
        ),
        (
            "contributor of another cluster",
            principal(OTHER_CLUSTER, Role::Contributor).await,
            [200, 403, 403, 403, 403, 403, 403, 404],
        ),
        (
            "agent of the cluster",
            server.agent(&CLUSTER.to_lowercase()).await,
            [403, 403, 403, 403, 403, 200, 404, 404],
        ),
        (
            "agent of another cluster",
            server.agent(OTHER_CLUSTER).await,
            [403, 403, 403, 403, 403, 403, 403, 404],
        ),
    ];
    for (who, caller, wanted) in table {
        let mut found = Vec::new();
        for (method, path) in calls() {
            let answer = caller.send(method, &path, body(URL)).await;
            if answer.status == 403 {
                assert_eq!(answer.error().1, "AuthorizationFailed", "{who}: {path}");
            }
            found.push(answer.status.as_u16());
        }
        assert_eq!(found, wanted, "{who}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_from_the_next_request_on() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let token = store
        .create_principal("bob", &scope, Role::Contributor)
        .await
        .unwrap();
    let cluster = CLUSTER.parse().unwrap();
    let agents = store.create_cluster_token(&cluster).await.unwrap();
    let (bob, agent) = (server.caller(&token), server.caller(&agents));
    assert_eq!(bob.get(&versioned_list(CLUSTER)).await.status, 200);
    assert_eq!(agent.get(&data_plane(CLUSTER)).await.status, 200);

    let listed = store.tokens().await.unwrap();
    let found = listed
        .iter()
        .find(|record| record.id == token.id())
        .unwrap();
    assert_eq!(found.name, "bob");
    let role = Role::Contributor;
    assert_eq!(found.grant, Grant::Principal { scope, role });
    let found = listed
        .iter()
        .find(|record| record.id == agents.id())
        .unwrap();
    assert_eq!(found.grant, Grant::Cluster(cluster));

    assert!(store.revoke_token(token.id()).await.unwrap());
    assert!(store.revoke_token(agents.id()).await.unwrap());
    assert!(!store.revoke_token(agents.id()).await.unwrap());
    assert!(store.tokens().await.unwrap().is_empty());
    for caller in [bob, agent] {
        for (method, path) in calls() {
            let answer = caller.send(method, &path, Body::None).await;
            assert_eq!(answer.error(), (401, "InvalidAuthenticationToken"));
        }
    }
}

#[tokio::test]
async fn tokens_are_made_beside_a_running_portal() {
    let server = Server::start().await;
    let beside = gitmoor_portal::Store::open(&server.directory().join("portal.db"))
        .await
        .unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let token = beside
        .create_principal("bob", &scope, Role::Reader)
        .await
        .unwrap();
    let bob = server.caller(&token);
    assert_eq!(bob.get(&versioned_list(CLUSTER)).await.status, 200);
}

#[tokio::test]
async fn health_is_told_to_anyone_and_nothing_else() {
    let server = Server::start().await;
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let response = client
        .get(format!("{}/healthz", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("api-supported-versions"));
    assert_eq!(response.text().await.unwrap(), "");
}
