//! What the page shows, and to whom.

use gitmoor_portal::{GitHost, identity::Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::server::{
        Body, CLUSTER, OTHER_CLUSTER, SUBSCRIPTION, Server, body, data_plane, versioned,
    },
    browser::Browser,
};

const URL: &str = "https://github.com/example/shop.git";
const COMMIT: &str = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";
const PAGE: &str = "/clusters/3f1c/edge/connectedClusters/edge-07";

/// Makes a configuration, and reports on it as its agent would.
pub(in super::super) async fn reported(server: &Server, cluster: &str, name: &str, report: Value) {
    let alice = server.contributor().await;
    let made = alice.put(&versioned(cluster, name), body(URL)).await;
    assert!(made.status.is_success(), "{}", made.text);
    report_of(server, cluster, name, report).await;
}

/// Reports on one that is there.
pub(in super::super) async fn report_of(
    server: &Server,
    cluster: &str,
    name: &str,
    mut report: Value,
) {
    let agent = server.agent(cluster).await;
    let (listed, _) = agent.pages(&data_plane(cluster)).await;
    let one = listed.iter().find(|one| one["name"] == name).unwrap();
    report["observedEtag"] = one["etag"].clone();
    let path = format!("{}/{name}/status", data_plane(cluster));
    let answer = agent.put(&path, report).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
}

/// The part of a page that tells what happened in the course of time.
pub(super) fn timeline(html: &str) -> &str {
    let (_, timeline) = html.split_once("Timeline").unwrap();
    timeline.split_once("</ol>").unwrap().0
}

pub(super) fn failed() -> Value {
    json!({
        "complianceState": "Noncompliant", "messageLevel": "Error",
        "message": "1 of 12 objects is not as the commit says",
        "attemptedRevision": COMMIT, "appliedRevision": COMMIT,
        "objects": {"total": 12, "changed": 3, "pruned": 1, "healed": 2, "problems": 1},
        "problems": [{"path": "prod/web.yaml", "line": 17, "object": "Deployment.apps shop/web",
            "reason": "Invalid", "message": "spec.replicas: must not be negative"}],
    })
}

pub(super) fn compliant() -> Value {
    json!({"complianceState": "Compliant", "messageLevel": "Information", "message": "applied"})
}

#[tokio::test]
async fn the_overview_shows_what_is_wrong_the_worst_first() {
    let server = Server::start().await;
    let mut browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    assert!(
        browser
            .html("/")
            .await
            .contains("There is nothing here yet.")
    );
    reported(&server, CLUSTER, "fine", compliant()).await;
    assert!(browser.html("/").await.contains("Nothing is wrong."));
    reported(&server, CLUSTER, "odd", failed()).await;
    let broken = json!({"complianceState": "Failed", "messageLevel": "Error", "message": "no such repository"});
    reported(&server, OTHER_CLUSTER, "broken", broken).await;
    let html = browser.html("/").await;
    assert!(html.contains("2 things need someone."));
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
    assert!(place("no such repository") < place("must not be negative"));
    assert!(!html.contains("<bdi>fine</bdi>"));
    let link = format!("https://github.com/example/shop/blob/{COMMIT}/prod/web.yaml#L17");
    assert!(html.contains(&format!("href=\"{link}\"")));
    assert!(html.contains("prod/web.yaml:17"));
}

