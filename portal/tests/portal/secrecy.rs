//! Secrets and tokens are in none of the places where people look: the log, errors, the database.

use std::fs;

use gitmoor_portal::identity::Role;
use serde_json::json;

use super::{
    log::Log,
    login::{log_in, login_form},
    server::{CLUSTER, Caller, SUBSCRIPTION, Server, data_plane, versioned},
};

/// Base64 of `a-canary-password`.
const KEY: &str = "YS1jYW5hcnktcGFzc3dvcmQ=";

#[tokio::test]
async fn secrets_and_tokens_are_not_in_the_log() {
    let (log, _guard) = Log::capture();
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let secret = server
        .store
        .create_principal("alice", &scope, Role::Contributor)
        .await
        .unwrap();
    let (status, answer) = log_in(&server, &login_form(&server, &secret)).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    let alice = Caller::new(&server.url, server.ca.as_deref().unwrap(), token);
    let agent = server.agent(CLUSTER).await;
    for settings in [
        json!({"httpsUser": "Ym90", "httpsKey": KEY}),
        json!({"httpsUser": "Ym90", "httpsKey": format!("{KEY}!")}),
        json!({"httpsUser": "Ym90", "httpsKey": [KEY]}),
    ] {
        let url = "https://git.example.net/blue.git";
        let body = json!({"properties": {
            "repositoryUrl": url, "configurationProtectedSettings": settings,
        }});
        let answer = alice.put(&versioned(CLUSTER, "blue"), body).await;
        assert!(!answer.text.contains(KEY), "{}", answer.text);
    }
    let (items, _) = agent.pages(&data_plane(CLUSTER)).await;
    let settings = &items[0]["properties"]["configurationProtectedSettings"];
    assert_eq!(settings["httpsKey"], KEY);

    let log = log.text();
    assert!(log.contains("a configuration was put"), "{log}");
    assert!(log.contains("a token was given"), "{log}");
    let signature = token.rsplit('.').next().unwrap();
    for canary in [KEY, "canary", signature, secret.expose()] {
        assert!(!log.contains(canary), "{log}");
    }
}

#[tokio::test]
async fn a_secret_is_not_in_the_database() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let secret = server
        .store
        .create_principal("alice", &scope, Role::Contributor)
        .await
        .unwrap();
    let directory = server.stop().await;
    let database = fs::read(directory.path().join("portal.db")).unwrap();
    let holds = |text: &str| {
        database
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(
        holds(&secret.id().to_string()),
        "the principal is not there at all"
    );
    assert!(!holds(secret.expose()));
}
