//! Several portals in front of one PostgreSQL.

use std::time::Duration;

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    page::{
        browser::Browser,
        live::{open, told},
        reading::{report_of, reported},
    },
    server::{Body, CLUSTER, SUBSCRIPTION, Server, body, data_plane, settings, versioned, within},
};

/// Another portal of the same database.
async fn beside(first: &Server) -> Server {
    let shared = settings(first.directory());
    let key = format!(
        "file:{}",
        first.directory().join("encryption.key").display()
    );
    Server::start_in(TempDir::new().unwrap(), |settings| {
        settings.database = shared.database;
        settings.encryption.key = Some(key.parse().unwrap());
    })
    .await
}

#[tokio::test]
async fn a_page_of_one_portal_is_told_of_what_another_is_told() {
    let first = Server::start().await;
    let second = beside(&first).await;
    let browser = Browser::of(&second, "ann", SUBSCRIPTION, Role::Reader).await;
    let mut page = open(&browser, "").await;
    // The second may not listen yet.
    for number in 0.. {
        let report = json!({"complianceState": "Compliant", "message": number.to_string()});
        reported(&first, CLUSTER, "shop", report).await;
        if let Ok(told) = timeout(Duration::from_secs(2), told(&mut page)).await {
            assert!(told);
            break;
        }
        assert!(number < 20, "the page is not told");
    }
    while timeout(Duration::from_secs(2), told(&mut page))
        .await
        .is_ok()
    {}
    let failed = json!({"complianceState": "Failed", "messageLevel": "Error"});
    report_of(&first, CLUSTER, "shop", failed).await;
    assert!(told(&mut page).await);
}

#[tokio::test]
async fn what_one_portal_writes_another_tells_those_who_wait() {
    let first = Server::start().await;
    let second = beside(&first).await;
    let alice = first.contributor().await;
    let agent = second.agent(CLUSTER).await;
    for url in ["https://git.example.net/a", "https://git.example.net/b"] {
        let known = agent.get(&data_plane(CLUSTER)).await.headers["etag"].clone();
        let waiting = agent.clone();
        let mut waits = tokio::spawn(async move {
            let headers = [
                ("if-none-match", known.to_str().unwrap()),
                ("prefer", "wait=60"),
            ];
            let path = data_plane(CLUSTER);
            waiting
                .send_with(Method::GET, &path, Body::None, &headers)
                .await
        });
        let early = timeout(Duration::from_secs(1), &mut waits).await;
        assert!(early.is_err(), "{early:?}");
        alice.put(&versioned(CLUSTER, "blue"), body(url)).await;
        let answer = within(waits).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text.contains(url), "{}", answer.text);
    }
}
