//! Fetching over SSH from a real `sshd`, and what is refused before, while and after it is asked.

use std::{net::SocketAddr, sync::Arc};

use gitmoor_git::{SshFault, SshServer, ssh_key};
use gitmoor_operator::{
    fetch::{Credentials, Error, Key, KnownHosts, Limits, Remote, Store},
    snapshot::CommitId,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{content, short};

/// A server with one repository that lets a key in, and a store that is still empty.
struct Scene {
    server: SshServer,
    repository: gitmoor_git::Repository,
    store: Store,
    directory: TempDir,
    private: String,
    public: String,
}

impl Scene {
    async fn new() -> Self {
        Self::with(SshServer::start().await.unwrap(), Limits::default())
    }

    fn with(server: SshServer, limits: Limits) -> Self {
        let repository = server.create("plain.git").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::with_limits(directory.path().join("store"), limits, Default::default());
        let (private, public) = ssh_key(&["-t", "ed25519", "-C", "canary@example.org"]).unwrap();
        server.authorize(&public).unwrap();
        Self {
            server,
            repository,
            store,
            directory,
            private,
            public,
        }
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        self.repository.commit(files, &[], "change").unwrap()
    }

    async fn fetch(&self) -> Result<CommitId, Error> {
        self.fetch_by(&self.private, &self.server.known_hosts())
            .await
    }

    async fn fetch_by(&self, private: &str, known_hosts: &str) -> Result<CommitId, Error> {
        let url = self.server.url("plain.git");
        self.fetch_from(&url, private, known_hosts).await
    }

    async fn fetch_from(&self, url: &str, private: &str, hosts: &str) -> Result<CommitId, Error> {
        let remote = remote(url, private, hosts);
        self.store.fetch(remote, CancellationToken::new()).await
    }

    /// A line of `known_hosts` for this host.
    fn host(&self, key: &str) -> String {
        let line = self.server.known_hosts();
        format!("{} {key}\n", line.split(' ').next().unwrap())
    }
}

fn remote(url: &str, private: &str, known_hosts: &str) -> Remote {
    let key = Key::read(private).unwrap();
    let credentials = Credentials::ssh(key, KnownHosts::read(known_hosts).unwrap());
    Remote::new(url, None, Arc::new(credentials), false).unwrap()
}

#[tokio::test]
async fn commits_arrive_over_ssh_one_after_the_other() {
    let scene = Scene::new().await;
    scene.commit(&[("old.yaml", "old")]);
    let first = scene.commit(&[("a.yaml", "one")]);
    let commit = scene.fetch().await.unwrap();
    assert_eq!(commit.to_string(), first);
    let snapshot = scene.store.snapshot(commit).unwrap();
    assert_eq!(
        content(&scene.store, &snapshot, "a.yaml").as_deref(),
        Some("one")
    );
    // The same once more, then another.
    assert_eq!(scene.fetch().await.unwrap(), commit);
    let second = scene.commit(&[("a.yaml", "two")]);
    let commit = scene.fetch().await.unwrap();
    assert_eq!(commit.to_string(), second);
    let snapshot = scene.store.snapshot(commit).unwrap();
    assert_eq!(
        content(&scene.store, &snapshot, "a.yaml").as_deref(),
        Some("two")
    );
    // One commit deep.
    let shallow = scene.directory.path().join("store/shallow");
    assert!(std::fs::read_to_string(shallow).unwrap().contains(&second));
}

#[tokio::test]
async fn the_form_of_scp_is_fetched_from_port_22() {
    // Only who may open port 22 can try it; on an address of its own, so that no `sshd` is in the way.
    let last = std::process::id() % 250 + 2;
    let address: SocketAddr = format!("127.0.77.{last}:22").parse().unwrap();
    let server = match SshServer::start_at(address).await {
        Ok(server) => server,
        Err(error) => return eprintln!("skipped: {error}: {address}"),
    };
    let scene = Scene::with(server, Limits::default());
    let id = scene.commit(&[("a.yaml", "a")]);
    let hosts = format!("{} {}\n", address.ip(), scene.server.host_key());
    let url = scene.server.scp_form("plain.git");
    let commit = scene.fetch_from(&url, &scene.private, &hosts).await;
    assert_eq!(commit.unwrap().to_string(), id);
}

#[tokio::test]
async fn every_form_of_a_private_key_opens_the_repository() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    for form in [
        &["-t", "ecdsa", "-b", "256"][..],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "ecdsa", "-m", "PEM"],
        &["-t", "ecdsa", "-m", "PKCS8"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "3072", "-m", "PEM"],
        &["-t", "rsa", "-b", "4096", "-m", "PKCS8"],
    ] {
        let (private, public) = ssh_key(form).unwrap();
        scene.server.authorize(&public).unwrap();
        assert_eq!(Key::read(&private).unwrap().public(), public);
        let fetched = scene.fetch_by(&private, &scene.server.known_hosts()).await;
        assert!(fetched.is_ok(), "{form:?}: {}", fetched.unwrap_err());
    }
    let made = Key::generate();
    scene.server.authorize(&made.public()).unwrap();
    let again = made.private();
    scene
        .fetch_by(&again, &scene.server.known_hosts())
        .await
        .unwrap();
    assert_eq!(Key::read(&again).unwrap().public(), made.public());
}

