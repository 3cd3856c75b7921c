//! What the page changes, as the API would.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    super::{
        data_plane::secrets_of,
        server::{CLUSTER, SUBSCRIPTION, Server, body, versioned},
    },
    browser::Browser,
    reading::reported,
};

const PAGE: &str = "/clusters/3f1c/edge/connectedClusters/edge-07";
const SHOP: &str = "/clusters/3f1c/edge/connectedClusters/edge-07/shop";

pub(super) async fn contributor(server: &Server) -> (Browser, String) {
    let mut ann = Browser::of(server, "ann", SUBSCRIPTION, Role::Contributor).await;
    let csrf = ann.csrf().await;
    (ann, csrf)
}

/// The value of a hidden field.
pub(super) fn hidden(html: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let (_, rest) = html
        .split_once(&mark)
        .unwrap_or_else(|| panic!("{name}: {html}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_configuration_is_created_edited_suspended_synced_and_deleted() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let alice = server.contributor().await;
    let html = ann.html(&format!("/create?cluster={CLUSTER}")).await;
    assert!(html.contains(&format!("value=\"{CLUSTER}\"")));
    let page = ann
        .post(
            "/create",
            &[
                ("csrf", &csrf),
                ("cluster", CLUSTER),
                ("name", "shop"),
                ("repositoryUrl", "https://github.com/example/shop.git"),
                ("git-branch", "main"),
                ("git-path", "prod, base"),
                ("sync-garbage-collection", "on"),
                ("operatorNamespace", "shop"),
                ("operatorScope", "namespace"),
                ("credentials", "https"),
                ("httpsUser", "bot"),
                ("httpsKey", "a-canary-token"),
            ],
        )
        .await;
    assert_eq!(
        (page.status, page.location()),
        (StatusCode::SEE_OTHER, SHOP),
        "{}",
        page.html
    );
    let path = versioned(CLUSTER, "shop");
    let params = async || {
        let one = alice.get(&path).await.body;
        one["properties"]["operatorParams"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let one = alice.get(&path).await.body;
    assert_eq!(one["properties"]["operatorNamespace"], "shop");
    assert_eq!(one["properties"]["operatorScope"], "namespace");
    assert_eq!(one["systemData"]["createdBy"], "ann");
    assert_eq!(one["systemData"]["createdByType"], "User");
    assert_eq!(one["systemData"]["lastModifiedByType"], "User");
    let flags =
        "--git-readonly --git-branch=main '--git-path=prod, base' --sync-garbage-collection";
    assert_eq!(params().await, flags);
    let secrets = async || secrets_of(&server.agent(CLUSTER).await).await;
    // Base64 of what was typed.
    let kept = json!({"httpsUser": "Ym90", "httpsKey": "YS1jYW5hcnktdG9rZW4="});
    assert_eq!(secrets().await, kept);

    let html = ann.html(&format!("{SHOP}/edit")).await;
    assert!(!html.contains("canary") && !html.contains("YS1jYW5h"));
    let etag = hidden(&html, "etag");
    let edit = |branch: &'static str| {
        [
            ("csrf", csrf.clone()),
            ("etag", etag.clone()),
            (
                "repositoryUrl",
                "https://github.com/example/shop.git".to_owned(),
            ),
            ("git-branch", branch.to_owned()),
            ("operatorNamespace", "shop".to_owned()),
            ("operatorScope", "namespace".to_owned()),
            ("operatorParams", "--git-readonly".to_owned()),
            ("credentials", "keep".to_owned()),
        ]
    };
    let borrowed =
        |form: &[(&'static str, String); 8]| -> Vec<(&'static str, String)> { form.to_vec() };
    let send = async |ann: &mut Browser, branch| {
        let form = borrowed(&edit(branch));
        let form: Vec<(&str, &str)> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ann.post(&format!("{SHOP}/edit"), &form).await
    };
    assert_eq!(send(&mut ann, "next").await.status, StatusCode::SEE_OTHER);
    assert_eq!(params().await, "--git-readonly --git-branch=next");
    assert_eq!(secrets().await, kept);
    // The same form again speaks of a version that is gone.
    let page = send(&mut ann, "late").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.html.contains("Someone changed this configuration"),
        "{}",
        page.html
    );
    assert_eq!(params().await, "--git-readonly --git-branch=next");

    for (action, flag, there) in [
        ("suspend", "--gitmoor-suspend", true),
        ("resume", "--gitmoor-suspend", false),
        ("sync", "--gitmoor-requested-at=20", true),
    ] {
        let page = ann
            .post(&format!("{SHOP}/{action}"), &[("csrf", &csrf)])
            .await;
        assert_eq!(page.location(), SHOP, "{}", page.html);
        assert_eq!(params().await.contains(flag), there, "{action}");
        assert_eq!(secrets().await, kept);
    }

    let html = ann.html(&format!("{SHOP}/delete")).await;
    let etag = hidden(&html, "etag");
    let stale = [("csrf", csrf.as_str()), ("etag", "other")];
    let page = ann.post(&format!("{SHOP}/delete"), &stale).await;
    assert_eq!(page.status, StatusCode::PRECONDITION_FAILED);
    let form = [("csrf", csrf.as_str()), ("etag", &etag)];
    let page = ann.post(&format!("{SHOP}/delete"), &form).await;
    assert_eq!(
        (page.status, page.location()),
        (StatusCode::SEE_OTHER, PAGE)
    );
    assert_eq!(alice.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn deletions_that_wait_are_confirmed_for_the_commit_that_is_shown() {
    const COMMIT: &str = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let guarded = json!({
        "complianceState": "Noncompliant", "attemptedRevision": COMMIT,
        "problems": [{"reason": "Guarded", "message": "12 of 14 objects would be deleted:\nPod a"}],
    });
    reported(
        &server,
        CLUSTER,
        "calm",
        json!({"attemptedRevision": COMMIT}),
    )
    .await;
    let html = ann.html(&SHOP.replace("shop", "calm")).await;
    assert!(!html.contains("/confirm"), "{html}");
    reported(&server, CLUSTER, "shop", guarded).await;
    let html = ann.html(SHOP).await;
    assert!(html.contains("12 of 14 objects would be deleted"));
    assert!(
        html.contains(&format!("gitmoor.io/confirm-prune={COMMIT}")),
        "the command to copy: {html}"
    );
    let confirm = format!("{SHOP}/confirm");
    assert!(html.contains(&format!("href=\"{confirm}\"")), "{html}");
    let html = ann.html(&confirm).await;
    assert!(html.contains("Confirm the deletions of 8e1f0c7"), "{html}");
    assert!(html.contains("12 of 14 objects would be deleted:\nPod a"));
    let commit = hidden(&html, "commit");
    assert_eq!(commit, COMMIT);
    // Whoever looked at another commit confirms nothing, and is told so.
    for old in [
        &[("csrf", csrf.as_str())][..],
        &[("csrf", &csrf), ("commit", &commit[1..])],
    ] {
        let page = ann.post(&confirm, old).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.html);
        assert!(page.html.contains("Another commit came since you looked"));
        assert_eq!(hidden(&page.html, "commit"), COMMIT);
    }
    let page = ann
        .post(&confirm, &[("csrf", &csrf), ("commit", &commit)])
        .await;
    assert_eq!(page.location(), SHOP, "{}", page.html);
    let alice = server.contributor().await;
    let kept = alice.get(&versioned(CLUSTER, "shop")).await.body;
    let params = kept["properties"]["operatorParams"].as_str().unwrap();
    assert!(
        params.contains(&format!("--gitmoor-confirm-prune={COMMIT}")),
        "{params}"
    );
    // It is confirmed once.
    let page = ann.get(&confirm).await;
    assert!(page.html.contains("No deletions wait"), "{}", page.html);
}

#[tokio::test]
async fn every_faulty_field_is_named_at_once_as_the_api_names_it() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let page = ann
        .post(
            "/create",
            &[
                ("csrf", &csrf),
                ("cluster", "edge-07"),
                ("name", "Shop!"),
                ("repositoryUrl", "https://bot:a-canary@git.example.net/x"),
                ("git-branch", "a b"),
                ("git-path", "../etc"),
                ("git-poll-interval", "1s"),
                ("operatorNamespace", "UPPER"),
                ("operatorScope", "namespace"),
                ("operatorParams", "--no-such-flag"),
                ("credentials", "ssh"),
                ("sshPrivateKey", "no key"),
                ("sshKnownHostsContents", "no hosts"),
            ],
        )
        .await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    for field in [
        "cluster",
        "name",
        "repositoryUrl",
        "git-branch",
        "git-path",
        "git-poll-interval",
        "operatorNamespace",
        "operatorParams",
        "sshPrivateKey",
        "sshKnownHostsContents",
    ] {
        let error = format!("id=\"{field}-error\"");
        assert!(page.html.contains(&error), "{field}: {}", page.html);
        let tied = format!("aria-describedby=\"{field}-hint {field}-error\" aria-invalid=\"true\"");
        assert!(page.html.contains(&tied), "{field}");
        assert!(page.html.contains(&format!("href=\"#{field}\"")), "{field}");
    }
    // What was typed is still there, but for the secrets.
    assert!(page.html.contains("value=\"Shop!\"") && !page.html.contains("no key"));

    let alice = server.contributor().await;
    let wrong = json!({"properties": {"repositoryUrl": "git://x/y", "operatorNamespace": "UPPER"}});
    let answer = alice.put(&versioned(CLUSTER, "shop"), wrong).await;
    let form = [
        ("csrf", csrf.as_str()),
        ("cluster", CLUSTER),
        ("name", "shop"),
        ("repositoryUrl", "git://x/y"),
        ("operatorNamespace", "UPPER"),
        ("credentials", "none"),
    ];
    let page = ann.post("/create", &form).await;
    for detail in answer.body["error"]["details"].as_array().unwrap() {
        let message = detail["message"].as_str().unwrap();
        assert!(page.html.contains(message), "{message}");
    }
    assert_eq!(
        alice.get(&versioned(CLUSTER, "shop")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn one_that_is_there_is_not_created_again() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    reported(&server, CLUSTER, "shop", json!({})).await;
    let form = [
        ("csrf", csrf.as_str()),
        ("cluster", CLUSTER),
        ("name", "shop"),
        ("repositoryUrl", "https://git.example.net/other"),
        ("credentials", "none"),
    ];
    let page = ann.post("/create", &form).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.html.contains("has a configuration of that name"));
    assert!(!ann.html(SHOP).await.contains("git.example.net/other"));
}

#[tokio::test]
async fn a_form_without_its_token_or_from_elsewhere_changes_nothing() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let (mut other, foreign) = contributor(&server).await;
    reported(&server, CLUSTER, "shop", json!({})).await;
    let alice = server.contributor().await;
    let before = alice.get(&versioned(CLUSTER, "shop")).await.body;
    let etag = before["etag"].as_str().unwrap();
    let here = [("sec-fetch-site", "same-origin")];
    let there = [("sec-fetch-site", "cross-site")];
    for action in ["edit", "suspend", "resume", "sync", "confirm", "delete"] {
        let path = format!("{SHOP}/{action}");
        for (token, headers) in [("", here), (foreign.as_str(), here), (csrf.as_str(), there)] {
            let form = [("csrf", token), ("etag", etag)];
            let page = ann.send(Method::POST, &path, &form, &headers).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{action}");
            assert!(page.html.contains("did not come from a page of the portal"));
        }
    }
    let page = other.post("/create", &[("csrf", &csrf)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    // Nor does a link.
    for action in ["suspend", "resume", "sync"] {
        let page = ann.get(&format!("{SHOP}/{action}")).await;
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(alice.get(&versioned(CLUSTER, "shop")).await.body, before);
}

#[tokio::test]
async fn who_may_not_write_by_the_api_may_not_by_the_page() {
    let server = Server::start().await;
    reported(&server, CLUSTER, "shop", json!({})).await;
    let alice = server.contributor().await;
    let before = alice.get(&versioned(CLUSTER, "shop")).await.body;
    let etag = before["etag"].as_str().unwrap();
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    let csrf = ann.csrf().await;
    let html = ann.html(SHOP).await;
    assert!(
        !html.contains("Sync now</button>") && !html.contains("/edit"),
        "{html}"
    );
    for action in ["edit", "suspend", "resume", "sync", "confirm", "delete"] {
        let form = [
            ("csrf", csrf.as_str()),
            ("etag", etag),
            ("repositoryUrl", "https://x.example/y"),
        ];
        let page = ann.post(&format!("{SHOP}/{action}"), &form).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{action}");
    }
    for action in ["edit", "delete"] {
        let page = ann.get(&format!("{SHOP}/{action}")).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{action}");
    }
    let form = [
        ("csrf", csrf.as_str()),
        ("cluster", CLUSTER),
        ("name", "blue"),
        ("repositoryUrl", "https://x.example/y"),
    ];
    assert_eq!(
        ann.post("/create", &form).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(alice.get(&versioned(CLUSTER, "shop")).await.body, before);
    assert_eq!(
        alice.get(&versioned(CLUSTER, "blue")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn commands_do_the_same_and_hold_no_secret() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let form = [
        ("csrf", csrf.as_str()),
        ("as", "commands"),
        ("cluster", CLUSTER),
        ("name", "shop"),
        ("repositoryUrl", "https://git.example.net/shop"),
        ("operatorNamespace", "shop"),
        ("credentials", "https"),
        ("httpsUser", "bot"),
        ("httpsKey", "a-canary-token"),
    ];
    let page = ann.post("/create", &form).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    for text in ["az rest --method put", "curl -X PUT", "kubectl apply -f -"] {
        assert!(page.html.contains(text), "{text}");
    }
    assert!(
        !page.html.contains("canary") && !page.html.contains("YS1jYW5h"),
        "{}",
        page.html
    );
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "shop");
    assert_eq!(alice.get(&path).await.status, StatusCode::NOT_FOUND);
    alice.put(&path, body("https://git.example.net/shop")).await;
    let html = ann.html(SHOP).await;
    for text in [
        "az rest --method delete",
        "kubectl -n &#39;default&#39; patch scc",
        "gitmoor.io/requested-at",
        &format!("{}{CLUSTER}", server.url),
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
}

#[tokio::test]
async fn commands_for_kubectl_name_a_secret_and_its_keys() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let alice = server.contributor().await;
    let mut body = body("https://git.example.net/shop");
    body["properties"]["configurationProtectedSettings"] =
        json!({"httpsUser": "Ym90", "httpsKey": "YQ=="});
    let made = alice.put(&versioned(CLUSTER, "shop"), body).await;
    let keys = "# A Secret in the agent&#39;s namespace, with these keys: username, password.";
    let html = ann.html(SHOP).await;
    assert!(html.contains(keys), "{html}");
    for (credentials, named) in [("keep", true), ("none", false)] {
        let form = [
            ("csrf", csrf.as_str()),
            ("as", "commands"),
            ("etag", made.body["etag"].as_str().unwrap()),
            ("repositoryUrl", "https://git.example.net/shop"),
            ("operatorScope", "cluster"),
            ("credentials", credentials),
        ];
        let html = ann.post(&format!("{SHOP}/edit"), &form).await.html;
        assert!(html.contains("kubectl apply -f -"), "{html}");
        assert_eq!(html.contains(keys), named, "{html}");
        assert_eq!(html.contains("secretName"), named, "{html}");
    }
}
