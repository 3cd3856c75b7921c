//! What a person on call is told in the course of time: since when, by whom, and whether it still holds.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::server::{
        Body, CLUSTER, OTHER_CLUSTER, SUBSCRIPTION, Server, body, data_plane, versioned,
    },
    browser::Browser,
    reading::{compliant, failed, registered, report_of, reported, timeline},
};

const PAGE: &str = "/clusters/3f1c/edge/connectedClusters/edge-07";
const SHOP: &str = "/clusters/3f1c/edge/connectedClusters/edge-07/shop";
const COMMIT: &str = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";
const BEFORE: &str = "17c2ab90d4e5f6a7b8c9d0e1f2a3b4c5d6e7f809";

async fn reader(server: &Server) -> Browser {
    Browser::of(server, "ann", SUBSCRIPTION, Role::Reader).await
}

fn pending() -> Value {
    json!({"complianceState": "Pending", "messageLevel": "Information", "message": "applying"})
}

#[tokio::test]
async fn a_rollout_is_slow_by_its_own_time_and_not_by_that_of_the_last_edit() {
    const OLD: &str = "UPDATE configuration SET last_modified_at = '2026-01-01T00:00:00Z'";
    let server = Server::start().await;
    reported(&server, CLUSTER, "shop", pending()).await;
    let server = server.after(&[OLD]).await;
    let mut ann = reader(&server).await;
    assert!(ann.html("/").await.contains("Nothing is wrong."));
    // One of which nothing was ever said is.
    let alice = server.contributor().await;
    let made = alice
        .put(
            &versioned(CLUSTER, "blue"),
            body("https://git.example.net/b"),
        )
        .await;
    assert!(made.status.is_success());
    let server = server.after(&[OLD]).await;
    let mut ann = reader(&server).await;
    let html = ann.html("/").await;
    assert!(html.contains("1 thing needs someone."), "{html}");
    assert!(html.contains("Its cluster has not said anything of it."));
}

#[tokio::test]
async fn what_was_reported_before_a_change_is_shown_as_that() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let mut ann = reader(&server).await;
    let change = async |url: &str| {
        let answer = alice.put(&versioned(CLUSTER, "shop"), body(url)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        // ARM's callers are told that nothing is known.
        let status = &answer.body["properties"]["complianceStatus"];
        assert_eq!(status["complianceState"], "Pending");
    };
    reported(&server, CLUSTER, "shop", failed()).await;
    let earlier = "This is its last report, from before the last change";
    assert!(!ann.html(SHOP).await.contains(earlier));
    change("https://github.com/example/other.git").await;
    for page in ["/", SHOP] {
        let html = ann.html(page).await;
        assert!(html.contains(earlier), "{page}: {html}");
        assert!(html.contains("must not be negative"), "{page}");
        assert!(html.contains("Noncompliant"), "{page}");
    }
    // That it is as it was is news: it is said of what there is now.
    report_of(&server, CLUSTER, "shop", failed()).await;
    let html = ann.html(SHOP).await;
    assert!(!html.contains(earlier), "{html}");
    let timeline = timeline(&html);
    assert_eq!(timeline.matches("<li").count(), 1, "{timeline}");
    // What was right may not be any more.
    report_of(&server, CLUSTER, "shop", compliant()).await;
    assert!(ann.html(SHOP).await.contains(">Compliant</b> <span"));
    change("https://github.com/example/third.git").await;
    let html = ann.html(SHOP).await;
    assert!(html.contains("Waiting for the cluster to say how it is"));
    assert!(!html.contains(">Compliant</b> <span"), "{html}");
}

#[tokio::test]
async fn a_cluster_whose_agent_calls_no_more_is_offline_wherever_it_is_shown() {
    const OLD: &str = "UPDATE presence SET last_seen = '2026-01-01T00:00:00Z'";
    let server = Server::start().await;
    registered(&server, 1).await;
    let path = CLUSTER.replace("edge-07", "cluster-0000");
    let page = PAGE.replace("edge-07", "cluster-0000");
    reported(&server, &path, "shop", compliant()).await;
    let server = server.after(&[OLD]).await;
    let mut ann = reader(&server).await;
    let html = ann.html("/").await;
    assert!(html.contains("1 thing needs someone."), "{html}");
    assert!(html.contains("Its agent has not called: of its 1 configuration nothing newer"));
    for place in [page.clone(), format!("{page}/shop")] {
        let html = ann.html(&place).await;
        assert!(html.contains("This cluster is offline"), "{html}");
        assert!(html.contains("datetime=\"2026-01-01T00:00:00Z\""), "{html}");
    }
    // It is found by its state, and by those of its configurations.
    for list in [
        "/clusters?state=offline",
        "/clusters?state=compliant",
        "/configurations?state=compliant",
    ] {
        let html = ann.html(list).await;
        assert!(
            html.contains("cluster-0000") && html.contains("Offline"),
            "{list}: {html}"
        );
    }
    let agent = server.agent(&path).await;
    agent
        .send(Method::GET, &data_plane(&path), Body::None)
        .await;
    assert!(ann.html("/").await.contains("Nothing is wrong."));
    assert!(!ann.html(&page).await.contains("offline"));
}

