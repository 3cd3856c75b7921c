//! That nothing changes without an entry in the audit log: every call that writes, by whatever way.

use std::collections::{BTreeMap, BTreeSet};

use gitmoor_arm::OpeningKey;
use gitmoor_portal::{AuditEntry, Store, back_up, identity::Role, restore};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    audit::log,
    enrolment,
    page::{browser::Browser, reading::report_of, signing_in::started_with_its_link},
    server::{CLUSTER, SUBSCRIPTION, Server, settings},
};

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge";
const SOURCE: &str = "Microsoft.KubernetesConfiguration/sourceControlConfigurations";
const FLUX: &str = "Microsoft.KubernetesConfiguration/fluxConfigurations";
const CONNECTED: &str = "Microsoft.Kubernetes/connectedClusters";
const GROUPS: &str = "Microsoft.Resources/subscriptions/resourceGroups";
const ROLES: &str = "Microsoft.Authorization/roleAssignments";
const COMMIT: &str = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";

/// The entries since the last look.
struct Look {
    /// Not how many: what is written at the same time may stand before what was seen.
    seen: Vec<AuditEntry>,
}

impl Look {
    async fn of(server: &Server) -> Self {
        Self {
            seen: log(server, "/").await,
        }
    }

    async fn next(&mut self, server: &Server) -> Vec<AuditEntry> {
        let log = log(server, "/").await;
        let new = log.iter().filter(|entry| !self.seen.contains(entry));
        let new = new.cloned().collect();
        self.seen = log;
        new
    }
}

fn who_and_what(entries: &[AuditEntry]) -> Vec<(String, String)> {
    let pair = |entry: &AuditEntry| (entry.by.clone(), entry.action.clone());
    entries.iter().map(pair).collect()
}

/// What each resource was after the last entry on it.
#[derive(Default)]
struct States(BTreeMap<String, Value>);

impl States {
    /// That an entry says what its resource was before, unless it is new, and what it is now, unless
    /// it is gone.
    fn follow(&mut self, entry: &AuditEntry) {
        let known = self.0.remove(&entry.resource);
        assert_eq!(entry.before.is_some(), known.is_some(), "{entry:?}");
        let gone = entry.action.ends_with("/delete");
        assert_eq!(entry.after.is_none(), gone, "{entry:?}");
        if let (Some(before), Some(known)) = (&entry.before, &known) {
            // What went with it is said too.
            for (name, value) in known.as_object().unwrap() {
                assert_eq!(&before[name], value, "{name}: {entry:?}");
            }
        }
        assert_ne!(entry.before, entry.after);
        if let Some(after) = &entry.after {
            self.0.insert(entry.resource.clone(), after.clone());
        }
    }
}

fn configuration(url: &str) -> Value {
    json!({"properties": {"repositoryUrl": url}})
}

fn flux(url: &str) -> Value {
    json!({"properties": {
        "namespace": "shop", "sourceKind": "GitRepository",
        "gitRepository": {"url": url, "repositoryRef": {"branch": "main"}},
        "kustomizations": {"apps": {"path": "./apps", "prune": true, "wait": true}},
    }})
}

/// Every write of the ARM API: its method, its path and api-version, its body, and the action in the log.
fn writes(bob: Uuid) -> Vec<(Method, String, Value, String)> {
    let place = json!({"location": "here"});
    let tags = json!({"tags": {"site": "oslo"}});
    let cluster = json!({
        "location": "here", "identity": {"type": "None"},
        "properties": {"agentPublicKeyCertificate": ""},
    });
    let role = json!({"properties": {
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "principalId": bob,
    }});
    let at = |path: &str, version: &str| format!("{path}?api-version={version}");
    let group = at(GROUP, "2022-12-01");
    let cluster_at = at(CLUSTER, "2024-01-01");
    let source = at(&format!("{CLUSTER}/providers/{SOURCE}/blue"), "2023-05-01");
    let flux_at = at(&format!("{CLUSTER}/providers/{FLUX}/shop"), "2023-05-01");
    let mut table = vec![
        (Method::PUT, group.clone(), place, format!("{GROUPS}/write")),
        (
            Method::PATCH,
            group.clone(),
            tags.clone(),
            format!("{GROUPS}/write"),
        ),
        (
            Method::PUT,
            cluster_at.clone(),
            cluster,
            format!("{CONNECTED}/write"),
        ),
        (
            Method::PATCH,
            cluster_at.clone(),
            tags,
            format!("{CONNECTED}/write"),
        ),
        (
            Method::PUT,
            source.clone(),
            configuration("https://git.example.net/1.git"),
            format!("{SOURCE}/write"),
        ),
        (
            Method::PUT,
            source.clone(),
            configuration("https://git.example.net/other.git"),
            format!("{SOURCE}/write"),
        ),
        (
            Method::PUT,
            flux_at.clone(),
            flux("https://git.example.net/2.git"),
            format!("{FLUX}/write"),
        ),
        (
            Method::PATCH,
            flux_at.clone(),
            json!({"properties": {"suspend": true}}),
            format!("{FLUX}/write"),
        ),
    ];
    let mut roles = Vec::new();
    for scope in ["", SUBSCRIPTION, GROUP, CLUSTER] {
        let path = at(
            &format!("{scope}/providers/{ROLES}/{}", Uuid::new_v4()),
            "2022-04-01",
        );
        table.push((
            Method::PUT,
            path.clone(),
            role.clone(),
            format!("{ROLES}/write"),
        ));
        roles.push((Method::DELETE, path, Value::Null, format!("{ROLES}/delete")));
    }
    table.extend(roles);
    for (path, action) in [
        (source, SOURCE),
        (flux_at, FLUX),
        (cluster_at, CONNECTED),
        (group, GROUPS),
    ] {
        table.push((
            Method::DELETE,
            path,
            Value::Null,
            format!("{action}/delete"),
        ));
    }
    table
}

