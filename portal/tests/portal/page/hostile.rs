//! Text of repositories, clusters and callers is text, whatever it holds.

use gitmoor_portal::identity::Role;
use reqwest::Method;
use serde_json::json;
use url::form_urlencoded;

use super::{
    super::server::{CLUSTER, SUBSCRIPTION, Server, versioned},
    browser::Browser,
    reading::{report_of, reported},
};

const SCRIPT: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'>";
const PAGE: &str = "/clusters/3f1c/edge/connectedClusters/edge-07";
const COMMIT: &str = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";

/// Nothing of [`SCRIPT`] is markup, and every link leads to a path of ours or to a known host.
fn assert_harmless(html: &str) {
    assert!(!html.contains("<script>"), "{html}");
    assert!(!html.contains("<img src=x"), "{html}");
    for link in html.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        let ours = link.starts_with('/') && !link.starts_with("//") || link.starts_with('#');
        assert!(ours || link.starts_with("https://github.com/"), "{link}");
    }
}

#[tokio::test]
async fn what_an_agent_reports_is_shown_as_text() {
    let server = Server::start().await;
    reported(&server, CLUSTER, "shop", json!({})).await;
    let report = json!({
        "complianceState": SCRIPT, "messageLevel": "Error", "message": SCRIPT,
        "attemptedRevision": SCRIPT, "appliedRevision": "javascript:alert(1)",
        "repositoryPublicKey": SCRIPT,
        "problems": [
            {"path": SCRIPT, "line": 1, "object": SCRIPT, "reason": SCRIPT, "message": SCRIPT},
            {"path": "javascript:alert(1)", "line": 1, "reason": "x", "message": "a\u{202e}b"},
        ],
    });
    report_of(&server, CLUSTER, "shop", report).await;
    let mut ann = Browser::of(&server, SCRIPT, SUBSCRIPTION, Role::Reader).await;
    for path in ["/", "/clusters", PAGE, &format!("{PAGE}/shop")] {
        assert_harmless(&ann.html(path).await);
    }
    let failed = json!({"complianceState": "Failed", "attemptedRevision": COMMIT, "problems": [
        {"path": format!("a/{SCRIPT}/../b"), "line": 1, "reason": "x", "message": "a\u{202e}b\u{2066}"},
        {"path": "a b\"><x>.yaml", "line": 1, "reason": "x", "message": "y"}]});
    report_of(&server, CLUSTER, "shop", failed).await;
    for path in ["/", &format!("{PAGE}/shop")] {
        let html = ann.html(path).await;
        assert_harmless(&html);
        assert!(html.contains("a⟨U+202E⟩b⟨U+2066⟩"), "{html}");
        assert!(html.contains("/a%20b%22%3E%3Cx%3E.yaml#L1"), "{html}");
    }
}

#[tokio::test]
async fn a_repository_that_is_no_web_address_is_no_link() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    for url in [
        "https://evil.example/github.com/o/r",
        "ssh://git@host.example/o/javascript:alert(1)",
        "https://host.example/<script>alert(1)</script>",
    ] {
        let body = json!({"properties": {"repositoryUrl": url}});
        let answer = alice.put(&versioned(CLUSTER, "shop"), body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        for path in [PAGE, &format!("{PAGE}/shop")] {
            assert_harmless(&ann.html(path).await);
        }
    }
    for url in [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a\u{202e}b.example/x",
    ] {
        let body = json!({"properties": {"repositoryUrl": url}});
        let answer = alice.put(&versioned(CLUSTER, "shop"), body).await;
        assert_eq!(answer.error(), (400, "InvalidRequestContent"), "{url}");
    }
    assert_harmless(&ann.html(&format!("{PAGE}/shop")).await);
}

#[tokio::test]
async fn a_repository_is_searched_for_as_it_is_written_and_no_webhook_is_taken() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let url = "https://h/(a+)+$[x";
    for (name, url) in [("hostile-one", url), ("other-one", "https://h/aaaa")] {
        let body = json!({"properties": {"repositoryUrl": url}});
        let answer = alice.put(&versioned(CLUSTER, name), body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let html = ann.html(&format!("{PAGE}/hostile-one")).await;
    assert!(html.contains(url), "{html}");
    for (search, found) in [
        (url, "hostile-one"),
        ("(a+)+$", "hostile-one"),
        ("[x", "hostile-one"),
        ("aaaa", "other-one"),
    ] {
        let query = form_urlencoded::byte_serialize(search.as_bytes());
        let path = format!("/configurations?q={}", query.collect::<String>());
        let html = ann.html(&path).await;
        for name in ["hostile-one", "other-one"] {
            assert_eq!(html.contains(name), name == found, "{search}: {html}");
        }
    }
    for path in ["/hook/x", "/hook", "/webhook", "/api/webhook"] {
        let event = json!({"repository": {"clone_url": url, "html_url": url}});
        let answer = alice.send(Method::POST, path, event).await;
        assert_eq!(answer.status, 404, "{path}");
        let page = ann.post(path, &[("payload", url)]).await;
        assert_eq!(page.status, 401, "{path}");
    }
}

#[tokio::test]
async fn tags_and_searches_are_shown_as_text() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let group = format!("{SUBSCRIPTION}/resourceGroups/edge?api-version=2022-12-01");
    alice.put(&group, json!({"location": SCRIPT})).await;
    let tags = json!({"owner": SCRIPT, "\u{202e}x\"'": "\u{2066}y"});
    let body = json!({"location": SCRIPT, "properties": {}, "tags": tags});
    let answer = alice
        .put(&format!("{CLUSTER}?api-version=2024-01-01"), body)
        .await;
    assert!(answer.status.is_success(), "{}", answer.text);
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let query = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        PAGE.to_owned(),
        "/clusters".to_owned(),
        "/clusters?group=owner".to_owned(),
        format!("/clusters?q={query}&group={query}&state={query}&page={query}"),
    ] {
        let html = ann.html(&path).await;
        assert_harmless(&html);
        assert!(!html.contains('\u{202e}'), "{path}");
    }
    let page = ann.get(&format!("/clusters/{query}/a/b/c")).await;
    assert_harmless(&page.html);
    assert!(page.status.is_client_error());
}
