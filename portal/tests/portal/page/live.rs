//! Pages that are open learn that something changed, if it concerns them and their visitor may see it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use gitmoor_portal::identity::Role;
use reqwest::{Response, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::{
    super::server::{CLUSTER, OTHER_CLUSTER, SUBSCRIPTION, Server, body, versioned, within},
    browser::Browser,
    reading::{report_of, reported},
};

const URL: &str = "https://git.example.net/blue/deploy.git";

/// How long nothing must come where nothing may come.
const QUIET: Duration = Duration::from_secs(2);

pub(in super::super) async fn open(browser: &Browser, query: &str) -> Response {
    let answer = browser.events(query).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    answer
}

/// Waits for an event; whether there was one before the end.
pub(in super::super) async fn told(events: &mut Response) -> bool {
    while let Some(chunk) = within(events.chunk()).await.unwrap() {
        // All else is a sign of life.
        if chunk.starts_with(b"data: changed") {
            return true;
        }
    }
    false
}

/// Does something that must not be told of. Something else may be, late, and by PostgreSQL twice:
/// then it is done again.
async fn quiet(events: &mut Response, act: impl AsyncFn()) {
    for _ in 0..20 {
        act().await;
        match timeout(QUIET, told(events)).await {
            Err(_) => return,
            Ok(told) => assert!(told, "the events have ended"),
        }
    }
    panic!("it is told of each time");
}

#[tokio::test]
async fn a_page_is_told_of_what_it_shows() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let mut all = open(&browser, "").await;
    let mut one = open(&browser, &format!("?cluster={CLUSTER}")).await;
    let report = json!({"complianceState": "Compliant", "messageLevel": "Information"});
    reported(&server, CLUSTER, "shop", report.clone()).await;
    assert!(told(&mut all).await && told(&mut one).await);
    // What says the same, or is of another cluster, is no news.
    quiet(&mut all, async || {
        report_of(&server, CLUSTER, "shop", report.clone()).await;
    })
    .await;
    let elsewhere = versioned(OTHER_CLUSTER, "shop");
    let numbers = AtomicU32::new(0);
    quiet(&mut one, async || {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        alice.put(&elsewhere, body(&format!("{URL}{number}"))).await;
    })
    .await;
    assert!(told(&mut all).await);
    let mut more = report;
    for health in ["InProgress", "Failed"] {
        more["inventory"] = json!([{"object": "Pod shop/web", "health": health}]);
        report_of(&server, CLUSTER, "shop", more.clone()).await;
        assert!(told(&mut one).await);
        quiet(&mut one, async || {
            report_of(&server, CLUSTER, "shop", more.clone()).await;
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_they_may_not_see() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let mut browser = Browser::of(&server, "ann", CLUSTER, Role::Reader).await;
    let mut all = open(&browser, "").await;
    let elsewhere = versioned(OTHER_CLUSTER, "shop");
    let numbers = AtomicU32::new(0);
    quiet(&mut all, async || {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        alice.put(&elsewhere, body(&format!("{URL}{number}"))).await;
    })
    .await;
    alice.put(&versioned(CLUSTER, "shop"), body(URL)).await;
    assert!(told(&mut all).await);
    for (query, wanted) in [
        (format!("?cluster={OTHER_CLUSTER}"), StatusCode::FORBIDDEN),
        ("?cluster=/nonsense".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(browser.events(&query).await.status(), wanted, "{query}");
    }
    browser.cookie = None;
    let nobody = browser.events("").await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn events_end_with_the_session_and_with_the_portal() {
    let server = Server::start().await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let bob = Browser::of(&server, "bob", SUBSCRIPTION, Role::Reader).await;
    let (mut hers, mut his) = (open(&ann, "").await, open(&bob, "").await);
    let csrf = ann.csrf().await;
    ann.post("/sign-out", &[("csrf", &csrf)]).await;
    // Whatever comes late, there is an end.
    while told(&mut hers).await {}
    let stopping = server.stop();
    tokio::join!(stopping, async { while told(&mut his).await {} });
}

#[tokio::test]
async fn the_pages_that_are_told_are_bounded() {
    let server =
        Server::start_with(|settings| settings.limits.viewers = 18.try_into().unwrap()).await;
    let ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let bob = Browser::of(&server, "bob", SUBSCRIPTION, Role::Reader).await;
    let mut open_pages = Vec::new();
    for _ in 0..16 {
        open_pages.push(open(&ann, "").await);
    }
    let refused = ann.events("").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    for _ in 0..2 {
        open_pages.push(open(&bob, "").await);
    }
    let refused = bob.events("").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    // A page that is closed makes room.
    open_pages.clear();
    let again = async {
        while ann.events("").await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    within(again).await;
}
