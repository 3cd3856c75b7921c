//! Several portals in front of one PostgreSQL.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use tempfile::TempDir;
use tokio::time::timeout;

use super::server::{Body, CLUSTER, Server, body, data_plane, settings, versioned, within};

#[tokio::test]
async fn what_one_portal_writes_another_tells_those_who_wait() {
    let first = Server::start().await;
    let shared = settings(first.directory());
    let key = format!(
        "file:{}",
        first.directory().join("encryption.key").display()
    );
    let second = Server::start_in(TempDir::new().unwrap(), |settings| {
        settings.database = shared.database;
        settings.encryption.key = Some(key.parse().unwrap());
    })
    .await;
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
