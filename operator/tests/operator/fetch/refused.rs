//! What cannot be had, and the words that say so.

use std::sync::Arc;

use gitmoor_git::{Fault, Server, ServerOptions};
use gitmoor_operator::fetch::{Credentials, Limits, Remote};

use super::{Scene, login, remote};

#[tokio::test]
async fn a_missing_branch_is_named_beside_those_that_are_there() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let error = scene
        .fetch_from(scene.remote(Some("prod")))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "BranchNotFound");
    let text = error.to_string();
    assert!(text.contains("branch prod; it has main"), "{text}");
}

#[tokio::test]
async fn a_branch_that_was_deleted_is_missing_and_comes_back() {
    let scene = Scene::new().await;
    let id = scene.commit(&[("a.yaml", "a")]);
    scene.repository.branch("prod").unwrap();
    let fetch = || scene.fetch_from(scene.remote(Some("prod")));
    let commit = fetch().await.unwrap();
    scene.repository.git(&["branch", "-D", "prod"]).unwrap();
    assert_eq!(fetch().await.unwrap_err().reason(), "BranchNotFound");
    assert_eq!(scene.content(commit, "a.yaml").as_deref(), Some("a"));
    scene.repository.branch("prod").unwrap();
    assert_eq!(fetch().await.unwrap().to_string(), id);
}

#[tokio::test]
async fn an_empty_repository_asks_for_a_commit() {
    let scene = Scene::new().await;
    let error = scene.fetch().await.unwrap_err();
    assert_eq!(error.reason(), "BranchNotFound");
    assert!(
        error.to_string().ends_with("has no commit yet: push one"),
        "{error}"
    );
}

#[tokio::test]
async fn a_default_branch_that_does_not_exist_is_not_guessed() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    scene
        .repository
        .git(&["symbolic-ref", "HEAD", "refs/heads/gone"])
        .unwrap();
    let error = scene.fetch().await.unwrap_err();
    assert_eq!(error.reason(), "BranchNotFound");
    assert!(error.to_string().contains("it has main"), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_gone_is_not_found() {
    let scene = Scene::new().await;
    let url = scene.server.url("gone");
    let error = scene
        .fetch_from(remote(&url, None, Credentials::default()))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "RepositoryNotFound");
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let commit = scene.fetch().await.unwrap();
    let remote = scene.remote(None);
    let Scene {
        server,
        store,
        directory: _directory,
        ..
    } = scene;
    server.stop().await;
    let error = store.fetch(remote, Default::default()).await.unwrap_err();
    assert_eq!(error.reason(), "RepositoryUnreachable");
    assert_eq!(store.snapshot(commit).unwrap().files.len(), 1);
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_tried_once() {
    let options = ServerOptions {
        basic: Some(("user".to_owned(), "right".to_owned())),
        ..ServerOptions::default()
    };
    let scene = Scene::with(options, Limits::default()).await;
    scene.commit(&[("a.yaml", "a")]);
    let url = scene.server.url("plain");
    for (credentials, words) in [
        (
            login("user", "canary-wrong"),
            "correct username and password",
        ),
        (Credentials::default(), "name it in credentials"),
    ] {
        let before = scene.server.requests();
        let error = scene
            .fetch_from(remote(&url, None, credentials))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "AuthenticationFailed");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error:?} {error}").contains("canary"));
        assert_eq!(scene.server.requests(), before + 1);
    }
    scene
        .fetch_from(remote(&url, None, login("user", "right")))
        .await
        .unwrap();
}

#[tokio::test]
async fn each_status_has_its_reason() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    for (status, reason) in [
        (401, "AuthenticationFailed"),
        (203, "AuthenticationFailed"),
        (403, "AuthenticationFailed"),
        (404, "RepositoryNotFound"),
        (410, "RepositoryNotFound"),
        (429, "RepositoryUnreachable"),
        (500, "RepositoryUnreachable"),
        (503, "RepositoryUnreachable"),
        // A page for people.
        (200, "RepositoryNotFound"),
    ] {
        scene.server.fault(Some(Fault::Status(status)));
        assert_eq!(
            scene.fetch().await.unwrap_err().reason(),
            reason,
            "{status}"
        );
    }
    scene.server.fault(None);
    scene.fetch().await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_to_another_server_by_a_redirect() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let other = Server::start(ServerOptions::default()).await.unwrap();
    other
        .create("plain")
        .unwrap()
        .commit(&[("a.yaml", "evil")], &[], "evil")
        .unwrap();
    let root = other.url("").trim_end_matches('/').to_owned();
    let by_name = root.replace("127.0.0.1", "localhost");
    // Another port of the same host is another server too.
    for to in [root, by_name] {
        scene.server.fault(Some(Fault::Redirect(to)));
        let remote = remote(&scene.server.url("plain"), None, login("user", "canary"));
        let error = scene.fetch_from(remote).await.unwrap_err();
        assert_eq!(error.reason(), "RepositoryNotAllowed");
        assert!(error.to_string().contains("redirects"), "{error}");
        assert_eq!(other.requests(), 0);
    }
}

#[tokio::test]
async fn a_redirect_for_ever_ends() {
    let scene = Scene::new().await;
    let root = scene.server.url("").trim_end_matches('/').to_owned();
    scene.server.fault(Some(Fault::Redirect(root)));
    let error = scene.fetch().await.unwrap_err();
    assert_eq!(error.reason(), "RepositoryUnreachable");
    assert!(scene.server.requests() < 10);
}

#[test]
fn only_addresses_of_servers_are_allowed() {
    let make = |url: &str, branch: Option<&str>, http| {
        Remote::new(url, branch.map(str::to_owned), Arc::default(), http)
    };
    for url in [
        "file:///etc",
        "/etc",
        "./repository",
        "ext::sh -c true",
        "--upload-pack=touch /tmp/canary",
        "-oProxyCommand=touch",
        "git://example.org/a",
        "https://user@example.org/a",
        "https://user:canary@example.org/a",
        "https://example.org/a?token=canary",
        "https://example.org/a#canary",
        "https://example.org/a\nb",
        "https://exa\tmple.org/a",
        "",
    ] {
        let error = make(url, None, true).unwrap_err();
        assert_eq!(error.reason(), "RepositoryNotAllowed", "{url}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    for branch in ["../../x", "a b", "a..b", "a:b", "*", "", "a.lock"] {
        let error = make("https://example.org/a", Some(branch), true).unwrap_err();
        assert_eq!(error.reason(), "RepositoryNotAllowed", "{branch}");
    }
    assert!(make("http://example.org/a", None, true).is_ok());
    let error = make("http://example.org/a", None, false).unwrap_err();
    assert!(
        error.is_final() && error.to_string().contains("use https"),
        "{error}"
    );
    assert!(make("https://example.org/a.git", Some("release/1.0"), false).is_ok());
}

#[test]
fn credentials_are_never_shown() {
    let remote = remote("https://example.org/a", None, login("canary", "canary"));
    assert!(!format!("{remote:?}").contains("canary"));
    for (user, password, ca) in [
        (Some("canary"), None, None),
        (None, Some("canary"), None),
        (None, None, Some("canary")),
        (
            None,
            None,
            Some("-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n"),
        ),
    ] {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let error = Credentials::new(own(user), own(password), own(ca)).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}
