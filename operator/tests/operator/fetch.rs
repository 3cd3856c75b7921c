//! Fetching from real Git servers, good and bad.
#![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

#[path = "fetch/disk.rs"]
mod disk;
#[path = "fetch/hostile.rs"]
mod hostile;
#[path = "fetch/refused.rs"]
mod refused;
#[path = "fetch/slow.rs"]
mod slow;
#[path = "fetch/ssh.rs"]
mod ssh;

use std::{sync::Arc, time::Duration};

use gitmoor_git::{Repository, Server, ServerOptions};
use gitmoor_operator::{
    fetch::{Credentials, Error, Limits, Remote, Store},
    snapshot::{Blobs as _, CommitId, Snapshot},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A server with one repository, and a store that is still empty.
struct Scene {
    server: Server,
    repository: Repository,
    store: Store,
    directory: TempDir,
}

impl Scene {
    async fn new() -> Self {
        Self::with(ServerOptions::default(), Limits::default()).await
    }

    async fn with(options: ServerOptions, limits: Limits) -> Self {
        // `main` does this in the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server::start(options).await.unwrap();
        let repository = server.create("plain").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::with_limits(directory.path().join("store"), limits, Default::default());
        Self {
            server,
            repository,
            store,
            directory,
        }
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        self.repository.commit(files, &[], "change").unwrap()
    }

    fn remote(&self, branch: Option<&str>) -> Remote {
        remote(&self.server.url("plain"), branch, Credentials::default())
    }

    async fn fetch(&self) -> Result<CommitId, Error> {
        self.fetch_from(self.remote(None)).await
    }

    async fn fetch_from(&self, remote: Remote) -> Result<CommitId, Error> {
        self.store.fetch(remote, CancellationToken::new()).await
    }

    /// What a file of a commit holds.
    fn content(&self, commit: CommitId, path: &str) -> Option<String> {
        content(&self.store, &self.store.snapshot(commit).unwrap(), path)
    }
}

fn remote(url: &str, branch: Option<&str>, credentials: Credentials) -> Remote {
    Remote::new(url, branch.map(str::to_owned), Arc::new(credentials), true).unwrap()
}

fn login(user: &str, password: &str) -> Credentials {
    Credentials::new(Some(user.to_owned()), Some(password.to_owned()), None).unwrap()
}

fn content(store: &Store, snapshot: &Snapshot, path: &str) -> Option<String> {
    let file = snapshot.files.iter().find(|file| &*file.path == path)?;
    let content = store.load(file.blob, 1 << 20).unwrap();
    Some(String::from_utf8(content).unwrap())
}

fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files.iter().map(|file| &*file.path).collect()
}

/// Limits for servers that are too slow.
fn short() -> Limits {
    Limits {
        whole: Duration::from_millis(1500),
        silence: Duration::from_millis(500),
        ..Limits::default()
    }
}

#[tokio::test]
async fn the_first_fetch_brings_every_file_of_the_default_branch() {
    let scene = Scene::new().await;
    let id = scene.commit(&[("b.yaml", "b"), ("a/b.yaml", "ab"), ("a.yaml", "a")]);
    let commit = scene.fetch().await.unwrap();
    assert_eq!(commit.to_string(), id);
    let snapshot = scene.store.snapshot(commit).unwrap();
    assert_eq!(paths(&snapshot), ["a.yaml", "a/b.yaml", "b.yaml"]);
    assert_eq!(
        content(&scene.store, &snapshot, "a/b.yaml").as_deref(),
        Some("ab")
    );
}

#[tokio::test]
async fn asking_for_what_is_known_is_one_request() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let first = scene.fetch().await.unwrap();
    let before = scene.server.requests();
    assert_eq!(scene.fetch().await.unwrap(), first);
    let received = scene.server.received();
    assert_eq!(received.len(), before + 1);
    assert!(!received[before].is_for_objects());
}

#[tokio::test]
async fn credentials_are_sent_at_once() {
    let options = ServerOptions {
        basic: Some(("user".to_owned(), "pass:word".to_owned())),
        ..ServerOptions::default()
    };
    let scene = Scene::with(options, Limits::default()).await;
    scene.commit(&[("a.yaml", "a")]);
    let url = scene.server.url("plain");
    let fetch = || scene.fetch_from(remote(&url, None, login("user", "pass:word")));
    fetch().await.unwrap();
    let before = scene.server.requests();
    fetch().await.unwrap();
    assert_eq!(scene.server.requests(), before + 1);
    assert_eq!(
        scene.server.requests_with_credentials(),
        scene.server.requests()
    );
}

#[tokio::test]
async fn a_changed_commit_is_brought() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "one"), ("b.yaml", "same")]);
    let first = scene.fetch().await.unwrap();
    scene
        .repository
        .commit(&[("a.yaml", "two")], &["b.yaml"], "second")
        .unwrap();
    let second = scene.fetch().await.unwrap();
    assert_eq!(scene.content(second, "a.yaml").as_deref(), Some("two"));
    assert_eq!(scene.content(second, "b.yaml"), None);
    // What is being applied while a fetch runs is still there.
    assert_eq!(scene.content(first, "a.yaml").as_deref(), Some("one"));
}

