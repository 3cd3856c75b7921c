//! What lies in the database says nothing without the key, and another key costs no pause.

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_portal::{
    Encryption, EncryptionError, KeySource, Location, Settings, Store, StoreError, back_up,
    identity::{OpenId, Role},
};
use gitmoor_postgres::{Options, Postgres};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    page::browser::Browser,
    server::{CLUSTER, SUBSCRIPTION, Server, body, data_plane, settings, versioned},
};
use crate::Engine;

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge?api-version=2022-12-01";

/// What every unsealed key of P-256 holds: its kind, in DER.
const OF_A_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// Everything in the folder of the database, byte by byte: the file and its write-ahead log.
fn files(directory: &Path) -> Vec<u8> {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path());
    let of_database = |path: &std::path::PathBuf| path.to_string_lossy().contains("portal.db");
    files
        .filter(of_database)
        .flat_map(|path| fs::read(path).unwrap())
        .collect()
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

/// What PostgreSQL dumps, and after it the bytes that are written in hexadecimal digits there.
fn decoded_dump(dump: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(dump);
    let bytes = text.split("\\\\x").skip(1).flat_map(|part| {
        let digits: Vec<u8> = part
            .bytes()
            .take_while(u8::is_ascii_hexdigit)
            .map(|digit| u8::try_from((digit as char).to_digit(16).unwrap()).unwrap())
            .collect();
        let pairs = digits.chunks_exact(2);
        pairs.map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>()
    });
    let bytes: Vec<u8> = bytes.collect();
    [dump, &bytes].concat()
}

/// A backup, and after it the bytes that are written in base64 there.
fn decoded_backup(backup: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(backup).unwrap();
    let mut all = backup.to_vec();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let values = line["row"]["values"].as_object();
        for value in values.into_iter().flat_map(|values| values.values()) {
            if let Some(bytes) = value["base64"].as_str() {
                all.extend(BASE64_STANDARD.decode(bytes).unwrap());
            }
        }
    }
    all
}

