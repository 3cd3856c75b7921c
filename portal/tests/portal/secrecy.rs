//! Secrets and tokens are in none of the places where people look: the log, errors, the database.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use gitmoor_portal::tokens::Role;
use serde_json::json;
use tracing::level_filters::LevelFilter;

use super::server::{CLUSTER, SUBSCRIPTION, Server, data_plane, versioned};

/// Base64 of `a-canary-password`.
const KEY: &str = "YS1jYW5hcnktcGFzc3dvcmQ=";

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_and_tokens_are_not_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let token = server
        .store
        .create_principal("alice", &scope, Role::Contributor)
        .await
        .unwrap();
    let alice = server.caller(&token);
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

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a configuration was put"), "{log}");
    let secret = token.expose().rsplit('.').next().unwrap();
    for canary in [KEY, "canary", secret] {
        assert!(!log.contains(canary), "{log}");
    }
}

#[tokio::test]
async fn a_token_is_not_in_the_database() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let token = server
        .store
        .create_principal("alice", &scope, Role::Contributor)
        .await
        .unwrap();
    let id = token.id().to_string();
    let secret = token.expose().rsplit('.').next().unwrap().to_owned();
    let directory = server.stop().await;
    let database = fs::read(directory.path().join("portal.db")).unwrap();
    let holds = |text: &str| {
        database
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds(&id), "the token is not there at all");
    assert!(!holds(&secret));
}
