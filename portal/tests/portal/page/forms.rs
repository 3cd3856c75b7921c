//! What forms keep, and what they offer to whom.

use gitmoor_portal::identity::Role;
use reqwest::StatusCode;
use serde_json::json;

use super::{
    super::{
        data_plane::secrets_of,
        server::{CLUSTER, SUBSCRIPTION, Server, body, versioned},
    },
    browser::Browser,
    reading::reported,
    writing::{contributor, hidden},
};

const PAGE: &str = "/clusters/3f1c/edge/connectedClusters/edge-07";
const SHOP: &str = "/clusters/3f1c/edge/connectedClusters/edge-07/shop";

#[tokio::test]
async fn chosen_credentials_are_not_left_empty_and_others_are_kept() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let alice = server.contributor().await;
    let authorities = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let mut form = vec![
        ("csrf", csrf.as_str()),
        ("cluster", CLUSTER),
        ("name", "shop"),
        ("repositoryUrl", "https://git.example.net/shop"),
        ("operatorNamespace", "shop"),
        ("httpsCACert", authorities),
        ("sshKnownHostsContents", "what a hidden field holds"),
        ("httpsUser", "bot"),
    ];
    for (kind, faulty) in [("https", "httpsKey"), ("ssh", "sshPrivateKey")] {
        form.push(("credentials", kind));
        let page = ann.post("/create", &form).await;
        form.pop();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(
            page.html.contains(&format!("id=\"{faulty}-error\"")),
            "{}",
            page.html
        );
        assert!(page.html.contains("value=\"bot\""));
    }
    form.extend([("credentials", "https"), ("httpsKey", "a-canary-token")]);
    form.push(("git-poll-interval", "1s"));
    let page = ann.post("/create", &form).await;
    assert!(
        page.html.contains("Fill in the secret once more"),
        "{}",
        page.html
    );
    assert!(!page.html.contains("canary"));
    form.pop();
    let page = ann.post("/create", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
    let secrets = async || {
        let settings = secrets_of(&server.agent(CLUSTER).await).await;
        let names = settings.as_object().unwrap().keys().cloned();
        names.collect::<Vec<_>>()
    };
    assert_eq!(secrets().await, ["httpsCACert", "httpsKey", "httpsUser"]);
    let mut edit = async |fields: &[(&str, &str)]| {
        let html = ann.html(&format!("{SHOP}/edit")).await;
        let etag = hidden(&html, "etag");
        let mut form = vec![
            ("csrf", csrf.as_str()),
            ("etag", &etag),
            ("repositoryUrl", "https://git.example.net/shop"),
            ("operatorNamespace", "shop"),
        ];
        form.extend(fields);
        let before = secrets().await;
        let commands = [&form[..], &[("as", "commands")]].concat();
        let shown = ann.post(&format!("{SHOP}/edit"), &commands).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.html);
        assert_eq!(secrets().await, before);
        let page = ann.post(&format!("{SHOP}/edit"), &form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
        // The commands do the same.
        let after = written_secrets(&shown.html).unwrap_or(before);
        assert_eq!(secrets().await, after, "{}", shown.html);
        html
    };
    edit(&[("credentials", "keep")]).await;
    assert_eq!(secrets().await, ["httpsCACert", "httpsKey", "httpsUser"]);
    let html = edit(&[("credentials", "none")]).await;
    assert!(html.contains("There are some, which are not shown"));
    assert_eq!(secrets().await, ["httpsCACert"]);
    edit(&[
        ("credentials", "https"),
        ("httpsUser", "bot"),
        ("httpsKey", "b"),
    ])
    .await;
    assert_eq!(secrets().await, ["httpsCACert", "httpsKey", "httpsUser"]);
    edit(&[("credentials", "keep"), ("withoutAuthorities", "on")]).await;
    assert_eq!(secrets().await, ["httpsKey", "httpsUser"]);
    edit(&[("credentials", "keep"), ("httpsCACert", authorities)]).await;
    assert_eq!(secrets().await, ["httpsCACert", "httpsKey", "httpsUser"]);
    edit(&[("credentials", "none"), ("withoutAuthorities", "on")]).await;
    assert_eq!(secrets().await, [""; 0]);
    let kept = alice.get(&versioned(CLUSTER, "shop")).await.body;
    assert_eq!(kept["properties"]["sshKnownHostsContents"], "");
}

