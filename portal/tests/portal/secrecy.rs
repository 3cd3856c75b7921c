//! Secrets and tokens are in none of the places where people look: the log and errors.

use gitmoor_arm::{ENROLMENT_PLACE, OpeningKey};
use gitmoor_portal::identity::Role;
use serde_json::{Value, json};

use super::{
    enrolment,
    log::Log,
    login::{log_in, login_form},
    page::browser::Browser,
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
async fn what_a_browser_or_an_agent_holds_is_not_in_the_log() {
    let (log, _guard) = Log::capture();
    let server = Server::start().await;
    let store = &server.store;
    let scope = SUBSCRIPTION.parse().unwrap();
    let ann = store
        .create_principal("ann", &scope, Role::Contributor)
        .await;
    let ann = ann.unwrap();
    let code = store.create_sign_in_link(ann.id()).await.unwrap();
    let mut browser = Browser::new(&server);
    browser
        .html(&format!("/sign-in/link?code={}", code.expose()))
        .await;
    browser
        .post("/sign-in/link", &[("code", code.expose())])
        .await;
    let cookie = browser.cookie.clone().unwrap();
    let (_, session) = cookie.split_once('=').unwrap();
    let csrf = browser.csrf().await;
    // Forms that are refused, too.
    for csrf in [&csrf[1..], &csrf] {
        browser.post("/sign-out", &[("csrf", csrf)]).await;
    }

    let token = enrolment::token(&server).await;
    let key = OpeningKey::generate();
    let public = key.public().to_string();
    let enrolled = enrolment::enrol(&server, &token, &public).await;
    let credential = key.open(ENROLMENT_PLACE, enrolled.body["sealed"].as_str().unwrap());
    let credential: Value = serde_json::from_str(credential.unwrap().expose()).unwrap();
    let thief = OpeningKey::generate().public().to_string();
    let refused = enrolment::enrol(&server, &token, &thief).await;
    assert_eq!(refused.status, 403);

    let alice = server.contributor().await;
    let flux = format!(
        "{CLUSTER}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/shop?api-version=2023-05-01"
    );
    for key in [json!(KEY), json!(format!("{KEY}!")), json!([KEY])] {
        let body = json!({"properties": {
            "namespace": "shop", "sourceKind": "GitRepository",
            "gitRepository": {"url": "https://git.example.net/a", "repositoryRef": {"branch": "main"}},
            "kustomizations": {"apps": {"path": "./apps", "prune": true, "wait": true}},
            "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": key},
        }});
        let answer = alice.put(&flux, body).await;
        assert!(!answer.text.contains(KEY), "{}", answer.text);
    }
    // A password where none may be.
    let path = versioned(CLUSTER, "blue");
    let url = "https://user:canary-in-url@git.example.net/a";
    let answer = alice
        .put(&path, json!({"properties": {"repositoryUrl": url}}))
        .await;
    assert!(!answer.text.contains("canary-in-url"), "{}", answer.text);

    let log = log.text();
    for event in [
        "someone has signed in",
        "an agent was enrolled",
        "an enrolment token that is not good",
    ] {
        assert!(log.contains(event), "{event}: {log}");
    }
    let secret = credential["clientSecret"].as_str().unwrap();
    for canary in [
        session,
        &csrf,
        code.expose(),
        &token,
        secret,
        ann.expose(),
        KEY,
        "canary",
    ] {
        assert!(!log.contains(canary), "{canary}: {log}");
    }
}