#[test]
fn a_key_that_cannot_be_used_is_refused_in_words() {
    let (locked, _) = ssh_key(&["-t", "ed25519", "-N", "canary-phrase"]).unwrap();
    let (locked_pem, _) = ssh_key(&["-t", "rsa", "-m", "PEM", "-N", "canary-phrase"]).unwrap();
    let (locked_pkcs8, _) =
        ssh_key(&["-t", "ecdsa", "-m", "PKCS8", "-N", "canary-phrase"]).unwrap();
    let (short, _) = ssh_key(&["-t", "rsa", "-b", "1024"]).unwrap();
    for (text, words) in [
        (&*locked, "passphrase"),
        (&locked_pem, "passphrase"),
        (&locked_pkcs8, "passphrase"),
        (&short, "2048"),
        ("canary", "no private key"),
        ("", "no private key"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n",
            "no private key",
        ),
    ] {
        let error = Key::read(text).unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_let_in_is_named_by_its_public_half() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    for form in [&["-t", "ed25519"][..], &["-t", "rsa", "-b", "2048"]] {
        let (private, public) = ssh_key(form).unwrap();
        let error = scene
            .fetch_by(&private, &scene.server.known_hosts())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "AuthenticationFailed");
        let text = format!("{error} {error:?}");
        assert!(error.to_string().contains(&public), "{error}");
        // The public half stands in the private key too.
        let secret = |line: &&str| line.len() > 60 && !public.contains(*line);
        assert!(private.lines().filter(secret).count() > 2);
        for line in private.lines().filter(secret) {
            assert!(!text.contains(line), "{text}");
        }
    }
    // Nor is a comment told, which may say who made it.
    assert!(
        !Key::read(&scene.private)
            .unwrap()
            .public()
            .contains("canary")
    );
}

#[tokio::test]
async fn a_server_that_is_not_known_is_refused_with_its_fingerprint() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let error = scene.fetch_by(&scene.private, "").await.unwrap_err();
    assert_eq!(error.reason(), "HostKeyUntrusted");
    let text = error.to_string();
    for words in ["127.0.0.1", "is not known", "SHA256:", "known hosts"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!scene.server.was_shown_a_key().unwrap());
}