#[tokio::test]
async fn every_write_of_the_api_has_an_entry() {
    let server = Server::start().await;
    let root = server.principal("/", Role::Owner).await;
    let scope = "/subscriptions/elsewhere".parse().unwrap();
    let bob = server
        .store
        .create_principal("bob", &scope, Role::Reader)
        .await;
    let mut look = Look::of(&server).await;
    let mut states = States::default();
    let mut done = BTreeSet::new();
    for (method, path, body, action) in writes(bob.unwrap().id()) {
        let answer = root.send(method.clone(), &path, body).await;
        assert!(
            answer.status.is_success(),
            "{method} {path}: {}",
            answer.text
        );
        let new = look.next(&server).await;
        let told = who_and_what(&new);
        assert_eq!(told, [("alice".to_owned(), action)], "{method} {path}");
        states.follow(&new[0]);
        done.insert((method.to_string(), kind(&path)));
    }
    // There is no other.
    let document = root.get("/openapi.json").await.body;
    let mut known = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let reads = ["get", "head"].contains(&method.as_str());
            let open = operation["security"] == json!([]);
            // Nothing changes by a registration.
            if !reads && !open && !path.ends_with("register") {
                known.insert((method.to_uppercase(), kind(path)));
            }
        }
    }
    assert_eq!(done, known);
}

/// The type that a path is of, and how long it is, for the scopes of roles.
fn kind(path: &str) -> (String, usize) {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let kind = parts[parts.len() - 2];
    let kind = kind.replace("{clusterResourceName}", "connectedClusters");
    (kind, parts.len())
}

#[tokio::test]
async fn every_write_of_a_page_has_an_entry_of_its_visitor() {
    let server = Server::start().await;
    let mut browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Contributor).await;
    let csrf = browser.csrf().await;
    let shop = "/clusters/3f1c/edge/connectedClusters/edge-07/shop";
    let write = format!("{SOURCE}/write");
    let fields = [
        ("cluster", CLUSTER),
        ("name", "shop"),
        ("repositoryUrl", "https://git.example.net/shop.git"),
        ("operatorNamespace", "shop"),
        ("operatorScope", "namespace"),
    ];
    let delete = format!("{SOURCE}/delete");
    let mut look = Look::of(&server).await;
    let mut states = States::default();
    for (path, fields, action) in [
        ("/create".to_owned(), &fields[..], Some(&write)),
        (format!("{shop}/edit"), &fields[..], None),
        (format!("{shop}/suspend"), &[], Some(&write)),
        (format!("{shop}/resume"), &[], Some(&write)),
        (format!("{shop}/sync"), &[], Some(&write)),
        (
            format!("{shop}/confirm"),
            &[("commit", COMMIT)],
            Some(&write),
        ),
        (format!("{shop}/delete"), &[], Some(&delete)),
    ] {
        if path.ends_with("confirm") {
            let guarded = json!({
                "complianceState": "Noncompliant", "attemptedRevision": COMMIT,
                "problems": [{"reason": "Guarded", "message": "12 of 14 objects would be deleted"}],
            });
            report_of(&server, CLUSTER, "shop", guarded).await;
            look = Look::of(&server).await;
        }
        let etag = if path == "/create" {
            String::new()
        } else {
            let html = browser.html(&format!("{shop}/edit")).await;
            let (_, rest) = html.split_once("name=\"etag\" value=\"").unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let mut form = fields.to_vec();
        form.extend([("csrf", csrf.as_str()), ("etag", &etag)]);
        if path.ends_with("edit") {
            form.retain(|(name, _)| *name != "repositoryUrl");
            form.push(("repositoryUrl", "https://git.example.net/other.git"));
        }
        let page = browser.post(&path, &form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.html);
        let action = action.unwrap_or(&write).clone();
        let new = look.next(&server).await;
        let told = who_and_what(&new);
        assert_eq!(told, [("ann".to_owned(), action)], "{path}");
        states.follow(&new[0]);
    }
    browser.post("/sign-out", &[("csrf", &csrf)]).await;
    let new = look.next(&server).await;
    let out = "Gitmoor.Portal/sessions/delete".to_owned();
    assert_eq!(who_and_what(&new), [("ann".to_owned(), out)]);
}

