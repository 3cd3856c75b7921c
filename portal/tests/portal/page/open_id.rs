//! People sign in at an OpenID provider, and nobody signs in by what is not theirs.

mod provider;

use std::{sync::Arc, time::Duration};

use gitmoor_portal::{
    Portal, Settings,
    identity::{OpenId, Role},
};
use reqwest::{StatusCode, header::SET_COOKIE};
use serde_json::{Value, json};

use super::{
    super::{
        log::Log,
        server::{SUBSCRIPTION, Server, settings, within},
    },
    browser::{Browser, Page},
};
use provider::{CLIENT, Lies, Proof, Provider, SECRET, SUBJECT, Signature};

/// Where people are sent back to; the browsers of the tests know where it is.
const URL: &str = "https://portal.example.net";

fn sign_in_with(server_folder: &std::path::Path, provider: &Provider) -> OpenId {
    let file = server_folder.join("client.secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    serde_json::from_value(json!({
        "issuer": provider.issuer, "clientId": CLIENT,
        "clientSecret": format!("file:{}", file.display()),
    }))
    .unwrap()
}

/// A portal whose people sign in at a provider, one of whom it knows.
async fn start() -> (Server, Arc<Provider>) {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut OpenId)) -> (Server, Arc<Provider>) {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = Provider::start().await;
    let mut with = None;
    let server = Server::start_with(|settings| {
        let mut one = sign_in_with(&settings.data_directory.clone(), &provider);
        change(&mut one);
        with = Some(one.clone());
        settings.sign_in_with = Some(one);
        settings.url = Some(URL.parse().unwrap());
    })
    .await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let with = with.unwrap();
    let subject = if with.claim == "email" {
        "ann@example.net"
    } else {
        SUBJECT
    };
    let made = server
        .store
        .create_person("ann", &scope, Role::Reader, &with, subject)
        .await;
    assert!(made.unwrap().is_some());
    let twice = server
        .store
        .create_person("eve", &scope, Role::Owner, &with, subject)
        .await;
    assert_eq!(twice.unwrap(), None);
    (server, provider)
}

/// Goes to the provider and comes back, from that page of the portal.
async fn sign_in(browser: &mut Browser, provider: &Provider, then: &str) -> Page {
    browser.cookie = None;
    let page = browser.get(&format!("/sign-in/with?then={then}")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
    let (back, asked) = provider.enter(page.location());
    assert_eq!(asked["redirect_uri"], format!("{URL}/sign-in/callback"));
    browser.get(&back).await
}

/// Whether an answer signs someone in.
fn has_session(page: &Page) -> bool {
    let cookies = page.headers.get_all(SET_COOKIE).iter();
    let session = "__Host-gitmoor=";
    cookies
        .map(|one| one.to_str().unwrap())
        .any(|one| one.starts_with(session) && !one.starts_with("__Host-gitmoor=;"))
}

#[tokio::test]
async fn a_person_signs_in_at_the_provider_and_goes_on_where_they_were() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/clusters?q=a").await;
    assert_eq!(page.location(), "/sign-in?then=%2Fclusters%3Fq%3Da");
    let html = browser.html(page.location()).await;
    let link = "/sign-in/with?then=%2Fclusters%3Fq%3Da";
    assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    for signature in [Signature::Es256, Signature::Rs256] {
        provider.lies.lock().unwrap().signature = signature;
        let page = sign_in(&mut browser, &provider, "%2Fclusters%3Fq%3Da").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
        assert_eq!(page.location(), "/clusters?q=a");
        assert!(has_session(&page));
        let cookies: Vec<_> = page.headers.get_all(SET_COOKIE).iter().collect();
        let session = cookies[0].to_str().unwrap();
        assert!(session.contains("HttpOnly") && session.contains("Secure"));
        let forgotten = cookies[1].to_str().unwrap();
        assert!(
            forgotten.starts_with("__Host-gitmoor-sign-in=;"),
            "{forgotten}"
        );
        browser.cookie = Some(session.split(';').next().unwrap().to_owned());
        assert!(browser.html("/").await.contains("<bdi>ann</bdi>"));
    }
    // What the provider says of itself was asked once.
    let asked = provider.asked.lock().unwrap().clone();
    assert_eq!(asked, ["metadata", "keys", "token", "token"]);
}

