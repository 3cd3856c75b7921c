//! Enrolment: a token that is good once, for one key, and secrets that only that key opens.

use gitmoor_arm::{ENROLMENT_PATH, ENROLMENT_PLACE, OpeningKey, place_of};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use gitmoor_portal::{AuditEntry, identity::Role};

use super::{
    audit,
    server::{
        Answer, Body, CLUSTER, Caller, OTHER_CLUSTER, SUBSCRIPTION, Server, client, data_plane,
        versioned, versioned_list,
    },
};

pub(super) async fn enrol(server: &Server, token: &str, key: &str) -> Answer {
    let anyone = Caller::new(&server.url, server.ca.as_deref().unwrap(), "none");
    let body = json!({"token": token, "sealingKey": key});
    anyone
        .send(Method::POST, ENROLMENT_PATH, Body::Json(body))
        .await
}

pub(super) async fn token(server: &Server) -> String {
    let cluster = CLUSTER.parse().unwrap();
    let made = server.store.create_enrolment(&cluster, "oslo");
    made.await.unwrap().expose().to_owned()
}

/// The agent that was enrolled by this answer.
async fn agent(server: &Server, key: &OpeningKey, answer: &Answer) -> Caller {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let sealed = answer.body["sealed"].as_str().unwrap();
    let given = key.open(ENROLMENT_PLACE, sealed).unwrap();
    let given: Value = serde_json::from_str(given.expose()).unwrap();
    assert_eq!(given["tenantId"], server.store.tenant().to_string());
    assert!(
        !answer
            .text
            .contains(given["clientSecret"].as_str().unwrap())
    );
    let id = given["clientId"].as_str().unwrap().parse().unwrap();
    server.caller(&server.token_of(id).await)
}

/// The client id and secret of an answer.
fn credential(key: &OpeningKey, answer: &Answer) -> Value {
    let sealed = answer.body["sealed"].as_str().unwrap();
    serde_json::from_str(key.open(ENROLMENT_PLACE, sealed).unwrap().expose()).unwrap()
}

/// Whether tokens are given for it.
async fn is_good(server: &Server, credential: &Value) -> bool {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", credential["clientId"].as_str().unwrap()),
        (
            "client_secret",
            credential["clientSecret"].as_str().unwrap(),
        ),
        ("scope", "https://management.azure.com/.default"),
    ];
    let url = format!("{}/{}/oauth2/v2.0/token", server.url, server.store.tenant());
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = request.send().await.unwrap();
    answer.status().is_success()
}

