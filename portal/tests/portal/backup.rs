//! A backup that is restored, into either engine, is the portal that it was made of.

use std::fs;

use gitmoor_portal::{BackupError, Location, back_up, restore};
use gitmoor_postgres::Postgres;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::{
    CLUSTER, Caller, SUBSCRIPTION, Server, body, data_plane, settings, versioned, versioned_list,
};

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge?api-version=2022-12-01";

/// A portal with something in every table.
async fn filled() -> (Server, Caller, Caller) {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let agent = server.agent(CLUSTER).await;
    let group = json!({"location": "local", "tags": {"team": "blue"}});
    let put = alice.put(GROUP, group).await;
    assert!(put.status.is_success(), "{}", put.text);
    let cluster = json!({"location": "local", "identity": {"type": "SystemAssigned"},
        "properties": {"agentPublicKeyCertificate": ""}, "tags": {"ring": "1"}});
    let put = alice
        .put(&format!("{CLUSTER}?api-version=2021-10-01"), cluster)
        .await;
    assert!(put.status.is_success(), "{}", put.text);
    for name in ["blue", "green"] {
        let mut body = body("https://git.example.net/canary.git");
        body["properties"]["configurationProtectedSettings"] =
            json!({"httpsUser": "Ym90", "httpsKey": "Y2FuYXJ5LWtleQ=="});
        let put = alice.put(&versioned(CLUSTER, name), body).await;
        assert_eq!(put.status, StatusCode::CREATED, "{}", put.text);
        let report = json!({"observedEtag": put.body["etag"], "complianceState": "Compliant"});
        let path = format!("{}/{name}/status", data_plane(CLUSTER));
        assert!(agent.put(&path, report).await.status.is_success());
    }
    (server, alice, agent)
}

/// What everyone sees.
async fn seen(alice: &Caller, agent: &Caller) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        versioned_list(CLUSTER),
        format!("{CLUSTER}?api-version=2021-10-01"),
        GROUP.to_owned(),
    ] {
        let answer = alice.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let mut body = answer.body;
        // When its agent called last is remembered for a minute before it is written.
        if let Some(properties) = body["properties"].as_object_mut() {
            properties.retain(|name, _| name != "lastConnectivityTime" && name != "agentVersion");
            properties.remove("connectivityStatus");
        }
        all.push(body);
    }
    all.push(agent.get(&data_plane(CLUSTER)).await.body);
    all
}

async fn backup_of(server: &Server) -> Vec<u8> {
    let location = settings(server.directory()).database();
    let mut backup = Vec::new();
    let rows = back_up(&location, &mut backup).await.unwrap();
    let lines = backup.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, rows + 2);
    backup
}

#[tokio::test]
async fn a_restored_backup_is_the_portal_that_it_was_made_of() {
    let (server, alice, agent) = filled().await;
    let before = seen(&alice, &agent).await;
    let backup = backup_of(&server).await;
    let key = fs::read(server.directory().join("encryption.key")).unwrap();
    let token = server.token("bob", SUBSCRIPTION, gitmoor_portal::identity::Role::Reader);
    let later = token.await;
    for on_postgres in [false, true] {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("encryption.key"), &key).unwrap();
        let database = if on_postgres {
            Location::parse(&Postgres::shared().unwrap().fresh().unwrap()).unwrap()
        } else {
            Location::file(directory.path().join("restored.db"))
        };
        restore(&database, &*backup).await.unwrap();
        let again = restore(&database, &*backup).await;
        assert!(matches!(again, Err(BackupError::NotEmpty(_))), "{again:?}");
        let restored = Server::start_in(directory, |settings| {
            settings.database = Some(database);
        })
        .await;
        // Tokens that were given before are good, those of principals that came later are not.
        let reached = |caller: &Caller| caller.at(&restored);
        let (alice, agent) = (reached(&alice), reached(&agent));
        let after = seen(&alice, &agent).await;
        let of_old = |value: &Value| value.to_string().replace(&restored.url, &server.url);
        assert_eq!(
            after.iter().map(of_old).collect::<Vec<_>>(),
            before.iter().map(Value::to_string).collect::<Vec<_>>()
        );
        let late = restored.caller(&later).get(&versioned_list(CLUSTER)).await;
        assert_eq!(late.status, StatusCode::UNAUTHORIZED);
        // And it goes on from there.
        let put = alice
            .put(
                &versioned(CLUSTER, "red"),
                body("https://git.example.net/red"),
            )
            .await;
        assert_eq!(put.status, StatusCode::CREATED, "{}", put.text);
    }
}

#[tokio::test]
async fn where_there_is_no_portal_nothing_is_backed_up_or_made() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("portal.db");
    let empty = directory.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    let url = Postgres::shared().unwrap().fresh().unwrap();
    for location in [
        Location::file(&missing),
        Location::file(empty),
        Location::parse(&url).unwrap(),
    ] {
        let mut backup = Vec::new();
        let refused = back_up(&location, &mut backup).await;
        assert!(
            matches!(refused, Err(BackupError::NoDatabase(_))),
            "{refused:?}"
        );
        assert!(backup.is_empty());
    }
    assert!(!missing.exists());
}

#[tokio::test]
async fn what_is_no_whole_backup_restores_nothing() {
    let (server, ..) = filled().await;
    let backup = String::from_utf8(backup_of(&server).await).unwrap();
    let lines: Vec<_> = backup.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    let without_a_row = [&lines[..3], &lines[4..]].concat().join("\n");
    let changed = backup.replacen("local", "vocal", 1);
    let later = backup.replacen("\"schema\":", "\"schema\":9", 1);
    let other_table = backup.replacen("\"table\":\"principal\"", "\"table\":\"principals\"", 1);
    let injected = backup.replacen("\"tenant\":", "\"tenant) VALUES (1); --\":", 1);
    let directory = TempDir::new().unwrap();
    for (name, text) in [
        ("nothing", ""),
        ("another file", "{\"a\": 1}\n"),
        ("no end", &without_end),
        ("a row less", &without_a_row),
        ("changed", &changed),
        ("later", &later),
        ("another table", &other_table),
        ("no column", &injected),
    ] {
        assert_ne!(text, backup, "{name}");
        let database = Location::file(directory.path().join("one.db"));
        let refused = restore(&database, text.as_bytes()).await;
        assert!(refused.is_err(), "{name}");
    }
    // Nothing is there after all these.
    let database = Location::file(directory.path().join("one.db"));
    restore(&database, backup.as_bytes()).await.unwrap();
}
