//! Who gets in, how, and for how long.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};

use super::{
    super::{
        log::Log,
        server::{Body, CLUSTER, Caller, SUBSCRIPTION, Server, within},
    },
    browser::Browser,
};

/// A portal that nobody has signed in to yet, and the code of the link in its log.
pub(in super::super) async fn started_with_its_link() -> (Server, String) {
    let (log, _guard) = Log::capture();
    let server = Server::start().await;
    let code = within(async {
        loop {
            if let Some((_, rest)) = log.text().split_once("/sign-in/link?code=") {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
            tokio::task::yield_now().await;
        }
    });
    (server, code.await)
}

#[tokio::test]
async fn without_a_session_every_page_leads_to_the_sign_in() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    for path in ["/", "/clusters", "/clusters/s/g/connectedClusters/c/shop"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert!(page.location().starts_with("/sign-in"), "{path}");
    }
    browser.cookie = Some("__Host-gitmoor=forged".to_owned());
    let page = browser.get("/clusters?q=a").await;
    assert_eq!(page.location(), "/sign-in?then=%2Fclusters%3Fq%3Da");
    assert!(browser.html("/sign-in").await.contains("Sign in"));
}

#[tokio::test]
async fn a_link_signs_in_once_and_looking_at_it_does_not_use_it_up() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let ann = store.create_principal("ann", &scope, Role::Reader).await;
    let code = store.create_sign_in_link(ann.unwrap().id()).await.unwrap();
    let path = format!("/sign-in/link?code={}", code.expose());
    let mut browser = Browser::new(&server);
    for _ in 0..2 {
        assert!(browser.html(&path).await.contains("signs you in as"));
        assert_eq!(browser.cookie, None);
    }
    let form = [("code", code.expose())];
    let foreign = [("sec-fetch-site", "cross-site")];
    let page = browser
        .send(Method::POST, "/sign-in/link", &form, &foreign)
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let page = browser.post("/sign-in/link", &form).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/"));
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    for part in [
        "__Host-gitmoor=",
        "; Path=/;",
        "; Secure",
        "; HttpOnly",
        "; SameSite=Lax",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(browser.html("/").await.contains("<bdi>ann</bdi>"));
    let mut second = Browser::new(&server);
    assert_eq!(second.get(&path).await.status, StatusCode::FORBIDDEN);
    let page = second.post("/sign-in/link", &form).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(second.cookie, None);
}