#[tokio::test]
async fn rewritten_history_is_followed() {
    let scene = Scene::new().await;
    let old = scene.commit(&[("a.yaml", "one")]);
    scene.commit(&[("a.yaml", "two")]);
    scene.fetch().await.unwrap();
    scene
        .repository
        .git(&["reset", "--quiet", "--hard", &old])
        .unwrap();
    let back = scene.fetch().await.unwrap();
    assert_eq!(back.to_string(), old);
    scene
        .repository
        .git(&["checkout", "--quiet", "--orphan", "new"])
        .unwrap();
    let orphan = scene.commit(&[("a.yaml", "other")]);
    scene
        .repository
        .git(&["branch", "--force", "main", "new"])
        .unwrap();
    scene
        .repository
        .git(&["checkout", "--quiet", "main"])
        .unwrap();
    let commit = scene.fetch().await.unwrap();
    assert_eq!(commit.to_string(), orphan);
    assert_eq!(scene.content(commit, "a.yaml").as_deref(), Some("other"));
}

#[tokio::test]
async fn a_named_branch_and_the_default_one_are_told_apart() {
    let scene = Scene::new().await;
    let main = scene.commit(&[("a.yaml", "main")]);
    scene
        .repository
        .git(&["checkout", "--quiet", "-b", "release/1"])
        .unwrap();
    let release = scene.commit(&[("a.yaml", "release")]);
    let fetch = |branch| scene.fetch_from(scene.remote(branch));
    assert_eq!(fetch(Some("main")).await.unwrap().to_string(), main);
    assert_eq!(fetch(Some("release/1")).await.unwrap().to_string(), release);
    // What `HEAD` names is the checked out one.
    assert_eq!(fetch(None).await.unwrap().to_string(), release);
}

#[tokio::test]
async fn a_folder_that_someone_commits_to_is_served() {
    let scene = Scene::new().await;
    let folder = scene.directory.path().join("folder");
    std::fs::create_dir_all(folder.join("apps")).unwrap();
    std::fs::write(folder.join("apps/a.yaml"), "a").unwrap();
    scene
        .repository
        .commit_directory(&folder, "import")
        .unwrap();
    let commit = scene.fetch().await.unwrap();
    assert_eq!(scene.content(commit, "apps/a.yaml").as_deref(), Some("a"));
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_its_remote_alone() {
    let options = ServerOptions {
        tls: true,
        ..ServerOptions::default()
    };
    let scene = Scene::with(options, Limits::default()).await;
    scene.commit(&[("a.yaml", "a")]);
    let (url, ca) = (scene.server.url("plain"), scene.server.ca_pem().unwrap());
    let trusting = Credentials::new(None, None, Some(ca.to_owned())).unwrap();
    scene
        .fetch_from(remote(&url, None, trusting))
        .await
        .unwrap();
    let error = scene.fetch().await.unwrap_err();
    assert_eq!(error.reason(), "CertificateUntrusted");
    assert!(error.to_string().contains("ca.crt"), "{error}");
}

/// Prints what the design speaks of; run it with `--release -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures"]
async fn ten_thousand_files() {
    use std::time::Instant;
    let scene = Scene::new().await;
    let names: Vec<_> = (0..10_000)
        .map(|n| format!("apps/{}/{n}.yaml", n / 100))
        .collect();
    let contents: Vec<_> = names
        .iter()
        .map(|name| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"))
        .collect();
    let files: Vec<_> = names
        .iter()
        .zip(&contents)
        .map(|(n, c)| (n.as_str(), c.as_str()))
        .collect();
    scene.commit(&files);
    let report = |what: &str, start: Instant| println!("{what}: {:?}", start.elapsed());
    let start = Instant::now();
    let commit = scene.fetch().await.unwrap();
    report("first fetch", start);
    for _ in 0..3 {
        let start = Instant::now();
        let snapshot = scene.store.snapshot(commit).unwrap();
        report("snapshot", start);
        assert_eq!(snapshot.files.len(), 10_000);
        let start = Instant::now();
        for file in &snapshot.files {
            scene.store.load(file.blob, 1 << 20).unwrap();
        }
        report("load all blobs", start);
        let start = Instant::now();
        scene.fetch().await.unwrap();
        report("idle poll", start);
    }
    for n in 0..40 {
        scene.commit(&[("apps/50/5000.yaml", &format!("changed: {n}\n"))]);
        let start = Instant::now();
        let commit = scene.fetch().await.unwrap();
        let fetched = start.elapsed();
        scene.store.snapshot(commit).unwrap();
        let whole = start.elapsed();
        if n < 3 || fetched > Duration::from_millis(250) {
            println!("changed line {n}: fetch {fetched:?}, with snapshot {whole:?}");
        }
    }
    let start = Instant::now();
    scene.fetch().await.unwrap();
    report("idle poll after 40 changes", start);
}