#[tokio::test]
async fn a_number_of_the_overview_leads_to_what_it_counts() {
    let server = Server::start().await;
    reported(
        &server,
        CLUSTER,
        "broken",
        json!({"complianceState": "Failed"}),
    )
    .await;
    reported(&server, CLUSTER, "odd", failed()).await;
    reported(&server, CLUSTER, "fine", compliant()).await;
    reported(&server, OTHER_CLUSTER, "odd", failed()).await;
    let mut ann = reader(&server).await;
    let html = ann.html("/").await;
    for (state, number) in [("failed", 1), ("noncompliant", 2), ("compliant", 1)] {
        let link = format!("/configurations?state={state}");
        assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
        let list = ann.html(&link).await;
        assert_eq!(list.matches("<th scope=\"row\">").count(), number, "{list}");
        // A cluster is found by each of its states.
        let list = ann.html(&format!("/clusters?state={state}")).await;
        assert!(list.contains("edge-07"), "{state}: {list}");
    }
    let list = ann.html("/configurations?q=edge-08").await;
    assert!(list.contains("1 configuration of 4"), "{list}");
    let mut bob = Browser::of(&server, "bob", OTHER_CLUSTER, Role::Reader).await;
    let list = bob.html("/configurations").await;
    assert!(
        list.contains("edge-08") && !list.contains("edge-07"),
        "{list}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_paged_and_not_cut() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let agent = server.agent(CLUSTER).await;
    for number in 0..103 {
        let name = format!("shop-{number:03}");
        let made = alice
            .put(
                &versioned(CLUSTER, &name),
                body("https://git.example.net/b"),
            )
            .await;
        let mut report = failed();
        report["observedEtag"] = made.body["etag"].clone();
        let path = format!("{}/{name}/status", data_plane(CLUSTER));
        assert_eq!(
            agent.put(&path, report).await.status,
            StatusCode::NO_CONTENT
        );
    }
    let mut ann = reader(&server).await;
    let html = ann.html("/").await;
    assert!(html.contains("103 things need someone."));
    assert!(html.contains("rel=\"next\" href=\"/?page=2\""), "{html}");
    let html = ann.html("/?page=2").await;
    assert!(
        html.contains("shop-102") && !html.contains("shop-099"),
        "{html}"
    );
    assert!(html.contains("rel=\"prev\" href=\"/\""), "{html}");
    let html = ann.html("/configurations?page=2").await;
    assert!(
        html.contains("shop-102") && !html.contains("shop-099"),
        "{html}"
    );
}

#[tokio::test]
async fn the_timeline_has_an_entry_for_each_state_and_commit_and_not_for_each_step() {
    let server = Server::start().await;
    let mut ann = reader(&server).await;
    let applying = |done: u32| {
        let mut report = pending();
        report["message"] = format!("{done} of 12 objects are applied").into();
        report["attemptedRevision"] = COMMIT.into();
        report["appliedRevision"] = BEFORE.into();
        report["objects"] =
            json!({"total": 12, "changed": done, "pruned": 0, "healed": 0, "problems": 0});
        report
    };
    let applied = |healed: u32| {
        let mut report = compliant();
        report["attemptedRevision"] = COMMIT.into();
        report["appliedRevision"] = COMMIT.into();
        report["appliedCommit"] = json!({
            "author": "Ada", "authoredAt": "2026-11-20T10:00:00Z", "title": "Port 8080",
        });
        report["objects"] =
            json!({"total": 12, "changed": 0, "pruned": 0, "healed": healed, "problems": 0});
        report["message"] = format!("{healed} drifts were put right").into();
        report
    };
    reported(&server, CLUSTER, "shop", applying(0)).await;
    for report in [
        applying(5),
        applying(11),
        applied(0),
        applied(1),
        applied(2),
    ] {
        report_of(&server, CLUSTER, "shop", report).await;
    }
    let html = ann.html(SHOP).await;
    let timeline = timeline(&html);
    assert_eq!(timeline.matches("<li").count(), 2, "{timeline}");
    for text in [
        "2 drifts were put right",
        "11 of 12 objects",
        "Ada: Port 8080",
        " UTC, ",
        "so far",
    ] {
        assert!(timeline.contains(text), "{text}: {timeline}");
    }
    assert!(!timeline.contains("5 of 12"), "{timeline}");
}