#[tokio::test]
async fn a_link_says_whom_it_signs_in_and_who_is_signed_in_and_ends_that() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let mut bob = Browser::of(&server, "bob", SUBSCRIPTION, Role::Reader).await;
    let ann = store.create_principal("ann", &scope, Role::Reader).await;
    let code = store.create_sign_in_link(ann.unwrap().id()).await.unwrap();
    let path = format!("/sign-in/link?code={}", code.expose());
    let html = Browser::new(&server).html(&path).await;
    assert!(html.contains("<bdi>ann</bdi>") && !html.contains("You are signed in"));
    let html = bob.html(&path).await;
    assert!(
        html.contains("You are signed in as <strong><bdi>bob</bdi>"),
        "{html}"
    );
    assert!(bob.html("/").await.contains("<bdi>bob</bdi>"));
    let before = bob.cookie.clone();
    bob.post("/sign-in/link", &[("code", code.expose())]).await;
    assert!(bob.html("/").await.contains("<bdi>ann</bdi>"));
    bob.cookie = before;
    assert_eq!(bob.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_says_that_it_comes_from_here_in_old_browsers_too() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let ann = store.create_principal("ann", &scope, Role::Reader).await;
    let code = store.create_sign_in_link(ann.unwrap().id()).await.unwrap();
    let form = [("code", code.expose())];
    let port = server.url.rsplit(':').next().unwrap();
    let near = format!("https://localhost:{port}");
    let plain = server.url.replace("https", "http");
    let mut browser = Browser::new(&server);
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", near.as_str())],
        &[("origin", plain.as_str())],
        &[
            ("origin", server.url.as_str()),
            ("sec-fetch-site", "same-site"),
        ],
    ] {
        let page = browser
            .send(Method::POST, "/sign-in/link", &form, headers)
            .await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let own = [("origin", server.url.as_str())];
    let page = browser
        .send(Method::POST, "/sign-in/link", &form, &own)
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let csrf = browser.csrf().await;
    let form = [("csrf", csrf.as_str())];
    let page = browser.send(Method::POST, "/sign-out", &form, &[]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let page = browser.send(Method::POST, "/sign-out", &form, &own).await;
    assert_eq!(page.location(), "/sign-in");
}

#[tokio::test]
async fn whoever_opens_the_first_link_owns_everything_and_nobody_after() {
    let (server, code) = started_with_its_link().await;
    let mut browser = Browser::new(&server);
    browser.post("/sign-in/link", &[("code", &code)]).await;
    assert!(browser.html("/").await.contains("administrator"));
    let people = server.store.principals().await.unwrap();
    assert_eq!(people.len(), 1);
    assert_eq!(people[0].assignments[0].to_string(), "owner of /");
    let token = server.token_of(people[0].id).await;
    let administrator = Caller::new(&server.url, server.ca.as_deref().unwrap(), token.expose());
    let group = "/subscriptions/9a/resourceGroups/g?api-version=2022-12-01";
    let body = serde_json::json!({"location": "westeurope"});
    assert_eq!(
        administrator.put(group, body).await.status,
        StatusCode::CREATED
    );
    let (found, _) = administrator
        .pages("/subscriptions?api-version=2022-12-01")
        .await;
    assert_eq!(found[0]["subscriptionId"], "9a");

    let directory = server.stop().await;
    let (log, _guard) = Log::capture();
    let server = Server::start_in(directory, |_| {}).await;
    within(async {
        while !log.text().contains("the portal is ready") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.stop().await;
    assert!(!log.text().contains("code="), "{}", log.text());
}

#[tokio::test]
async fn a_first_link_is_worth_nothing_once_there_is_someone() {
    let (server, code) = started_with_its_link().await;
    let _ann = server.contributor().await;
    let mut browser = Browser::new(&server);
    let page = browser.post("/sign-in/link", &[("code", &code)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(server.store.principals().await.unwrap().len(), 1);
}

#[tokio::test]
async fn signing_out_and_losing_the_principal_end_a_session() {
    let server = Server::start().await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let ann = store.create_principal("ann", &scope, Role::Reader).await;
    let ann = ann.unwrap().id();
    let mut browser = Browser::of_principal(&server, ann).await;
    let kept = browser.cookie.clone();
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(
        page.status,
        StatusCode::FORBIDDEN,
        "a form without its token"
    );
    let csrf = browser.csrf().await;
    let page = browser.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(page.location(), "/sign-in");
    browser.cookie = kept;
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);

    let mut browser = Browser::of_principal(&server, ann).await;
    browser.html("/").await;
    store.delete_principal(ann).await.unwrap();
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_token_is_no_session_and_a_session_no_token() {
    let server = Server::start().await;
    let caller = server.contributor().await;
    let page = caller.send(Method::GET, "/clusters", Body::None).await;
    assert!(page.text.contains("Sign in"), "{}", page.text);
    let mut browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Owner).await;
    let path = format!("{CLUSTER}?api-version=2024-01-01");
    let page = browser.get(&path).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_a_page_safe() {
    let server = Server::start().await;
    let mut browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Reader).await;
    for path in [
        "/",
        "/sign-in",
        "/clusters/none",
        "/clusters/s/g/connectedClusters/c",
    ] {
        let page = browser.get(path).await;
        let header = |name: &str| page.headers[name].to_str().unwrap();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(
            header("strict-transport-security"),
            "max-age=31536000; includeSubDomains"
        );
        for inline in ["<style", "style=\"", "onclick", "<script>"] {
            assert!(!page.html.contains(inline), "{path}: {inline}");
        }
    }
    let html = browser.html("/").await;
    for (mark, kind) in [
        ("href=\"/assets/page-", "text/css"),
        ("src=\"/assets/page-", "text/javascript"),
    ] {
        let (_, rest) = html.split_once(mark).unwrap();
        let path = format!("/assets/page-{}", rest.split('"').next().unwrap());
        let page = browser.get(&path).await;
        assert!(
            page.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with(kind)
        );
        assert!(
            page.headers["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
    }
    assert_eq!(
        browser.get("/assets/page-000000000000.css").await.status,
        StatusCode::NOT_FOUND
    );
}