/// All that the audit log holds.
async fn actions(server: &Server) -> Vec<String> {
    let log = audit::log(server, "/").await;
    log.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn of_two_who_use_a_token_at_once_one_is_enrolled() {
    let server = Server::start().await;
    for _ in 0..5 {
        let token = token(&server).await;
        let keys = [(); 2].map(|()| OpeningKey::generate().public().to_string());
        let (one, other) = tokio::join!(
            enrol(&server, &token, &keys[0]),
            enrol(&server, &token, &keys[1])
        );
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
    }
}

#[tokio::test]
async fn who_enrols_again_takes_the_place_of_the_agents_before() {
    let server = Server::start().await;
    let by_hand = server.agent(CLUSTER).await;
    let elsewhere = server.agent(OTHER_CLUSTER).await;
    let reader = server.principal(CLUSTER, Role::Reader).await;
    let key = OpeningKey::generate();
    let mut before = by_hand;
    for _ in 0..2 {
        let token = token(&server).await;
        // The token alone ends nobody.
        let list = before.get(&data_plane(CLUSTER)).await;
        assert_eq!(list.status, StatusCode::OK, "{}", list.text);
        let answer = enrol(&server, &token, &key.public().to_string()).await;
        let now = agent(&server, &key, &answer).await;
        let list = before.get(&data_plane(CLUSTER)).await;
        assert_eq!(list.status, StatusCode::UNAUTHORIZED, "{}", list.text);
        assert_eq!(now.get(&data_plane(CLUSTER)).await.status, StatusCode::OK);
        before = now;
    }
    let other = elsewhere.get(&data_plane(OTHER_CLUSTER)).await;
    assert_eq!(other.status, StatusCode::OK);
    let read = reader.get(&versioned_list(CLUSTER)).await;
    assert_eq!(read.status, StatusCode::OK);
    let ended = "Gitmoor.Portal/principals/delete";
    let actions = actions(&server).await;
    assert_eq!(actions.iter().filter(|one| *one == ended).count(), 2);
}

#[tokio::test]
async fn nobody_is_left_who_may_call_for_a_cluster_that_was_deleted() {
    let group = CLUSTER.split_once("/providers/").unwrap().0;
    for deleted in [
        format!("{CLUSTER}?api-version=2024-01-01"),
        format!("{group}?api-version=2024-11-01"),
    ] {
        let server = Server::start().await;
        let alice = server.contributor().await;
        let used = token(&server).await;
        let key = OpeningKey::generate();
        let public = key.public().to_string();
        let answer = enrol(&server, &used, &public).await;
        let agent = agent(&server, &key, &answer).await;
        let unused = token(&server).await;
        let reader = server.principal(CLUSTER, Role::Reader).await;
        assert_eq!(agent.get(&data_plane(CLUSTER)).await.status, StatusCode::OK);
        let answer = alice.delete(&deleted).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);

        let refused = agent.get(&data_plane(CLUSTER)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        for token in [&used, &unused] {
            let refused = enrol(&server, token, &public).await;
            assert_eq!(refused.error(), (403, "InvalidEnrolmentToken"));
        }
        // People stay, without the role that held there alone.
        let refused = reader.get(&versioned_list(CLUSTER)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let left = server.store.principals().await.unwrap();
        assert_eq!(left.len(), 2, "{left:?}");
        let actions = actions(&server).await;
        for action in [
            "Gitmoor.Portal/principals/delete",
            "Microsoft.Authorization/roleAssignments/delete",
        ] {
            assert!(actions.iter().any(|one| one == action), "{actions:?}");
        }
    }
}

#[tokio::test]
async fn whoever_deletes_what_has_agents_alone_is_told_that_it_was_there() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let cluster = format!("{CLUSTER}?api-version=2024-01-01");
    let group = CLUSTER.split_once("/providers/").unwrap().0;
    let group = format!("{group}?api-version=2022-12-01");
    for path in [&cluster, &group] {
        let agent = server.agent(CLUSTER).await;
        let deleted = alice.delete(path).await;
        assert_eq!(deleted.status, StatusCode::OK, "{path}: {}", deleted.text);
        let ended = agent.get(&data_plane(CLUSTER)).await;
        assert_eq!(ended.status, StatusCode::UNAUTHORIZED, "{path}");
        let log = audit::log(&server, SUBSCRIPTION).await;
        let told = |entry: &AuditEntry| path.starts_with(&format!("{}?", entry.resource));
        assert!(log.iter().any(told), "{path}: {log:?}");
    }
    assert_eq!(alice.delete(&cluster).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_agent_of_two_clusters_ends_with_the_second_one() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let store = &server.store;
    let agent = store.create_agent(&CLUSTER.parse().unwrap()).await;
    let id = agent.unwrap().id();
    let other = OTHER_CLUSTER.parse().unwrap();
    store.assign_role(id, Role::Agent, &other).await.unwrap();
    let agent = server.caller(&server.token_of(id).await);
    let calls = async |cluster: &str| agent.get(&data_plane(cluster)).await.status;
    let delete = async |cluster: &str| {
        let path = format!("{cluster}?api-version=2024-01-01");
        assert_eq!(alice.delete(&path).await.status, StatusCode::OK);
    };
    delete(CLUSTER).await;
    assert_eq!(calls(CLUSTER).await, StatusCode::FORBIDDEN);
    assert_eq!(calls(OTHER_CLUSTER).await, StatusCode::OK);
    delete(OTHER_CLUSTER).await;
    assert_eq!(calls(OTHER_CLUSTER).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_makes_one_agent_of_one_cluster() {
    let server = Server::start().await;
    let token = token(&server).await;
    let key = OpeningKey::generate();
    let public = key.public().to_string();
    let answer = enrol(&server, &token, &public).await;
    let agent = agent(&server, &key, &answer).await;
    let list = agent.get(&data_plane(CLUSTER)).await;
    assert_eq!(list.status, StatusCode::OK, "{}", list.text);
    let other = agent.get(&data_plane(OTHER_CLUSTER)).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);

    // Whoever found the token has another key; the agent whose answer was lost has the same.
    let thief = OpeningKey::generate().public().to_string();
    let refused = enrol(&server, &token, &thief).await;
    assert_eq!(refused.error(), (403, "InvalidEnrolmentToken"));
    let first = credential(&key, &answer);
    assert!(is_good(&server, &first).await);
    let again = enrol(&server, &token, &public).await;
    assert_eq!(again.status, StatusCode::OK);
    // The one that was lost is good no longer, and the log says so.
    let second = credential(&key, &again);
    assert!(is_good(&server, &second).await);
    assert!(!is_good(&server, &first).await);
    let actions = actions(&server).await;
    let replaced = "Gitmoor.Portal/principals/credentials/write";
    assert_eq!(actions.iter().filter(|one| *one == replaced).count(), 1);
    let agents = server.store.principals().await.unwrap();
    assert_eq!(agents.len(), 1, "{agents:?}");
}

#[tokio::test]
async fn what_is_no_good_token_or_key_is_refused_and_uses_nothing_up() {
    let server = Server::start().await;
    let older = token(&server).await;
    let token = token(&server).await;
    let key = OpeningKey::generate().public().to_string();
    for wrong in ["", "gitmoor-enrolment.", &token[..token.len() - 1], &older] {
        let refused = enrol(&server, wrong, &key).await;
        assert_eq!(refused.error(), (403, "InvalidEnrolmentToken"), "{wrong}");
    }
    // The last is a point to which anyone could open what is sealed.
    let zero = format!("{}=", "A".repeat(43));
    for wrong in ["", "no key", &key[1..], &zero] {
        let refused = enrol(&server, &token, wrong).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    }
    let anyone = Caller::new(&server.url, server.ca.as_deref().unwrap(), "none");
    for (method, body, status) in [
        (Method::GET, Body::None, StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, Body::None, StatusCode::BAD_REQUEST),
        (Method::POST, Body::Json(json!([])), StatusCode::BAD_REQUEST),
        (
            Method::POST,
            Body::Json(json!({"token": "x".repeat(8000), "sealingKey": key})),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let answer = anyone.send(method, ENROLMENT_PATH, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(!answer.text.contains(&token));
    }
    assert_eq!(enrol(&server, &token, &key).await.status, StatusCode::OK);
}

#[tokio::test]
async fn secrets_come_sealed_to_the_agent_that_was_enrolled() {
    let server = Server::start().await;
    let token = token(&server).await;
    let alice = server.contributor().await;
    let settings = json!({"httpsUser": "Ym90", "httpsKey": "czNjcjN0"});
    let body = json!({"properties": {
        "repositoryUrl": "https://git.example.net/blue.git",
        "configurationProtectedSettings": settings,
    }});
    let put = alice.put(&versioned(CLUSTER, "blue"), body).await;
    assert_eq!(put.status, StatusCode::CREATED, "{}", put.text);
    let key = OpeningKey::generate();
    let answer = enrol(&server, &token, &key.public().to_string()).await;
    let enrolled = agent(&server, &key, &answer).await;
    let list = enrolled.get(&data_plane(CLUSTER)).await;
    for secret in ["czNjcjN0", "Ym90", "s3cr3t"] {
        assert!(!list.text.contains(secret), "{}", list.text);
    }
    let one = &list.body["value"][0];
    let id = one["id"].as_str().unwrap();
    let sealed = one["properties"]["configurationProtectedSettings"]["httpsKey"].as_str();
    let opened = key.open(&place_of(id, "httpsKey"), sealed.unwrap());
    assert_eq!(opened.unwrap().expose(), "czNjcjN0");
    let elsewhere = place_of(&id.replace("blue", "green"), "httpsKey");
    assert!(key.open(&elsewhere, sealed.unwrap()).is_err());
    // An agent with a secret alone has no key.
    let plain = server.agent(CLUSTER).await.get(&data_plane(CLUSTER)).await;
    let plain = &plain.body["value"][0]["properties"]["configurationProtectedSettings"];
    assert_eq!(plain["httpsKey"], "czNjcjN0");
}

#[tokio::test]
async fn the_cluster_is_registered_and_the_log_says_by_whom() {
    let server = Server::start().await;
    let token = token(&server).await;
    let key = OpeningKey::generate().public().to_string();
    enrol(&server, &token, &key).await;
    let alice = server.contributor().await;
    let cluster = alice
        .get(&format!("{CLUSTER}?api-version=2024-01-01"))
        .await;
    assert_eq!(cluster.body["location"], "oslo", "{}", cluster.text);
    let identity = json!({"type": "SystemAssigned", "tenantId": server.store.tenant()});
    assert_eq!(cluster.body["identity"], identity);
    let log = audit::log(&server, SUBSCRIPTION).await;
    let actions: Vec<&str> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "Microsoft.Resources/subscriptions/resourceGroups/write",
            "Microsoft.Kubernetes/connectedClusters/write",
            "Gitmoor.Portal/enrolments/write",
        ]
    );
    let all = audit::log(&server, "/").await;
    let made = all
        .iter()
        .find(|entry| entry.by == "an enrolment token")
        .unwrap();
    assert_eq!(made.after.as_ref().unwrap()["scope"], CLUSTER);
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains(&token), "{text}");
}
