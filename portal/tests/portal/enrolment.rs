//! Enrolment: a token that is good once, for one key, and secrets that only that key opens.

use gitmoor_arm::{ENROLMENT_PATH, ENROLMENT_PLACE, OpeningKey, place_of};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::{
    Answer, Body, CLUSTER, Caller, OTHER_CLUSTER, SUBSCRIPTION, Server, data_plane, versioned,
};

async fn enrol(server: &Server, token: &str, key: &str) -> Answer {
    let anyone = Caller::new(&server.url, server.ca.as_deref().unwrap(), "none");
    let body = json!({"token": token, "sealingKey": key});
    anyone
        .send(Method::POST, ENROLMENT_PATH, Body::Json(body))
        .await
}

async fn token(server: &Server) -> String {
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
    let again = enrol(&server, &token, &public).await;
    assert_eq!(again.status, StatusCode::OK);
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
    let scope = SUBSCRIPTION.parse().unwrap();
    let since = gitmoor_arm::Timestamp(time::OffsetDateTime::UNIX_EPOCH);
    let log = server.store.audit(&scope, since, 100).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "Gitmoor.Portal/enrolments/write",
            "Microsoft.Kubernetes/connectedClusters/write",
            "Microsoft.Resources/subscriptions/resourceGroups/write",
        ]
    );
    let all = server
        .store
        .audit(&"/".parse().unwrap(), since, 100)
        .await
        .unwrap();
    let made = all
        .iter()
        .find(|entry| entry.by == "an enrolment token")
        .unwrap();
    assert_eq!(made.after.as_ref().unwrap()["scope"], CLUSTER);
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains(&token), "{text}");
}