/// The names of the secrets that the first command of a page writes, if it writes any or takes them
/// away.
fn written_secrets(html: &str) -> Option<Vec<String>> {
    let (_, secrets) = html.split_once("configurationProtectedSettings&#34;:{")?;
    let (secrets, _) = secrets.split_once('}').unwrap();
    let quoted = secrets.split("&#34;");
    let names = ["httpsCACert", "httpsKey", "httpsUser", "sshPrivateKey"];
    let mut found: Vec<_> = quoted.filter(|text| names.contains(text)).collect();
    found.sort_unstable();
    Some(found.into_iter().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_key_that_is_kept_is_not_sent_to_another_server() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let alice = server.contributor().await;
    let mut there = body("https://git.example.net/shop");
    there["properties"]["configurationProtectedSettings"] =
        json!({"httpsUser": "Ym90", "httpsKey": "cGFzcw=="});
    alice.put(&versioned(CLUSTER, "shop"), there).await;
    let html = ann.html(&format!("{SHOP}/edit")).await;
    let etag = hidden(&html, "etag");
    let mut form = vec![
        ("csrf", csrf.as_str()),
        ("etag", &etag),
        ("repositoryUrl", "https://evil.example.net/shop"),
        ("credentials", "keep"),
    ];
    for how in [None, Some(("as", "commands"))] {
        form.extend(how);
        let page = ann.post(&format!("{SHOP}/edit"), &form).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(
            page.html.contains("id=\"repositoryUrl-error\"")
                && page.html.contains("was given for git.example.net"),
            "{}",
            page.html
        );
    }
    form.truncate(3);
    form.push(("credentials", "none"));
    let page = ann.post(&format!("{SHOP}/edit"), &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
    assert_eq!(secrets_of(&server.agent(CLUSTER).await).await, json!({}));
}

#[tokio::test]
async fn a_conflict_shows_what_would_be_written_over_and_whose_it_is() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    reported(&server, CLUSTER, "shop", json!({})).await;
    let html = ann.html(&format!("{SHOP}/edit")).await;
    let (etag, alice) = (hidden(&html, "etag"), server.contributor().await);
    let mut there = body("https://github.com/example/shop.git");
    there["properties"]["operatorParams"] = "--git-branch=stable".into();
    alice.put(&versioned(CLUSTER, "shop"), there).await;
    let form = |etag: &str| {
        [
            ("csrf", csrf.clone()),
            ("etag", etag.to_owned()),
            (
                "repositoryUrl",
                "https://github.com/example/shop.git".to_owned(),
            ),
            ("git-branch", "wild".to_owned()),
            ("credentials", "keep".to_owned()),
        ]
    };
    let send = async |ann: &mut Browser, etag: &str| {
        let form = form(etag);
        let form: Vec<(&str, &str)> = form.iter().map(|(name, text)| (*name, &**text)).collect();
        ann.post(&format!("{SHOP}/edit"), &form).await
    };
    let page = send(&mut ann, &etag).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let (_, conflict) = page.html.split_once("Someone changed this").unwrap();
    let (conflict, _) = conflict.split_once("</table>").unwrap();
    for text in [
        "<bdi>alice</bdi>",
        "Branch",
        "<bdi>wild</bdi>",
        "<bdi>stable</bdi>",
    ] {
        assert!(conflict.contains(text), "{text}: {conflict}");
    }
    assert!(!conflict.contains("github.com"), "{conflict}");
    let page = send(&mut ann, &hidden(&page.html, "etag")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let server = Server::start().await;
    reported(&server, CLUSTER, "shop", json!({})).await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    for path in [SHOP, PAGE] {
        let html = ann.html(path).await;
        assert!(html.contains("You may only read here."), "{html}");
        assert!(!html.contains("az rest"), "{html}");
    }
    for path in [
        "/create".to_owned(),
        format!("/create?cluster={CLUSTER}"),
        format!("{SHOP}/confirm"),
    ] {
        assert_eq!(ann.get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let mut agent = Browser::of(&server, "agent", CLUSTER, Role::Agent).await;
    let html = agent.html("/").await;
    assert!(html.contains("no role with which to read"), "{html}");
    // What is sent after the end of a session is lost, and not silently.
    ann.cookie = None;
    let page = ann.post(&format!("{SHOP}/edit"), &[]).await;
    assert_eq!(page.location(), "/sign-in?lost=yes");
    assert!(
        ann.html("/sign-in?lost=yes")
            .await
            .contains("nothing was written")
    );
}

#[tokio::test]
async fn a_part_of_a_flux_configuration_is_not_offered_to_be_changed() {
    let server = Server::start().await;
    let (mut ann, csrf) = contributor(&server).await;
    let alice = server.contributor().await;
    let flux = format!(
        "{CLUSTER}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/a?api-version=2025-04-01"
    );
    let body = json!({"properties": {
        "namespace": "a", "scope": "namespace", "sourceKind": "GitRepository",
        "gitRepository": {"url": "https://git.example.net/a", "repositoryRef": {"branch": "main"}},
        "kustomizations": {"b": {"path": "./b", "wait": true}},
    }});
    let made = alice.put(&flux, body).await;
    assert!(made.status.is_success(), "{}", made.text);
    let part = format!("{PAGE}/a--b");
    let html = ann.html(&part).await;
    assert!(
        html.contains("a part of the fluxConfiguration <bdi>a</bdi>"),
        "{html}"
    );
    for text in ["/edit\"", "Sync now", "/delete\"", "az rest"] {
        assert!(!html.contains(text), "{text}: {html}");
    }
    for action in ["edit", "delete", "confirm"] {
        let page = ann.get(&format!("{part}/{action}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.html.contains("write that one"), "{}", page.html);
    }
    let page = ann.post(&format!("{part}/sync"), &[("csrf", &csrf)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}
