//! What lies in the database says nothing without the key, and another key costs no pause.

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_portal::{Encryption, EncryptionError, KeySource, Settings, Store, StoreError};
use serde_json::json;
use tempfile::TempDir;

use super::server::{CLUSTER, Server, settings, versioned};

/// Everything in the folder of the database, byte by byte.
fn bytes(directory: &Path) -> Vec<u8> {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path());
    let of_database = |path: &std::path::PathBuf| path.to_string_lossy().contains("portal.db");
    files
        .filter(of_database)
        .flat_map(|path| fs::read(path).unwrap())
        .collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_stolen_database_shows_nothing() {
    let server = Server::start().await;
    let ann = server.contributor().await;
    let (user, key) = (
        BASE64_STANDARD.encode("canary-user"),
        BASE64_STANDARD.encode("canary-key"),
    );
    let body = json!({"properties": {
        "repositoryUrl": "https://canary-host.example.net/deploy.git",
        "operatorParams": "--git-branch=canary-branch",
        "configurationProtectedSettings": {"httpsUser": user, "httpsKey": key},
    }});
    let answer = ann.put(&versioned(CLUSTER, "canary-name"), body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let bytes = bytes(server.directory());
    // Names are what rows are looked for by.
    assert!(has(&bytes, "canary-name"));
    for secret in [
        "canary-host",
        "canary-branch",
        "canary-user",
        "canary-key",
        &user,
        &key,
        "PRIVATE",
    ] {
        assert!(!has(&bytes, secret), "{secret}");
    }
}

fn with_keys(directory: &Path, key: &str, previous: &[&str]) -> Settings {
    let source = |name: &str| KeySource::File(directory.join(name));
    Settings {
        encryption: Encryption {
            key: Some(source(key)),
            previous: previous.iter().map(|name| source(name)).collect(),
            ..Encryption::default()
        },
        ..settings(directory)
    }
}

#[tokio::test]
async fn another_key_takes_over_while_portals_run() {
    let directory = TempDir::new().unwrap();
    for (name, byte) in [("old", 1_u8), ("new", 2)] {
        let key = BASE64_STANDARD.encode([byte; 32]);
        fs::write(directory.path().join(name), key + "\n").unwrap();
    }
    let open = async |key, previous: &[&str]| {
        Store::open(&with_keys(directory.path(), key, previous)).await
    };
    let first = open("old", &[]).await.unwrap();
    let unknown = open("new", &[]).await.unwrap_err();
    assert!(
        matches!(unknown, StoreError::Encryption(EncryptionError::Unknown(_))),
        "{unknown}"
    );
    let scope = "/subscriptions/3f1c".parse().unwrap();
    let secret = first
        .create_principal("ann", &scope, gitmoor_portal::identity::Role::Reader)
        .await
        .unwrap();
    let second = open("new", &["old"]).await.unwrap();
    // Both sign with the same key, which only the data key opens.
    for store in [&first, &second] {
        assert!(
            store
                .issue_token(secret.id(), None)
                .await
                .unwrap()
                .is_some()
        );
    }
    open("new", &[]).await.unwrap();
    assert!(open("old", &[]).await.is_err());
    first
        .create_principal("bob", &scope, gitmoor_portal::identity::Role::Reader)
        .await
        .unwrap();
    assert_eq!(second.principals().await.unwrap().len(), 2);
}