#[tokio::test]
async fn a_provider_whose_name_ends_with_a_slash_signs_people_in_by_exactly_that_name() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    let slash = provider.issuer.as_str();
    provider.lies.lock().unwrap().metadata = vec![("issuer", json!(slash))];
    for (issuer, is_it) in [(slash, true), (slash.trim_end_matches('/'), false)] {
        provider.lies.lock().unwrap().claims = vec![("iss", Some(json!(issuer)))];
        let began = browser.get("/sign-in/with").await;
        let (back, _) = provider.enter(began.location());
        let page = browser.get(&format!("{back}&iss={slash}")).await;
        assert_eq!(has_session(&page), is_it, "{issuer}: {}", page.html);
    }
}

#[tokio::test]
async fn the_portal_proves_itself_as_the_provider_wants() {
    for proof in [Proof::Basic, Proof::Post, Proof::None] {
        let (server, provider) = start_with(|one| {
            if proof == Proof::None {
                one.client_secret = None;
            }
        })
        .await;
        *provider.proof.lock().unwrap() = proof;
        let page = sign_in(&mut Browser::new(&server), &provider, "%2F").await;
        assert!(has_session(&page), "{proof:?}: {}", page.html);
    }
}

#[tokio::test]
async fn people_sign_in_after_the_provider_has_changed_its_key() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    assert!(has_session(&sign_in(&mut browser, &provider, "%2F").await));
    *provider.changed_key.lock().unwrap() = true;
    provider.lies.lock().unwrap().signature = Signature::OtherId;
    // It is asked again some seconds after it was asked first.
    within(async {
        while !has_session(&sign_in(&mut browser, &provider, "%2F").await) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    let asked = provider.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|one| *one == "keys").count(), 2);
    provider.lies.lock().unwrap().signature = Signature::Es256;
    let page = sign_in(&mut browser, &provider, "%2F").await;
    assert!(!has_session(&page), "by the key of before");
}

#[tokio::test]
async fn nobody_is_sent_to_another_host_afterwards() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    for then in [
        "%2F%2Fevil.example",
        "https%3A%2F%2Fevil.example",
        "javascript:alert(1)",
    ] {
        let page = sign_in(&mut browser, &provider, then).await;
        assert_eq!(page.location(), "/", "{then}");
    }
}

#[tokio::test]
async fn what_a_provider_cannot_have_said_signs_nobody_in() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    let claims: Vec<(&str, Option<Value>)> = vec![
        ("aud", Some(json!("another client"))),
        ("aud", Some(json!([]))),
        ("aud", Some(json!([CLIENT, "another client"]))),
        ("aud", None),
        ("azp", Some(json!("another client"))),
        ("iss", Some(json!("https://evil.example"))),
        ("iss", Some(json!(""))),
        ("iss", None),
        ("exp", Some(json!(1_700_000_000))),
        ("exp", Some(json!("never"))),
        ("exp", None),
        ("nbf", Some(json!(4_000_000_000_u64))),
        ("nonce", Some(json!("another"))),
        ("nonce", Some(json!(""))),
        ("nonce", None),
        ("sub", Some(json!(""))),
        ("sub", Some(json!({"a": 1}))),
        ("sub", None),
    ];
    let mut lies: Vec<Lies> = claims
        .into_iter()
        .map(|claim| Lies {
            claims: vec![claim],
            ..Lies::default()
        })
        .collect();
    for signature in [
        Signature::OtherKey,
        Signature::OtherId,
        Signature::None,
        Signature::Hs256,
        Signature::Broken,
    ] {
        lies.push(Lies {
            signature,
            ..Lies::default()
        });
    }
    for answer in [
        (200, "{}".to_owned()),
        (200, "no JSON".to_owned()),
        (200, json!({"id_token": "a.b.c"}).to_string()),
        (200, json!({"id_token": "."}).to_string()),
        (
            200,
            format!("{{\"id_token\": \"{}\"}}", "a".repeat(300_000)),
        ),
        (302, String::new()),
        (500, String::new()),
    ] {
        lies.push(Lies {
            answer: Some(answer),
            ..Lies::default()
        });
    }
    for lie in lies {
        let what = format!("{lie:?}");
        *provider.lies.lock().unwrap() = lie;
        let page = sign_in(&mut browser, &provider, "%2F").await;
        assert_eq!(
            page.status,
            StatusCode::BAD_GATEWAY,
            "{what}: {}",
            page.html
        );
        assert!(!has_session(&page), "{what}");
    }
    *provider.lies.lock().unwrap() = Lies::default();
    assert!(has_session(&sign_in(&mut browser, &provider, "%2F").await));
}