#[tokio::test]
async fn a_wrong_or_revoked_host_key_ends_before_any_key_is_shown() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let (_, other) = ssh_key(&["-t", "ed25519"]).unwrap();
    let (_, of_another_sort) = ssh_key(&["-t", "ecdsa"]).unwrap();
    let right = scene.server.host_key();
    let revoked = format!("{}@revoked * {right}\n", scene.server.known_hosts());
    for (hosts, words) in [
        (scene.host(&other), "another host key"),
        (scene.host(&of_another_sort), "another host key"),
        (revoked, "@revoked"),
        (
            format!("@cert-authority * {other}\n"),
            "certificates of hosts are not supported",
        ),
        (format!("127.0.0.2 {right}\n"), "is not known"),
        (format!("[127.0.0.1]:2 {right}\n"), "is not known"),
        (format!("!127.0.0.1,* {right}\n"), "is not known"),
    ] {
        let error = scene.fetch_by(&scene.private, &hosts).await.unwrap_err();
        assert_eq!(error.reason(), "HostKeyUntrusted", "{hosts}");
        assert!(error.to_string().contains(words), "{hosts}: {error}");
        assert!(error.to_string().contains("SHA256:"), "{error}");
    }
    assert!(!scene.server.was_shown_a_key().unwrap());
}

#[tokio::test]
async fn known_hosts_are_read_as_openssh_writes_them() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let right = scene.server.host_key();
    let (_, other) = ssh_key(&["-t", "ed25519"]).unwrap();
    let file = scene.directory.path().join("known_hosts");
    std::fs::write(&file, scene.server.known_hosts()).unwrap();
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(hashed.status.success());
    let hashed = std::fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    for hosts in [
        hashed,
        format!("127.0.0.? {right}\n"),
        format!("example.org,127.*\t{right} a comment # more\r\n"),
        format!("# a comment\n\n127.0.0.1 {right}\n"),
        // Of two keys either will do; another's certificates do not matter.
        format!("{}{}", scene.host(&other), scene.server.known_hosts()),
        format!("@cert-authority * {other}\n{}", scene.server.known_hosts()),
        format!("@revoked * {other}\n{}", scene.server.known_hosts()),
    ] {
        let fetched = scene.fetch_by(&scene.private, &hosts).await;
        assert!(fetched.is_ok(), "{hosts}: {}", fetched.unwrap_err());
    }
    for wrong in [
        "one-word",
        "host ssh-ed25519",
        "host ssh-ed25519 canary",
        "@odd * ssh-rsa AAAA",
    ] {
        let error = KnownHosts::read(&format!("\n{wrong}\n")).unwrap_err();
        assert!(error.starts_with("line 2 "), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_said_in_the_servers_words() {
    let scene = Scene::new().await;
    let url = scene.server.url("gone.git");
    let hosts = scene.server.known_hosts();
    let error = scene
        .fetch_from(&url, &scene.private, &hosts)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "RepositoryNotFound");
    let text = error.to_string();
    assert!(
        text.contains("does not appear to be a git repository"),
        "{text}"
    );
    assert!(text.contains(&scene.public), "{text}");
}

#[tokio::test]
async fn a_path_is_never_a_command() {
    let scene = Scene::new().await;
    let hosts = scene.server.known_hosts();
    let canary = scene.directory.path().join("canary");
    for path in [
        format!("';touch {};'", canary.display()),
        format!("$(touch {})", canary.display()),
        format!("`touch {}`", canary.display()),
        format!("x;touch {}", canary.display()),
    ] {
        let path = path.replace(' ', "%20");
        let url = scene.server.url(&path);
        let error = scene
            .fetch_from(&url, &scene.private, &hosts)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "RepositoryNotFound", "{url}");
        assert!(!canary.exists(), "{url}");
    }
    // One with such a name is found by it.
    let odd = "it's $(odd)!.git";
    let id = scene.server.create(odd).unwrap();
    let id = id.commit(&[("a.yaml", "a")], &[], "odd").unwrap();
    let url = scene.server.url(&odd.replace(' ', "%20"));
    let commit = scene.fetch_from(&url, &scene.private, &hosts).await;
    assert_eq!(commit.unwrap().to_string(), id);
}

