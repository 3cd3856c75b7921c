//! An agent asks for news: it need not read the same twice, and is answered when there is something.

use std::time::Duration;

use gitmoor_portal::Rate;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::server::{
    Answer, Body, CLUSTER, Caller, OTHER_CLUSTER, Server, body, data_plane, versioned, within,
};

const URL: &str = "https://git.example.net/blue/deploy.git";

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

/// Asks for another list than the one of this version.
async fn news(agent: &Caller, known: &str, wait: Option<&str>) -> Answer {
    let mut headers = vec![("if-none-match", known)];
    headers.extend(wait.map(|wait| ("prefer", wait)));
    let path = data_plane(CLUSTER);
    agent
        .send_with(Method::GET, &path, Body::None, &headers)
        .await
}

#[tokio::test]
async fn a_list_that_is_as_it_was_is_not_sent_again() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let empty = agent.get(&data_plane(CLUSTER)).await;
    assert_eq!(empty.status, StatusCode::OK);
    let same = news(&agent, &etag(&empty), None).await;
    assert_eq!((same.status, &*same.text), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(etag(&same), etag(&empty));

    let mut known = etag(&empty);
    let secret = |key: &str| {
        json!({"properties": {"repositoryUrl": URL, "configurationProtectedSettings":
            {"httpsUser": "Ym90", "httpsKey": key}}})
    };
    for change in [body(URL), secret("YQ=="), secret("Yg==")] {
        alice.put(&path, change.clone()).await;
        let new = news(&agent, &known, None).await;
        assert_eq!(new.status, StatusCode::OK, "{}", new.text);
        assert_ne!(etag(&new), known, "{change}");
        known = etag(&new);
        // What is put as it was changes nothing.
        alice.put(&path, change).await;
        let same = news(&agent, &known, None).await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED);
        // One of several that are known.
        let several = format!("\"other\", W/{known}");
        let same = news(&agent, &several, None).await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    }
    alice.delete(&path).await;
    let gone = news(&agent, &known, None).await;
    assert_eq!((gone.status, etag(&gone)), (StatusCode::OK, etag(&empty)));
    // Another cluster's list is no news.
    alice
        .put(&versioned(OTHER_CLUSTER, "blue"), body(URL))
        .await;
    let same = news(&agent, &etag(&empty), None).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn whoever_waits_is_answered_when_there_is_news_and_not_before() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let mut known = etag(&agent.get(&data_plane(CLUSTER)).await);
    for change in [
        Some(body(URL)),
        Some(body("https://git.example.net/b")),
        None,
    ] {
        let (waiting, since) = (agent.clone(), known.clone());
        let mut waits = tokio::spawn(async move {
            // Longer than the test's own limit: it is not the end of the time that answers.
            news(&waiting, &since, Some("respond-async, wait=60")).await
        });
        let early = timeout(Duration::from_millis(300), &mut waits).await;
        assert!(early.is_err(), "{early:?}");
        alice
            .put(&versioned(OTHER_CLUSTER, "blue"), body(URL))
            .await;
        match change {
            Some(body) => alice.put(&path, body).await,
            None => alice.delete(&path).await,
        };
        let answer = within(waits).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.headers.contains_key("preference-applied"));
        known = etag(&answer);
    }
    // With news at hand, at once; without any, when the time is over.
    let at_once = news(&agent, "\"another\"", Some("wait=60")).await;
    assert_eq!(at_once.status, StatusCode::OK);
    let over = news(&agent, &known, Some("wait=1")).await;
    assert_eq!(over.status, StatusCode::NOT_MODIFIED);
    assert!(over.headers.contains_key("preference-applied"));
}

#[tokio::test]
async fn only_the_clusters_agent_may_wait() {
    let server = Server::start().await;
    let agent = server.agent(CLUSTER).await;
    let known = etag(&agent.get(&data_plane(CLUSTER)).await);
    let stranger = server.agent(OTHER_CLUSTER).await;
    let refused = news(&stranger, &known, Some("wait=60")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let nobody = Caller::new(&server.url, server.ca.as_deref().unwrap(), "no token");
    let refused = news(&nobody, &known, Some("wait=60")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    // What is no number is no preference.
    for wait in ["wait=", "wait=-1", "wait=soon", "wait"] {
        let answer = news(&agent, &known, Some(wait)).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{wait}");
        assert!(!answer.headers.contains_key("preference-applied"));
    }
}

#[tokio::test]
async fn who_calls_too_often_is_told_so_before_a_wait_and_who_waits_calls_once() {
    let server = Server::start_with(|settings| {
        settings.limits.throttling.reads = Rate {
            burst: 20.try_into().unwrap(),
            per_second: 1.try_into().unwrap(),
        };
    })
    .await;
    let (path, agent) = (data_plane(CLUSTER), server.agent(CLUSTER).await);
    let first = agent.get(&path).await;
    let at_once = news(&agent, "\"another\"", Some("wait=60")).await;
    assert_eq!(at_once.headers["preference-applied"], "wait");
    let left = &at_once.headers["x-ms-ratelimit-remaining-subscription-reads"];
    // More where so much time has passed that others were added.
    let left: u32 = left.to_str().unwrap().parse().unwrap();
    assert!(left >= 18, "{left}");

    let known = etag(&first);
    let refused = async {
        loop {
            while agent.get(&path).await.status == StatusCode::OK {}
            let waits = news(&agent, &known, Some("wait=60"));
            // One that was added meanwhile lets it wait.
            if let Ok(answer) = timeout(Duration::from_secs(2), waits).await {
                break answer;
            }
        }
    };
    assert_eq!(within(refused).await.error(), (429, "TooManyRequests"));
}

#[tokio::test]
async fn a_portal_that_ends_keeps_nobody_waiting() {
    let server = Server::start().await;
    let agent = server.agent(CLUSTER).await;
    let known = etag(&agent.get(&data_plane(CLUSTER)).await);
    let mut waits = tokio::spawn(async move { news(&agent, &known, Some("wait=60")).await.status });
    let early = timeout(Duration::from_millis(300), &mut waits).await;
    assert!(early.is_err(), "{early:?}");
    within(server.stop()).await;
    assert_eq!(within(waits).await.unwrap(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn more_than_a_few_of_one_agent_are_answered_without_waiting() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let other = server.agent(OTHER_CLUSTER).await;
    let known = etag(&agent.get(&data_plane(CLUSTER)).await);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let (agent, known) = (agent.clone(), known.clone());
        waiting.spawn(async move { news(&agent, &known, Some("wait=25")).await });
    }
    let first = within(waiting.join_next()).await.unwrap().unwrap();
    assert_eq!(first.status, StatusCode::NOT_MODIFIED);
    assert!(!first.headers.contains_key("preference-applied"));
    // Another agent may wait all the same.
    let headers = [("if-none-match", &*known), ("prefer", "wait=1")];
    let waited = other
        .send_with(
            Method::GET,
            &data_plane(OTHER_CLUSTER),
            Body::None,
            &headers,
        )
        .await;
    assert_eq!(waited.headers["preference-applied"], "wait");
    alice.put(&versioned(CLUSTER, "blue"), body(URL)).await;
    while let Some(answer) = within(waiting.join_next()).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["preference-applied"], "wait");
    }
}
