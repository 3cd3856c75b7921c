//! Tokens and roles: nothing is answered without one, and each reaches what it was made for and no more.

use gitmoor_portal::identity::{Assignment, Role};
use reqwest::Method;
use serde_json::json;

use super::server::{
    Body, CLUSTER, Caller, OTHER_CLUSTER, SUBSCRIPTION, Server, VERSION, body, client, data_plane,
    settings, versioned, versioned_list,
};

const URL: &str = "https://git.example.net/blue/deploy.git";

const ONE_ROLE: &str = "/0a1b2c3d-0000-4000-8000-000000000000?api-version=2022-04-01";

fn role_path(rest: &str) -> String {
    format!("{CLUSTER}/providers/Microsoft.Authorization/roleAssignments{rest}")
}

/// Every kind of call there is, and one that there is not.
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
        (Method::GET, role_path("?api-version=2022-04-01")),
        (Method::PUT, role_path(ONE_ROLE)),
        (Method::DELETE, role_path(ONE_ROLE)),
        (Method::GET, "/nothing".to_owned()),
    ]
}

#[tokio::test]
async fn without_a_token_that_is_right_nothing_is_answered() {
    let server = Server::start().await;
    let ca = server.ca.as_deref().unwrap();
    let alice = server.contributor().await;
    alice.put(&versioned(CLUSTER, "blue"), body(URL)).await;
    let token = server.token("bob", SUBSCRIPTION, Role::Contributor).await;
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
        Some(format!("Bearer {}", &right[1..])),
        Some(format!("Bearer {right}.{secret}")),
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
    let table: [(&str, Caller, [u16; 11]); 11] = [
        (
            "owner of the subscription",
            principal(SUBSCRIPTION, Role::Owner).await,
            [200, 200, 404, 201, 200, 403, 403, 200, 400, 204, 404],
        ),
        (
            "owner of the cluster",
            principal(CLUSTER, Role::Owner).await,
            [200, 200, 404, 201, 200, 403, 403, 200, 400, 204, 404],
        ),
        (
            "contributor of the subscription",
            principal(SUBSCRIPTION, Role::Contributor).await,
            [200, 200, 404, 201, 200, 403, 403, 200, 403, 403, 404],
        ),
        (
            "contributor of the group, in another case",
            principal(&group.to_uppercase(), Role::Contributor).await,
            [200, 200, 404, 201, 200, 403, 403, 200, 403, 403, 404],
        ),
        (
            "contributor of the cluster",
            principal(CLUSTER, Role::Contributor).await,
            [200, 200, 404, 201, 200, 403, 403, 200, 403, 403, 404],
        ),
        (
            "reader of the cluster",
            principal(CLUSTER, Role::Reader).await,
            [200, 200, 404, 403, 403, 403, 403, 200, 403, 403, 404],
        ),
        (
            "contributor of another subscription",
            principal("/subscriptions/3f1", Role::Contributor).await,
            [200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 404],
        ),
        (
            "contributor of another group",
            principal(&other_group, Role::Contributor).await,
            [200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 404],
        ),
        (
            "contributor of another cluster",
            principal(OTHER_CLUSTER, Role::Contributor).await,
            [200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 404],
        ),
        (
            "agent of the cluster",
            server.agent(&CLUSTER.to_lowercase()).await,
            [403, 403, 403, 403, 403, 200, 404, 403, 403, 403, 404],
        ),
        (
            "agent of another cluster",
            server.agent(OTHER_CLUSTER).await,
            [403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 404],
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
async fn no_way_of_writing_a_path_reaches_what_the_token_was_not_made_for() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    for cluster in [CLUSTER, OTHER_CLUSTER] {
        alice.put(&versioned(cluster, "blue"), body(URL)).await;
    }
    let bob = server.principal(CLUSTER, Role::Reader).await;
    let agent = server.agent(CLUSTER).await;
    let query = format!("?api-version={VERSION}");
    let own = versioned(CLUSTER, "blue");
    let written = [
        own.to_uppercase().replace("API-VERSION", "api-version"),
        own.replace("/providers", "//providers"),
        own.replace("edge-07", "%65dge-07"),
        own.replace("/connectedClusters", "%2fconnectedClusters"),
        own.replace("/edge/", "/edge%2f/"),
    ];
    for path in written {
        let answer = bob.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(answer.body["name"], "blue");
    }
    let strangers = [
        ("edge-07", "edge-08"),
        ("edge-07", "EDGE-08"),
        ("edge-07", "%65dge-08"),
        ("edge-07", "edge-07%2f..%2fedge-08"),
        ("edge-07", "edge-07/../edge-08"),
        ("edge-07", "edge-07%2F%2e%2e%2Fedge-08"),
        ("edge-07", "edge-07%252f..%252fedge-08"),
        ("/edge-07", "//edge-08"),
        (
            "/connectedClusters/edge-07",
            "%2fconnectedClusters%2fedge-08",
        ),
        ("edge-07", "edge-07%00"),
        ("edge-07", "edge-07;edge-08"),
        ("edge-07", "edge-07%3fx=/edge-08"),
        ("/subscriptions/3f1c/", "/subscriptions/3f1c/../3f1d/"),
    ];
    let others = data_plane(CLUSTER);
    let status = format!("{others}/blue/status");
    for (from, to) in strangers {
        let path = own.replacen(from, to, 1);
        let answer = bob.get(&path).await;
        let code = answer.status.as_u16();
        assert!([400, 403, 404].contains(&code), "{path}: {code}");
        for path in [&others, &status] {
            let path = path.replacen(from, to, 1);
            let answer = if path.ends_with("status") {
                agent.put(&path, json!({})).await
            } else {
                agent.get(&format!("{path}{query}")).await
            };
            let code = answer.status.as_u16();
            assert!([400, 403, 404].contains(&code), "{path}: {code}");
        }
    }
}

#[tokio::test]
async fn what_a_principal_may_do_changes_from_the_next_request_on() {
    let server = Server::start().await;
    let (scope, cluster) = (SUBSCRIPTION.parse().unwrap(), CLUSTER.parse().unwrap());
    let store = &server.store;
    let bobs = store
        .create_principal("bob", &scope, Role::Reader)
        .await
        .unwrap();
    let agents = store.create_agent(&cluster).await.unwrap();
    let bob = server.caller(&server.token_of(bobs.id()).await);
    let agent = server.caller(&server.token_of(agents.id()).await);
    assert_eq!(bob.get(&versioned_list(CLUSTER)).await.status, 200);
    assert_eq!(agent.get(&data_plane(CLUSTER)).await.status, 200);
    let path = versioned(CLUSTER, "blue");
    assert_eq!(bob.put(&path, body(URL)).await.status, 403);

    let wider = CLUSTER
        .to_uppercase()
        .replace("/SUBSCRIPTIONS", "/subscriptions");
    let wider = wider.parse().unwrap();
    let role = Role::Contributor;
    store.assign_role(bobs.id(), role, &wider).await.unwrap();
    assert_eq!(bob.put(&path, body(URL)).await.status, 201);
    let listed = store.principals().await.unwrap();
    let found = listed.iter().find(|one| one.id == bobs.id()).unwrap();
    assert_eq!(found.name, "bob");
    let role = |role, scope| Assignment { role, scope };
    let wanted = [
        role(Role::Contributor, wider.clone()),
        role(Role::Reader, scope),
    ];
    assert_eq!(found.assignments, wanted);
    let same = CLUSTER.parse().unwrap();
    assert!(
        store
            .withdraw_role(bobs.id(), Role::Contributor, &same)
            .await
            .unwrap()
    );
    assert_eq!(bob.put(&path, body(URL)).await.status, 403);

    for one in [&bobs, &agents] {
        assert!(store.delete_principal(one.id()).await.unwrap());
        assert!(!store.delete_principal(one.id()).await.unwrap());
    }
    assert!(store.principals().await.unwrap().is_empty());
    for caller in [bob, agent] {
        for (method, path) in calls() {
            let answer = caller.send(method, &path, Body::None).await;
            assert_eq!(answer.error(), (401, "InvalidAuthenticationToken"));
        }
    }
}

#[tokio::test]
async fn principals_are_made_beside_a_running_portal() {
    let server = Server::start().await;
    let beside = gitmoor_portal::Store::open(&settings(server.directory()))
        .await
        .unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let secret = beside
        .create_principal("bob", &scope, Role::Reader)
        .await
        .unwrap();
    let token = beside.issue_token(secret.id(), None).await;
    let token = token.unwrap().unwrap();
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