#[tokio::test]
async fn a_configuration_shows_all_that_is_known() {
    let server = Server::start().await;
    let mut browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let mut report = failed();
    report["repositoryPublicKey"] = "ssh-ed25519 AAAAC3 gitmoor".into();
    report["appliedCommit"] = json!({
        "author": "Ann <script>", "authoredAt": "2026-11-20T10:00:00Z", "title": "Fewer replicas",
    });
    report["inventory"] = json!([
        {"object": "Deployment.apps shop/web", "health": "InProgress", "message": "1 of 2 replicas"},
        {"object": "ConfigMap shop/words", "health": "Current"},
    ]);
    report["drifts"] = json!([{"object": "Service shop/web", "time": "2026-11-20T10:00:00Z",
        "deleted": true, "manager": "kubectl-<edit>"}]);
    reported(&server, CLUSTER, "shop", compliant()).await;
    report_of(&server, CLUSTER, "shop", report.clone()).await;
    report_of(&server, CLUSTER, "shop", report).await;
    let html = browser.html(&format!("{PAGE}/shop")).await;
    for text in [
        URL,
        "Noncompliant",
        "the default branch",
        "8e1f0c7a",
        &format!("href=\"https://github.com/example/shop/commit/{COMMIT}\""),
        "<b>12</b> objects",
        "<b>2</b> drifts healed",
        "Deployment.apps shop/web",
        "must not be negative",
        "ssh-ed25519 AAAAC3 gitmoor",
        "by <bdi>alice</bdi>",
        "<bdi>Ann &#60;script&#62;</bdi>",
        "<bdi>Fewer replicas</bdi>",
        "1 of 2 replicas",
        "deleted by kubectl-&#60;edit&#62;",
        "ConfigMap shop/words",
        "10 more are not listed",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    // Twice the same is said once.
    let timeline = timeline(&html);
    assert_eq!(timeline.matches("<li").count(), 2, "{timeline}");
    let html = browser.html(PAGE).await;
    assert!(html.contains("Noncompliant") && html.contains("8e1f0c7a"));
    let page = browser.get(&format!("{PAGE}/none")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_visitor_sees_what_the_api_would_show_them() {
    let server = Server::start().await;
    reported(&server, CLUSTER, "shop", failed()).await;
    reported(&server, OTHER_CLUSTER, "blue", failed()).await;
    let mut ann = Browser::of(&server, "ann", CLUSTER, Role::Reader).await;
    for path in ["/", "/clusters"] {
        let html = ann.html(path).await;
        assert!(
            html.contains("edge-07") && !html.contains("edge-08"),
            "{html}"
        );
    }
    let other = PAGE.replace("-07", "-08");
    for path in [other.clone(), format!("{other}/blue")] {
        let page = ann.get(&path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.html.contains("does not have authorization"));
    }
    let mut agent = Browser::of(&server, "agent", CLUSTER, Role::Agent).await;
    assert!(!agent.html("/clusters").await.contains("edge-07"));
    assert_eq!(
        agent.get(&format!("{PAGE}/shop")).await.status,
        StatusCode::FORBIDDEN
    );
}

pub(super) async fn registered(server: &Server, clusters: usize) {
    let alice = server.contributor().await;
    let group = format!("{SUBSCRIPTION}/resourceGroups/edge?api-version=2022-12-01");
    alice.put(&group, json!({"location": "westeurope"})).await;
    for number in 0..clusters {
        let path = CLUSTER.replace("edge-07", &format!("cluster-{number:04}"));
        let ring = ["canary", "early", "late"][number % 3];
        let body = json!({"location": "westeurope", "properties": {"agentPublicKeyCertificate": ""},
            "tags": {"ring": ring, "site": format!("store-{number:04}"), "owner": "retail"}});
        let answer = alice
            .put(&format!("{path}?api-version=2024-01-01"), body)
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
}

#[tokio::test]
async fn clusters_are_searched_filtered_and_grouped_by_tag() {
    let server = Server::start().await;
    registered(&server, 9).await;
    reported(&server, CLUSTER, "shop", failed()).await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let rows = |html: &str| html.matches("<th scope=\"row\">").count();
    for (query, wanted) in [
        ("", 10),
        ("?q=cluster", 9),
        ("?q=RING%3Dcanary", 3),
        ("?q=ring%3Dcanary+store-0003", 1),
        ("?q=example%2Fshop", 1),
        ("?q=nothing", 0),
        ("?state=noncompliant", 1),
        // A cluster has the state of its agent beside those of its configurations.
        ("?state=connecting", 9),
        ("?state=connecting&q=late", 3),
        ("?state=nonsense", 10),
        ("?page=99", 10),
    ] {
        let html = ann.html(&format!("/clusters{query}")).await;
        assert_eq!(rows(&html), wanted, "{query}");
    }
    let html = ann.html("/clusters?group=ring").await;
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("<bdi>ring=canary") < place("<bdi>ring=early"));
    assert!(place("<bdi>ring=late") < place("<bdi>without ring"));
}

#[tokio::test]
async fn a_page_of_clusters_is_small_and_the_next_one_is_linked() {
    let server = Server::start().await;
    registered(&server, 120).await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let html = ann.html("/clusters").await;
    assert_eq!(html.matches("<th scope=\"row\">").count(), 100);
    let style = include_str!("../../../assets/page.css");
    let script = include_str!("../../../assets/page.js");
    let weight = html.len() + style.len() + script.len();
    assert!(
        weight < 60_000,
        "{} + {} + {}",
        html.len(),
        style.len(),
        script.len()
    );
    assert!(html.contains("rel=\"next\" href=\"/clusters?page=2\""));
    let html = ann.html("/clusters?page=2").await;
    assert_eq!(html.matches("<th scope=\"row\">").count(), 20);
}

#[tokio::test]
async fn an_agent_that_calls_is_seen_at_once() {
    let server = Server::start().await;
    registered(&server, 1).await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let path = CLUSTER.replace("edge-07", "cluster-0000");
    assert!(ann.html("/clusters").await.contains("Never seen"));
    let agent = server.agent(&path).await;
    let headers = [
        ("user-agent", "gitmoor/0.1.0"),
        ("gitmoor-kubernetes-version", "1.34.1"),
        ("gitmoor-nodes", "3"),
    ];
    agent
        .send_with(Method::GET, &data_plane(&path), Body::None, &headers)
        .await;
    let html = ann.html("/clusters").await;
    for shown in ["just now", "0.1.0", "Kubernetes 1.34.1, 3 nodes"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    let own = ann.html(&PAGE.replace("edge-07", "cluster-0000")).await;
    assert!(
        own.contains("1.34.1") && own.contains("<dd>3</dd>"),
        "{own}"
    );
    assert!(html.contains("Nothing to do"));
}

#[tokio::test]
async fn lists_show_what_was_written_before_however_much_it_is() {
    let server = Server::start().await;
    registered(&server, 20).await;
    let alice = server.contributor().await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let rows = |html: &str| html.matches("<th scope=\"row\">").count();
    let at = |number: usize| {
        let path = CLUSTER.replace("edge-07", &format!("cluster-{number:04}"));
        format!("{path}?api-version=2024-01-01")
    };
    assert_eq!(rows(&ann.html("/clusters").await), 20);
    // As many as are read one by one, and more.
    for number in [1, 16, 17] {
        for one in 0..number {
            let tags = Body::Json(json!({"tags": {"ring": format!("of-{number}")}}));
            let tagged = alice.send(Method::PATCH, &at(one), tags).await;
            assert_eq!(tagged.status, StatusCode::OK, "{}", tagged.text);
        }
        let html = ann.html(&format!("/clusters?q=of-{number}")).await;
        assert_eq!(rows(&html), number, "{html}");
    }
    alice.delete(&at(3)).await;
    let html = ann.html("/clusters").await;
    assert_eq!(rows(&html), 19);
    assert!(!html.contains("cluster-0003"), "{html}");
}

#[tokio::test]
async fn browsers_get_a_page_where_there_is_none_and_others_what_the_api_says() {
    let server = Server::start().await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in ["/favicon.ico", "/clusterz", "/subscriptions/3f1c"] {
        let page = ann.send(Method::GET, path, &[], &html).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.html.contains("There is no page at this address."));
        assert!(page.headers.contains_key("content-security-policy"));
        let page = ann.send(Method::GET, path, &[], &[]).await;
        assert!(page.html.starts_with("{\"error\""), "{path}: {}", page.html);
    }
}

#[tokio::test]
async fn lines_are_linked_at_a_git_host_of_ones_own() {
    let server = Server::start_with(|settings| {
        settings
            .git_hosts
            .insert("git.example.net".to_owned(), GitHost::Gitlab);
    })
    .await;
    let alice = server.contributor().await;
    let url = "https://git.example.net/g/shop.git";
    alice.put(&versioned(CLUSTER, "shop"), body(url)).await;
    report_of(&server, CLUSTER, "shop", failed()).await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let link = format!("https://git.example.net/g/shop/-/blob/{COMMIT}/prod/web.yaml#L17");
    for page in ["/".to_owned(), format!("{PAGE}/shop")] {
        let html = ann.html(&page).await;
        assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    }
}