#[tokio::test]
async fn every_command_that_writes_has_an_entry() {
    let server = Server::start().await;
    let store = &server.store;
    let cluster = CLUSTER.parse().unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let bob = store
        .create_principal("bob", &scope, Role::Reader)
        .await
        .unwrap()
        .id();
    let mut look = Look::of(&server).await;
    let mut expect = async |what: &[&str]| {
        let mut new = who_and_what(&look.next(&server).await);
        new.retain(|(by, _)| by.starts_with("command line of user "));
        let new: Vec<&str> = new.iter().map(|(_, action)| action.as_str()).collect();
        assert_eq!(new, what);
    };
    store.create_agent(&cluster).await.unwrap();
    expect(&["Gitmoor.Portal/principals/write"]).await;
    store.assign_role(bob, Role::Owner, &scope).await.unwrap();
    expect(&["Microsoft.Authorization/roleAssignments/write"]).await;
    // It has that one already.
    store.assign_role(bob, Role::Owner, &scope).await.unwrap();
    expect(&[]).await;
    store.withdraw_role(bob, Role::Owner, &scope).await.unwrap();
    expect(&["Microsoft.Authorization/roleAssignments/delete"]).await;
    let (_, secret) = store.add_secret(bob, None).await.unwrap().unwrap();
    expect(&["Gitmoor.Portal/credentials/write"]).await;
    store.remove_credential(bob, secret).await.unwrap();
    expect(&["Gitmoor.Portal/credentials/delete"]).await;
    store.issue_token(bob, None).await.unwrap().unwrap();
    expect(&["Gitmoor.Portal/tokens/write"]).await;
    store.create_sign_in_link(bob).await.unwrap();
    expect(&["Gitmoor.Portal/signInLinks/write"]).await;
    store.sign_out(bob).await.unwrap();
    expect(&["Gitmoor.Portal/sessions/delete"]).await;
    store.create_enrolment(&cluster, "oslo").await.unwrap();
    expect(&[
        &format!("{GROUPS}/write"),
        &format!("{CONNECTED}/write"),
        "Gitmoor.Portal/enrolments/write",
    ])
    .await;
    store.rotate_keys().await.unwrap();
    expect(&[
        "Gitmoor.Portal/signingKeys/delete",
        "Gitmoor.Portal/signingKeys/write",
    ])
    .await;
    store.delete_principal(bob).await.unwrap();
    expect(&["Gitmoor.Portal/principals/delete"]).await;
}

#[tokio::test]
async fn what_a_portal_does_by_itself_and_for_those_without_a_name_has_an_entry() {
    let (server, code) = started_with_its_link().await;
    let mut browser = Browser::new(&server);
    browser.post("/sign-in/link", &[("code", &code)]).await;
    let token = enrolment::token(&server).await;
    let key = OpeningKey::generate().public().to_string();
    let enrolled = enrolment::enrol(&server, &token, &key).await;
    assert_eq!(enrolled.status, StatusCode::OK);
    let log = log(&server, "/").await;
    for (by, action) in [
        ("the portal", "Gitmoor.Portal/sealingKeys/write"),
        ("the portal", "Gitmoor.Portal/signingKeys/write"),
        ("the portal", "Gitmoor.Portal/signInLinks/write"),
        ("the first sign-in link", "Gitmoor.Portal/principals/write"),
        ("administrator", "Gitmoor.Portal/sessions/write"),
        ("an enrolment token", "Gitmoor.Portal/principals/write"),
    ] {
        let found = log.iter().any(|one| one.by == by && one.action == action);
        assert!(found, "{by}: {action}");
    }
}

#[tokio::test]
async fn a_restore_and_another_sealing_key_are_told_when_the_database_is_opened() {
    let server = Server::start().await;
    let key = std::fs::read(server.directory().join("encryption.key")).unwrap();
    let mut backup = Vec::new();
    let from = settings(server.directory()).database();
    let rows = back_up(&from, &mut backup).await.unwrap();
    let directory = TempDir::new().unwrap();
    let mut to = settings(directory.path());
    restore(&to.database(), &backup[..]).await.unwrap();
    // The first key seals it, and then another.
    let old = directory.path().join("old.key");
    std::fs::write(&old, key).unwrap();
    let old = format!("file:{}", old.display()).parse().unwrap();
    to.encryption.previous = vec![old];
    let everything = "/".parse().unwrap();
    let since = super::audit::EVER;
    for _ in 0..2 {
        let store = Store::open(&to).await.unwrap();
        let log = store.audit(&everything, since, 1000).await.unwrap();
        let of = |action: &str| {
            log.iter()
                .filter(|one| one.action == action)
                .collect::<Vec<_>>()
        };
        let restored = of("Gitmoor.Portal/restores/write");
        assert_eq!(restored.len(), 1);
        assert!(restored[0].by.starts_with("command line of user "));
        assert_eq!(restored[0].after.as_ref().unwrap()["rows"], rows);
        let sealed = of("Gitmoor.Portal/sealingKeys/write");
        assert_eq!(sealed.len(), 2);
        assert_eq!(sealed[0].before, sealed[1].after);
        assert_ne!(sealed[0].after, sealed[1].after);
    }
}