#[tokio::test]
async fn a_stolen_database_shows_names_and_no_more() {
    // A server of its own: what other tests write there is none of this one's.
    let postgres =
        (super::ENGINE == Engine::Postgres).then(|| Postgres::start(Options::default()).unwrap());
    let url = postgres.as_ref().map(|server| server.fresh().unwrap());
    let place = url.map(|url| Location::parse(&url).unwrap());
    let server = Server::start_with(|settings| settings.database = place.clone()).await;
    let mut settings = settings(server.directory());
    settings.database = place;
    let location = settings.database();

    // Something secret in everything that there is.
    let ann = server.contributor().await;
    let secret = server
        .store
        .create_principal(
            "canary-person",
            &SUBSCRIPTION.parse().unwrap(),
            Role::Reader,
        )
        .await
        .unwrap();
    let provider: OpenId = serde_json::from_value(json!({
        "issuer": "https://login.example.net", "clientId": "portal", "clientSecret": "env:NONE",
    }))
    .unwrap();
    let (scope, role) = (SUBSCRIPTION.parse().unwrap(), Role::Reader);
    let person =
        server
            .store
            .create_person("canary-named", &scope, role, &provider, "canary-subject");
    assert!(person.await.unwrap().is_some());
    let group = json!({"location": "canary-location", "tags": {"canary-group-tag": "v"}});
    assert_eq!(ann.put(GROUP, group).await.status, 201);
    let cluster = json!({"location": "canary-location", "tags": {"canary-cluster-tag": "v"},
        "properties": {"distribution": "canary-distribution"}});
    let path = format!("{CLUSTER}?api-version=2024-01-01");
    assert_eq!(ann.put(&path, cluster).await.status, 201);
    let (user, key) = (
        BASE64_STANDARD.encode("canary-user"),
        BASE64_STANDARD.encode("canary-key"),
    );
    let desired = json!({"properties": {
        "repositoryUrl": "https://canary-host.example.net/deploy.git",
        "operatorParams": "--git-branch=canary-branch",
        "configurationProtectedSettings": {"httpsUser": user, "httpsKey": key},
    }});
    let put = ann.put(&versioned(CLUSTER, "canary-name"), desired).await;
    assert_eq!(put.status, 201, "{put:?}");
    let flux = json!({"properties": {
        "scope": "namespace", "namespace": "canary-namespace",
        "gitRepository": {
            "url": "https://canary-flux.example.net/a.git",
            "repositoryRef": {"branch": "main"}, "httpsUser": "canary-flux-user",
        },
        "kustomizations": {"apps": {"path": "canary-path"}},
        "configurationProtectedSettings": {"httpsKey": BASE64_STANDARD.encode("canary-flux-key")},
    }});
    let provider = "Microsoft.KubernetesConfiguration/fluxConfigurations";
    let path = format!("{CLUSTER}/providers/{provider}/canary-flux?api-version=2025-04-01");
    let answer = ann.put(&path, flux).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let agent = server.agent(CLUSTER).await;
    agent.get(&data_plane(CLUSTER)).await;
    for state in ["Noncompliant", "Compliant"] {
        let report = json!({
            "observedEtag": put.body["etag"], "complianceState": state,
            "message": format!("canary-message-{state}"),
            "problems": [{"path": "canary-file.yaml", "reason": "Bad", "message": "canary-problem"}],
            "inventory": [{"object": "ConfigMap a/canary-object", "health": "Current"}],
        });
        let path = format!("{}/canary-name/status", data_plane(CLUSTER));
        let answer = agent.put(&path, report).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    let other = CLUSTER.replace("edge-07", "canary-cluster");
    let token = server
        .store
        .create_enrolment(&other.parse().unwrap(), "canary-location")
        .await
        .unwrap();
    let browser = Browser::of(&server, "canary-visitor", SUBSCRIPTION, Role::Reader).await;
    let cookie = browser.cookie.clone().unwrap();
    let (_, cookie) = cookie.split_once('=').unwrap();
    let link = server.store.create_sign_in_link(secret.id()).await.unwrap();

    let stolen = match &postgres {
        Some(server) => decoded_dump(&server.dump().unwrap()),
        None => files(server.directory()),
    };
    let mut backup = Vec::new();
    back_up(&location, &mut backup).await.unwrap();
    let client_secret = secret.expose();
    for (what, bytes) in [("database", stolen), ("backup", decoded_backup(&backup))] {
        // Ids and names are what rows are looked for by; locations and presence are plain, too.
        for shown in [
            "canary-name",
            "canary-flux",
            "canary-person",
            "canary-named",
            "canary-location",
        ] {
            assert!(has(&bytes, shown.as_bytes()), "{what}: {shown}");
        }
        let secrets = [
            "canary-group-tag",
            "canary-cluster-tag",
            "canary-distribution",
            "canary-host",
            "canary-branch",
            "canary-user",
            "canary-key",
            &user,
            &key,
            "canary-namespace",
            "canary-flux.example",
            "canary-flux-user",
            "canary-path",
            "canary-flux-key",
            &BASE64_STANDARD.encode("canary-flux-key"),
            "canary-message-Noncompliant",
            "canary-message-Compliant",
            "canary-file",
            "canary-problem",
            "canary-object",
            "canary-subject",
            token.expose(),
            cookie,
            link.expose(),
            client_secret,
        ];
        for secret in secrets {
            assert!(!has(&bytes, secret.as_bytes()), "{what}: {secret}");
        }
        assert!(!has(&bytes, OF_A_KEY), "{what}: a signing key");
    }
}

#[test]
fn a_key_that_is_not_sealed_would_be_found() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_der();
    assert!(has(&key, OF_A_KEY));
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let dump = format!("COPY signing_key\nk\t\\\\x{hex}\n");
    assert!(has(&decoded_dump(dump.as_bytes()), OF_A_KEY));
    let row = json!({"row": {"table": "t", "values": {
        "private": {"base64": BASE64_STANDARD.encode(&key)},
    }}});
    assert!(has(&decoded_backup(row.to_string().as_bytes()), OF_A_KEY));
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
async fn another_key_takes_over_while_portals_serve() {
    let directory = TempDir::new().unwrap();
    for (name, byte) in [("old", 1_u8), ("new", 2)] {
        let key = BASE64_STANDARD.encode([byte; 32]);
        fs::write(directory.path().join(name), key + "\n").unwrap();
    }
    let database = settings(directory.path()).database();
    let start = async |key: &str, previous: &[&str]| {
        let encryption = with_keys(directory.path(), key, previous).encryption;
        let database = database.clone();
        Server::start_in(TempDir::new().unwrap(), |settings| {
            settings.database = Some(database);
            settings.encryption = encryption;
        })
        .await
    };
    let refused = async |key: &str| {
        let error = Store::open(&with_keys(directory.path(), key, &[])).await;
        matches!(
            error.unwrap_err(),
            StoreError::Encryption(EncryptionError::Unknown(_))
        )
    };
    let one = start("old", &[]).await;
    let other = start("old", &[]).await;
    assert!(refused("new").await);
    let ann = one.contributor().await;
    let mut number = 0;
    // Each reads and writes what the other does.
    let mut both_serve = async |one: &Server, other: &Server| {
        for (here, there) in [(one, other), (other, one)] {
            number += 1;
            let path = versioned(CLUSTER, &format!("a{number}"));
            let url = format!("https://git.example.net/{number}");
            assert_eq!(ann.at(here).put(&path, body(&url)).await.status, 201);
            let shown = ann.at(there).get(&path).await;
            assert_eq!(shown.body["properties"]["repositoryUrl"], url);
        }
    };
    both_serve(&one, &other).await;
    // The first is started with the new key; the second serves on, and can start again.
    one.stop().await;
    let one = start("new", &["old"]).await;
    both_serve(&one, &other).await;
    other.stop().await;
    let other = start("old", &[]).await;
    both_serve(&one, &other).await;
    one.stop().await;
    let one = start("new", &["old"]).await;
    // Then that one, too, and the old key is taken out of the settings, here before there.
    other.stop().await;
    let other = start("new", &["old"]).await;
    one.stop().await;
    let one = start("new", &[]).await;
    both_serve(&one, &other).await;
    other.stop().await;
    let other = start("new", &["old"]).await;
    both_serve(&one, &other).await;
    assert!(refused("old").await);
}

#[tokio::test]
async fn a_key_goes_back_to_the_one_before() {
    let directory = TempDir::new().unwrap();
    for (name, byte) in [("old", 1_u8), ("new", 2)] {
        fs::write(
            directory.path().join(name),
            BASE64_STANDARD.encode([byte; 32]),
        )
        .unwrap();
    }
    let open = async |key, previous: &[&str]| {
        Store::open(&with_keys(directory.path(), key, previous)).await
    };
    for (key, previous) in [
        ("old", &[][..]),
        ("new", &["old"]),
        ("old", &["new"]),
        ("old", &[]),
    ] {
        open(key, previous).await.unwrap();
    }
    assert!(open("new", &[]).await.is_err());
}

#[tokio::test]
async fn a_key_comes_from_an_environment_variable() {
    let directory = TempDir::new().unwrap();
    // Every process has one; it holds no key.
    let with = |name: &str| Settings {
        encryption: Encryption {
            key: Some(format!("env:{name}").parse().unwrap()),
            ..Encryption::default()
        },
        ..settings(directory.path())
    };
    let error = Store::open(&with("PATH")).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Encryption(EncryptionError::Form(_))),
        "{error}"
    );
    let error = Store::open(&with("GITMOOR_NO_SUCH_KEY")).await.unwrap_err();
    assert!(error.to_string().contains("GITMOOR_NO_SUCH_KEY"), "{error}");
}