#[tokio::test]
async fn a_server_that_is_silent_or_drips_ends_at_its_deadline() {
    let mut scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    scene.fetch().await.unwrap();
    let path = scene.directory.path().join("hurried");
    let patient = std::mem::replace(
        &mut scene.store,
        Store::with_limits(path, short(), Default::default()),
    );
    // While keys are exchanged, and while the list comes.
    for fault in [SshFault::Silence, SshFault::Drip, SshFault::DripAfter(2000)] {
        scene.server.fault(Some(fault));
        let error = scene.fetch().await.unwrap_err();
        assert_eq!(error.reason(), "RepositoryTimedOut", "{fault:?}: {error}");
    }
    scene.server.fault(None);
    scene.store = patient;
    scene.fetch().await.unwrap();
}

#[tokio::test]
async fn a_fetch_that_is_stopped_ends_at_once() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    scene.server.fault(Some(SshFault::Silence));
    let remote = remote(
        &scene.server.url("plain.git"),
        &scene.private,
        &scene.server.known_hosts(),
    );
    let cancel = CancellationToken::new();
    let fetch = scene.store.fetch(remote, cancel.clone());
    cancel.cancel();
    assert_eq!(fetch.await.unwrap_err().reason(), "Stopped");
}

#[tokio::test]
async fn a_server_that_sends_too_much_is_cut_off() {
    let limits = Limits {
        bytes: 64 << 10,
        ..Limits::default()
    };
    let scene = Scene::with(SshServer::start().await.unwrap(), limits);
    scene.commit(&[("large", &noise())]);
    let error = scene.fetch().await.unwrap_err();
    assert_eq!(error.reason(), "RepositoryTooLarge", "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_told_as_one_and_what_was_here_stays() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let first = scene.fetch().await.unwrap();
    let second = scene.commit(&[("large", &noise())]);
    // While keys are exchanged, before and in the list, and in the pack.
    let early = (200..=4000).step_by(200);
    for bytes in early.chain([16 << 10, 64 << 10]) {
        scene.server.fault(Some(SshFault::CutAfter(bytes)));
        let error = scene.fetch().await.unwrap_err();
        assert_eq!(error.reason(), "RepositoryUnreachable", "{bytes}: {error}");
    }
    let snapshot = scene.store.snapshot(first).unwrap();
    let content = content(&scene.store, &snapshot, "a.yaml");
    assert_eq!(content.as_deref(), Some("a"));
    scene.server.fault(None);
    assert_eq!(scene.fetch().await.unwrap().to_string(), second);
}

/// 256 KiB that a pack does not make smaller.
fn noise() -> String {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (state >> 24) as u8 % 90)
    };
    std::iter::repeat_with(next).take(256 << 10).collect()
}

#[test]
fn only_addresses_that_can_be_read_in_one_way_are_asked() {
    let make = |url: &str| Remote::new(url, None, Arc::default(), false);
    for url in [
        "ssh://git@example.org/a.git",
        "ssh://example.org:2222/~team/a",
        "git@example.org:a/b.git",
        "git@ssh.dev.azure.com:v3/o/p/r",
        "git@example.org:/srv/a",
    ] {
        assert!(make(url).is_ok(), "{url}");
        assert_eq!(make(url).unwrap().url(), url);
    }
    for url in [
        "ssh://-oProxyCommand=x/a",
        "git@-oProxyCommand=x:a",
        "-x@example.org:a",
        "ssh://git@example.org/",
        "ssh://git@example.org",
        "git@example.org:",
        "git@example.org:-a",
        "ssh://git@example.org/a%0ab",
        "ssh://git@example.org/a%00b",
        "ssh://git@example.org/a\nb",
        "ssh://git:canary@example.org/a",
        "ssh://git@exa$mple.org/a",
        "ssh://git@example.org/a?token=canary",
        "example.org:a",
        "ext::ssh@example.org:a",
    ] {
        let error = make(url).unwrap_err();
        assert_eq!(error.reason(), "RepositoryNotAllowed", "{url}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