#[tokio::test]
async fn a_sign_in_ends_in_the_browser_where_it_began_and_once() {
    let (server, provider) = start().await;
    let (mut ann, mut eve) = (Browser::new(&server), Browser::new(&server));
    let began = ann.get("/sign-in/with").await;
    let (back, asked) = provider.enter(began.location());
    // What came to another browser, or to none that began.
    for begins in [false, true] {
        if begins {
            eve.get("/sign-in/with").await;
        }
        let page = eve.get(&back).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.html);
    }
    let kept = ann.cookie.clone();
    for query in [
        "".to_owned(),
        "?code=x".to_owned(),
        "?code=x&state=".to_owned(),
        format!("?code=x&state={}x", asked["state"]),
        format!("?code=x&state={}&iss=https://evil.example", asked["state"]),
    ] {
        ann.cookie = kept.clone();
        let page = ann.get(&format!("/sign-in/callback{query}")).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{query}: {}", page.html);
    }
    // A code of someone else's sign-in: it was given for another challenge.
    let hers = eve.get("/sign-in/with").await;
    let (stolen, _) = provider.enter(hers.location());
    let (code, _) = stolen.split_once("&state=").unwrap();
    ann.cookie = kept.clone();
    let page = ann.get(&format!("{code}&state={}", asked["state"])).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.html);
    ann.cookie = kept.clone();
    assert!(has_session(&ann.get(&back).await));
    // The browser has forgotten; and if it had not, the code is used.
    ann.cookie = None;
    assert_eq!(ann.get(&back).await.status, StatusCode::FORBIDDEN);
    ann.cookie = kept;
    assert_eq!(ann.get(&back).await.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn someone_who_is_not_known_is_told_who_they_are() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    provider.lies.lock().unwrap().claims = vec![("sub", Some(json!("<b>bob</b>\u{202e}")))];
    let page = sign_in(&mut browser, &provider, "%2F").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(!has_session(&page));
    assert!(page.html.contains("calls you"), "{}", page.html);
    assert!(page.html.contains("bob") && !page.html.contains("<b>bob"));
    assert!(!page.html.contains('\u{202e}'));
    let refused = browser.get("/sign-in/with").await;
    let (_, asked) = provider.enter(refused.location());
    let query = format!(
        "error=access_denied&error_description=%3Cb%3Eno&state={}",
        asked["state"]
    );
    let page = browser.get(&format!("/sign-in/callback?{query}")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(
        page.html.contains("refused: ") && !page.html.contains("<b>no"),
        "{}",
        page.html
    );
}

#[tokio::test]
async fn an_address_counts_when_the_provider_has_verified_it() {
    let (server, provider) = start_with(|one| one.claim = "email".to_owned()).await;
    let mut browser = Browser::new(&server);
    assert!(has_session(&sign_in(&mut browser, &provider, "%2F").await));
    for verified in [Some(json!(false)), Some(json!("true")), None] {
        provider.lies.lock().unwrap().claims = vec![("email_verified", verified)];
        let page = sign_in(&mut browser, &provider, "%2F").await;
        assert!(!has_session(&page), "{}", page.html);
    }
}

#[tokio::test]
async fn a_provider_that_is_not_what_it_should_be_is_not_gone_to() {
    for (field, value) in [
        ("issuer", json!("https://evil.example")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!("http://evil.example/token")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("jwks_uri", json!("https://user:password@h.example/")),
    ] {
        let (server, provider) = start().await;
        provider.lies.lock().unwrap().metadata = vec![(field, value.clone())];
        let page = Browser::new(&server).get("/sign-in/with").await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{field}: {value}");
    }
}

#[tokio::test]
async fn a_provider_is_reached_by_tls_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let provider = Provider::start().await;
    let mut with = sign_in_with(folder.path(), &provider);
    with.issuer = "http://login.example.net".parse().unwrap();
    let settings = Settings {
        sign_in_with: Some(with),
        url: Some(URL.parse().unwrap()),
        ..settings(folder.path())
    };
    let nowhere = Settings {
        url: None,
        ..settings.clone()
    };
    for (settings, why) in [(settings, "https://"), (nowhere, "needs `url`")] {
        let Err(error) = Portal::bind(settings).await else {
            panic!("it starts");
        };
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn nothing_of_a_sign_in_is_in_the_log() {
    let (log, _guard) = Log::capture();
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/sign-in/with").await;
    let kept = browser.cookie.clone().unwrap();
    let (_, kept) = kept.split_once('=').unwrap();
    let kept = kept.split('.').next().unwrap();
    let (back, _) = provider.enter(page.location());
    let (_, code) = back.split_once("code=").unwrap();
    let code = code.split('&').next().unwrap();
    let given = browser.get(&back).await;
    assert!(has_session(&given), "{}", given.html);
    // Once more, which the provider refuses, with what it says of that.
    browser.cookie = Some(format!("__Host-gitmoor-sign-in={kept}.%2F"));
    let answer = format!("{{\"id_token\": \"a.canary.{code}\"}}");
    provider.lies.lock().unwrap().answer = Some((200, answer));
    let again = browser.get(&back).await;
    assert_eq!(again.status, StatusCode::BAD_GATEWAY);
    let log = log.text();
    assert!(log.contains("someone has signed in"), "{log}");
    assert!(log.contains("a sign-in did not succeed"), "{log}");
    for canary in [code, kept, SECRET, "s3cr3t", "canary", "eyJ"] {
        assert!(!log.contains(canary), "{canary}: {log}");
        assert!(!again.html.contains(canary), "{canary}");
    }
}

#[tokio::test]
async fn a_provider_that_failed_is_not_asked_again_at_once() {
    let (server, provider) = start().await;
    provider.lies.lock().unwrap().metadata = vec![("issuer", json!("https://other.example"))];
    let mut browser = Browser::new(&server);
    for _ in 0..3 {
        let page = browser.get("/sign-in/with").await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(*provider.asked.lock().unwrap(), ["metadata"]);
}

#[tokio::test]
async fn what_another_claim_says_is_someone_else() {
    let provider = Provider::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let by_sub = sign_in_with(folder.path(), &provider);
    let mut by_name = by_sub.clone();
    by_name.claim = "preferred_username".to_owned();
    assert_ne!(by_sub.digest("ann"), by_name.digest("ann"));
}

#[tokio::test]
async fn a_long_path_is_gone_to_after_the_sign_in() {
    let (server, provider) = start().await;
    let mut browser = Browser::new(&server);
    for (path, then) in [
        ("/a-".repeat(137), "/a-".repeat(137)),
        ("/a-".repeat(170), "/".to_owned()),
    ] {
        let page = sign_in(&mut browser, &provider, &path).await;
        assert_eq!(page.location(), then, "{}", page.html);
    }
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_sign_in() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    for path in ["/sign-in/with", "/sign-in/callback?code=a&state=b"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND);
    }
    assert!(!browser.html("/sign-in").await.contains("/sign-in/with"));
}
