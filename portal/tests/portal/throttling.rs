//! Throttling: who calls too often is told when to come back, and nobody else is held up.

use gitmoor_portal::{Rate, Throttling, identity::Role};
use reqwest::StatusCode;

use super::{
    page::browser::Browser,
    server::{CLUSTER, SUBSCRIPTION, Server, body, versioned, versioned_list},
};

/// A portal of which one reads three times, and then once a second.
async fn start() -> Server {
    Server::start_with(|settings| {
        let slow = Rate {
            burst: 3.try_into().unwrap(),
            // One in so long a time that a slow machine does not see the next.
            per_second: 1.try_into().unwrap(),
        };
        settings.limits.throttling = Throttling {
            reads: slow,
            ..Throttling::default()
        };
    })
    .await
}

#[tokio::test]
async fn a_principal_that_calls_too_often_is_told_when_to_come_back() {
    let server = start().await;
    let (alice, bob) = (server.contributor().await, server.contributor().await);
    let list = versioned_list(CLUSTER);
    let remaining = "x-ms-ratelimit-remaining-subscription-reads";
    assert_eq!(alice.get(&list).await.headers[remaining], "2");
    // Those that come in faster than one a second are at most three more.
    let mut refused = None;
    for _ in 0..200 {
        let answer = alice.get(&list).await;
        if answer.status != StatusCode::OK {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("two hundred calls were not one a second");
    assert_eq!(refused.error(), (429, "TooManyRequests"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers[remaining], "0");
    assert_eq!(bob.get(&list).await.status, StatusCode::OK);
    let put = alice
        .put(
            &versioned(CLUSTER, "blue"),
            body("https://git.example.net/x.git"),
        )
        .await;
    assert_eq!(put.status, StatusCode::CREATED);
    let left = &put.headers["x-ms-ratelimit-remaining-subscription-writes"];
    assert_eq!(left, "199");
    let deleted = alice.delete(&versioned(CLUSTER, "blue")).await;
    let left = &deleted.headers["x-ms-ratelimit-remaining-subscription-deletes"];
    assert_eq!(left, "199");
}

#[tokio::test]
async fn a_person_who_asks_for_pages_too_often_is_told_when_to_come_back() {
    let server = start().await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let mut bob = Browser::of(&server, "bob", SUBSCRIPTION, Role::Reader).await;
    let mut refused = None;
    for _ in 0..200 {
        let page = ann.get("/clusters").await;
        if page.status != StatusCode::OK {
            refused = Some(page);
            break;
        }
    }
    let refused = refused.expect("two hundred pages were not one a second");
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.html.contains("<title>"), "{}", refused.html);
    bob.html("/clusters").await;
}
