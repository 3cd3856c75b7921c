//! The audit log: who, what, before and after, and no secret.

use std::time::Duration;

use gitmoor_arm::Timestamp;
use gitmoor_portal::{AuditEntry, identity::Role};
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use super::{
    server::{Body, CLUSTER, SUBSCRIPTION, Server, body, versioned, within},
    sql::Sql,
};

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge";
/// Base64 of `a-canary-password`.
const KEY: &str = "YS1jYW5hcnktcGFzc3dvcmQ=";
pub(super) const EVER: Timestamp = Timestamp(time::OffsetDateTime::UNIX_EPOCH);

pub(super) async fn log(server: &Server, scope: &str) -> Vec<AuditEntry> {
    let scope = scope.parse().unwrap();
    let mut log = server.store.audit(&scope, EVER, 1000).await.unwrap();
    log.reverse();
    log
}

/// The id that an entry of so many hours ago has.
fn id_of(hours: i64) -> String {
    let then = time::OffsetDateTime::now_utc() - time::Duration::hours(hours);
    let millis = format!("{:012x}", then.unix_timestamp_nanos() / 1_000_000);
    let (high, low) = millis.split_at(8);
    format!("{high}-{low}-7000-8000-000000000000")
}

#[tokio::test]
async fn what_is_older_than_the_log_goes_back_is_forgotten() {
    let server = Server::start().await;
    server.contributor().await;
    let sql = Sql::of(&server).await;
    let (old, young) = (id_of(25), id_of(23));
    for id in [&old, &young] {
        let age = format!("UPDATE audit SET id = '{id}' WHERE id = (SELECT max(id) FROM audit)");
        assert_eq!(sql.run(&age).await, 1);
    }
    // A portal that starts may write some of its own.
    let last = sql.text("SELECT max(id) FROM audit").await;
    let count = format!("SELECT CAST(count(*) AS TEXT) FROM audit WHERE id <= '{last}'");
    let before: usize = sql.text(&count).await.parse().unwrap();
    let _again = Server::start_in(server.stop().await, |settings| {
        settings.audit_days = 1.try_into().unwrap();
    })
    .await;
    within(async {
        while sql.text("SELECT min(id) FROM audit").await == old {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(sql.text("SELECT min(id) FROM audit").await, young);
    assert_eq!(sql.text(&count).await, (before - 1).to_string());
}

#[tokio::test]
async fn every_write_is_told_with_who_did_it_and_what_it_was_before() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let with_key = |url: &str, key: &str| {
        let settings = json!({"httpsUser": "Ym90", "httpsKey": key});
        let properties = json!({
            "repositoryUrl": url, "configurationProtectedSettings": settings,
        });
        Body::Json(json!({"properties": properties}))
    };
    let first = "https://git.example.net/1.git";
    for (method, body) in [
        (Method::PUT, with_key(first, KEY)),
        // The same once more changes nothing, and what is wrong is not done.
        (Method::PUT, with_key(first, KEY)),
        (Method::PUT, Body::Json(body("no URL"))),
        (Method::PUT, with_key(first, "b3RoZXI=")),
        (
            Method::PUT,
            Body::Json(body("https://git.example.net/2.git")),
        ),
        (Method::GET, Body::None),
        (Method::DELETE, Body::None),
        (Method::DELETE, Body::None),
    ] {
        alice.send(method, &path, body).await;
    }
    let log = log(&server, CLUSTER).await;
    let actions: Vec<&str> = log.iter().map(|one| one.action.as_str()).collect();
    let write = "Microsoft.KubernetesConfiguration/sourceControlConfigurations/write";
    let delete = "Microsoft.KubernetesConfiguration/sourceControlConfigurations/delete";
    assert_eq!(actions, [write, write, write, delete]);
    let [made, changed, moved, deleted] = &log[..] else {
        unreachable!()
    };
    for entry in &log {
        assert_eq!(entry.by, "alice");
        assert!(entry.principal.is_some());
        assert!(
            entry
                .resource
                .ends_with("/sourceControlConfigurations/blue")
        );
        let text = serde_json::to_string(entry).unwrap();
        assert!(!text.contains(KEY) && !text.contains("canary"), "{text}");
    }
    assert_eq!(made.before, None);
    let after = made.after.as_ref().unwrap();
    assert_eq!(after["properties"]["repositoryUrl"], first);
    assert_eq!(after["protectedSettings"], json!(["httpsKey", "httpsUser"]));
    assert_eq!(
        changed.before.as_ref().unwrap()["properties"],
        after["properties"]
    );
    let after = changed.after.as_ref().unwrap();
    assert_eq!(after["changedProtectedSettings"], json!(["httpsKey"]));
    let (before, after) = (
        moved.before.as_ref().unwrap(),
        moved.after.as_ref().unwrap(),
    );
    assert_eq!(before["properties"]["repositoryUrl"], first);
    assert_eq!(
        after["properties"]["repositoryUrl"],
        "https://git.example.net/2.git"
    );
    assert_eq!(
        deleted.before.as_ref().unwrap()["properties"],
        after["properties"]
    );
    assert_eq!(deleted.after, None);
}

#[tokio::test]
async fn what_goes_with_a_group_or_a_cluster_is_named() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let put = async |path: String, body| {
        let answer = alice.put(&path, body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    };
    let place = json!({"location": "here", "tags": {"site": "oslo"}});
    let cluster = format!("{CLUSTER}?api-version=2024-01-01");
    let group = format!("{GROUP}?api-version=2022-09-01");
    put(group.clone(), place.clone()).await;
    let certificate = json!({"agentPublicKeyCertificate": ""});
    let mut body_of_cluster = place.clone();
    body_of_cluster["properties"] = certificate;
    body_of_cluster["identity"] = json!({"type": "SystemAssigned"});
    put(cluster.clone(), body_of_cluster).await;
    put(
        versioned(CLUSTER, "blue"),
        body("https://git.example.net/1.git"),
    )
    .await;
    alice.send(Method::DELETE, &group, Body::None).await;
    let log = log(&server, SUBSCRIPTION).await;
    let last = log.last().unwrap();
    assert_eq!(
        last.action,
        "Microsoft.Resources/subscriptions/resourceGroups/delete"
    );
    let before = last.before.as_ref().unwrap();
    assert_eq!(before["tags"]["site"], "oslo");
    assert_eq!(before["clusters"], json!([CLUSTER]));
    let configuration = before["configurations"][0].as_str().unwrap();
    assert!(
        configuration.ends_with("/sourceControlConfigurations/blue"),
        "{configuration}"
    );
    let actions = |action: &str| log.iter().filter(|one| one.action == action).count();
    assert_eq!(
        actions("Microsoft.Resources/subscriptions/resourceGroups/write"),
        1
    );
    assert_eq!(actions("Microsoft.Kubernetes/connectedClusters/write"), 1);
}

#[tokio::test]
async fn who_may_do_what_is_told_and_a_scope_shows_what_lies_in_it() {
    let server = Server::start().await;
    let scope = GROUP.parse().unwrap();
    let bob = server
        .store
        .create_principal("bob", &scope, Role::Reader)
        .await;
    let bob = bob.unwrap();
    let cluster = CLUSTER.parse().unwrap();
    server
        .store
        .assign_role(bob.id(), Role::Owner, &cluster)
        .await
        .unwrap();
    server
        .store
        .withdraw_role(bob.id(), Role::Reader, &scope)
        .await
        .unwrap();
    server.store.create_sign_in_link(bob.id()).await.unwrap();
    server.store.delete_principal(bob.id()).await.unwrap();
    let mut everywhere = log(&server, "/").await;
    everywhere.retain(|entry| entry.by != "the portal");
    let actions: Vec<&str> = everywhere.iter().map(|one| one.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "Gitmoor.Portal/principals/write",
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Gitmoor.Portal/signInLinks/write",
            "Gitmoor.Portal/principals/delete",
        ]
    );
    for entry in &everywhere {
        assert!(
            entry.by.starts_with("command line of user "),
            "{}",
            entry.by
        );
        let text = serde_json::to_string(entry).unwrap();
        assert!(!text.contains(bob.expose()), "{text}");
    }
    let of_cluster = log(&server, CLUSTER).await;
    assert_eq!(of_cluster, everywhere[1..2]);
    assert_eq!(
        of_cluster[0].after,
        Some(json!({"role": "owner", "principal": bob.id()}))
    );
    assert_eq!(log(&server, "/subscriptions/s").await, []);
    let later = Timestamp(Timestamp::now().0 + std::time::Duration::from_secs(60));
    let none = server.store.audit(&"/".parse().unwrap(), later, 10).await;
    assert_eq!(none.unwrap(), []);
}
