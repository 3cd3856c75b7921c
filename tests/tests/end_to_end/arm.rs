//! From ARM to live objects and back to ARM: a portal, an agent with the rights of its
//! installation, and operators with those of their namespaces.

#[path = "arm/commands.rs"]
mod commands;
#[path = "arm/faults.rs"]
mod faults;
#[path = "arm/scopes.rs"]
mod scopes;
#[path = "arm/secrets.rs"]
mod secrets;
#[path = "arm/ssh.rs"]
mod ssh;

use anyhow::Result;
use gitmoor_arm::{ErrorResponse, StatusReport, Timestamp};
use gitmoor_crds::SourceControlConfigurationStatus;
use gitmoor_tests::{
    World,
    arm::{arm, token_of},
    condition,
};
use k8s_openapi::api::{
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::Api;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const OPERATOR: &str = "gitmoor-operator";

fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: {value:?}}}\n"
    )
}

/// Whether a commit is applied, without a problem.
fn applied(commit: &str) -> impl Fn(&SourceControlConfigurationStatus) -> bool {
    move |status| {
        status.applied_revision.as_deref() == Some(commit)
            && condition(status, "Ready").is_some_and(|one| one.0 == "True")
    }
}

/// Whether ARM says the same.
fn compliant(commit: &str) -> impl Fn(&Value) -> bool {
    move |said| {
        said["complianceState"] == "Compliant" && said["message"]["AppliedRevision"] == commit
    }
}

fn last_applied(said: &Value) -> Result<Timestamp> {
    Ok(serde_json::from_value(said["lastConfigApplied"].clone())?)
}

/// Waits until a ConfigMap has a value; none: until it is gone.
async fn has_value(world: &World, namespace: &str, name: &str, value: Option<&str>) -> Result<()> {
    let what = format!("{namespace}/{name} is {value:?}");
    world
        .eventually(&what, || async {
            let map = world.config_map(namespace, name).await?;
            let found = map.map(|map| map.get("value").cloned().unwrap_or_default());
            Ok(found.as_deref() == value)
        })
        .await
}

/// Of the operator's ServiceAccount, Role and RoleBindings, those that are there.
async fn rights(world: &World, namespace: &str) -> Result<Vec<String>> {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client(), namespace);
    let roles: Api<Role> = Api::namespaced(world.client(), namespace);
    let bindings: Api<RoleBinding> = Api::namespaced(world.client(), namespace);
    let mut found = Vec::new();
    if accounts.get_opt(OPERATOR).await?.is_some() {
        found.push(format!("ServiceAccount {OPERATOR}"));
    }
    for role in roles.list(&Default::default()).await? {
        found.push(format!("Role {}", role.metadata.name.unwrap_or_default()));
    }
    for binding in bindings.list(&Default::default()).await? {
        let name = binding.metadata.name.unwrap_or_default();
        let subjects = binding.subjects.unwrap_or_default();
        assert!(
            subjects
                .iter()
                .all(|one| one.name == OPERATOR && one.namespace.as_deref() == Some(namespace)),
            "{subjects:?}"
        );
        found.push(format!("RoleBinding {name} to {}", binding.role_ref.name));
    }
    Ok(found)
}

/// The names of the inventories in a namespace.
async fn inventories(world: &World, namespace: &str) -> Result<Vec<String>> {
    let maps = world
        .kubectl(&["-n", namespace, "get", "configmaps", "-o", "name"])
        .await?;
    let of_inventory = maps
        .lines()
        .filter(|name| name.contains("gitmoor-inventory"));
    Ok(of_inventory.map(str::to_owned).collect())
}

/// The fields that ARM finds wrong.
fn targets(body: &Value) -> Result<Vec<String>> {
    let refusal: ErrorResponse = serde_json::from_value(body.clone())?;
    let details = refusal.error.details.into_iter();
    Ok(details.filter_map(|detail| detail.target).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_put_to_arm_is_live_followed_changed_and_deleted() -> Result<()> {
    let arm = arm().await;
    let world = &arm.world;
    let (name, namespace) = ("whole", "arm-whole");
    let namespaces: Api<Namespace> = Api::all(world.client());
    assert!(namespaces.get_opt(namespace).await?.is_none());
    let (one, two, other, both) = (
        map("one", "1"),
        map("two", "1"),
        map("other", "1"),
        map("both", "1"),
    );
    let files = [
        ("a/one.yaml", &*one),
        ("a/two.yaml", &*two),
        ("b/other.yaml", &*other),
        ("both/both.yaml", &*both),
    ];
    let repository = world.repository(name, &files).await?;
    let first = repository.head()?;
    let before = Timestamp::now();

    let params = "--git-path=a,both --sync-garbage-collection";
    let properties = arm.properties(name, namespace, params);
    let put = arm.put(name, &properties).await?;
    assert_eq!(put.status, StatusCode::CREATED, "{put:?}");
    let said = &put.body["properties"];
    assert_eq!(said["provisioningState"], "Succeeded");
    assert_eq!(said["complianceStatus"]["complianceState"], "Pending");
    let key = arm.configure(name, &properties).await?;

    let status = arm.until(&key, "applied", applied(&first)).await?;
    assert_eq!(status.objects.map(|counts| counts.total), Some(3));
    let mut live = world.applied_config_maps(namespace).await?;
    live.sort();
    assert_eq!(live, ["both", "one", "two"]);
    assert_eq!(
        rights(world, namespace).await?,
        [
            "ServiceAccount gitmoor-operator",
            "Role gitmoor-operator-own",
            "RoleBinding gitmoor-operator to gitmoor-namespace-operator",
            "RoleBinding gitmoor-operator-own to gitmoor-operator-own",
        ]
    );
    let said = arm.compliance(name, "compliant", compliant(&first)).await?;
    assert_eq!(said["messageLevel"], "Information", "{said:#}");
    assert_eq!(said["message"]["AttemptedRevision"], first);
    assert_eq!(said["message"]["Objects"]["total"], 3, "{said:#}");
    let first_applied = last_applied(&said)?;
    assert!(first_applied.0.unix_timestamp() >= before.0.unix_timestamp());
    assert!(first_applied <= Timestamp::now());
    let list = arm.list().await?;
    let listed = list.body["value"].as_array().cloned().unwrap_or_default();
    assert!(
        listed.iter().any(|one| one["name"] == name
            && one["properties"]["complianceStatus"]["complianceState"] == "Compliant"),
        "{listed:#?}"
    );

    // A commit.
    let second = repository.commit(&[("a/one.yaml", &map("one", "2"))], &["a/two.yaml"], "2")?;
    has_value(world, namespace, "one", Some("2")).await?;
    has_value(world, namespace, "two", None).await?;
    let said = arm
        .compliance(name, "the second commit", compliant(&second))
        .await?;
    assert!(last_applied(&said)? > first_applied, "{said:#}");

    // One that is wrong in a place: ARM names it.
    let third = repository.commit(&[("a/two.yaml", "kind: [")], &[], "3")?;
    let said = arm
        .compliance(name, "the problem", |said| {
            said["complianceState"] == "Noncompliant"
                && said["message"]["AttemptedRevision"] == third
        })
        .await?;
    assert_eq!(said["messageLevel"], "Error");
    assert_eq!(said["message"]["Problems"][0]["path"], "a/two.yaml");
    let fourth = repository.commit(&[], &["a/two.yaml"], "4")?;
    arm.compliance(name, "all is well", compliant(&fourth))
        .await?;

    // Another path.
    let params = "--git-path=b,both --sync-garbage-collection";
    let changed = arm
        .put(name, &arm.properties(name, namespace, params))
        .await?;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    has_value(world, namespace, "other", Some("1")).await?;
    has_value(world, namespace, "one", None).await?;
    has_value(world, namespace, "both", Some("1")).await?;
    arm.compliance(name, "the other path", |said| {
        compliant(&fourth)(said) && said["message"]["Objects"]["total"] == 2
    })
    .await?;

    // The end: what was deployed stays.
    assert_ne!(inventories(world, namespace).await?, [""; 0]);
    assert_eq!(arm.delete(name).await?.status, StatusCode::OK);
    world
        .eventually("the configuration and its operator are gone", || async {
            let api = world.configurations(namespace);
            Ok(api.get_opt(name).await?.is_none()
                && rights(world, namespace).await?.is_empty()
                && inventories(world, namespace).await?.is_empty())
        })
        .await?;
    assert_eq!(arm.show(name).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(arm.delete(name).await?.status, StatusCode::NO_CONTENT);
    let mut live = world.applied_config_maps(namespace).await?;
    live.sort();
    assert_eq!(live, ["both", "other"]);
    assert!(namespaces.get_opt(namespace).await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_with_every_fault_and_changes_nothing() -> Result<()> {
    let arm = arm().await;
    let wrong = json!({
        "repositoryUrl": "https://user:pass@git.example.org/shop.git",
        "operatorNamespace": "Not-A-Name",
        "operatorScope": "galaxy",
        "operatorParams": "--git-path=../../etc --git-bramch=main --git-poll-interval=1s",
        "configurationProtectedSettings": {"httpsUser": "Ym90"},
    });
    let answer = arm.put("wrong", &wrong).await?;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body["error"]["code"], "InvalidRequestContent");
    let mut found = targets(&answer.body)?;
    found.sort();
    assert_eq!(
        found,
        [
            "properties.configurationProtectedSettings.httpsKey",
            "properties.operatorNamespace",
            "properties.operatorParams",
            "properties.operatorParams",
            "properties.operatorParams",
            "properties.operatorScope",
            "properties.repositoryUrl",
        ],
        "{:#}",
        answer.body
    );
    let text = answer.body.to_string();
    for flag in ["../../etc", "--git-bramch", "--git-poll-interval"] {
        assert!(text.contains(flag), "{flag}: {:#}", answer.body);
    }
    assert_eq!(arm.show("wrong").await?.status, StatusCode::NOT_FOUND);

    // One that is there stays as it was.
    let world = &arm.world;
    let repository = world
        .repository("right", &[("a.yaml", &map("a", "1"))])
        .await?;
    let properties = arm.properties("right", "arm-right", "");
    let key = arm.configure("right", &properties).await?;
    arm.until(&key, "applied", applied(&repository.head()?))
        .await?;
    let before = arm.show("right").await?.body;
    let mut worse = properties.clone();
    worse["operatorParams"] = json!("--git-path=../..");
    let answer = arm.put("right", &worse).await?;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(targets(&answer.body)?, ["properties.operatorParams"]);
    let after = arm.show("right").await?.body;
    assert_eq!(
        (&after["etag"], &after["properties"]["operatorParams"]),
        (&before["etag"], &before["properties"]["operatorParams"])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_token_reaches_the_data_plane_of_no_other() -> Result<()> {
    let arm = arm().await;
    let properties = arm.properties("nobodys", "arm-nobodys", "");
    let answer = arm.put("nobodys", &properties).await?;
    assert_eq!(answer.status, StatusCode::CREATED);
    let own = arm.cluster();
    let other = own.as_str().replace("edge-07", "edge-08").parse()?;
    let foreign = arm.store.create_agent(&other).await?;
    let foreign = token_of(&arm.store, foreign.id()).await?;
    let report = serde_json::to_value(StatusReport::default())?;

    let table = [
        (Method::GET, own.data_plane_path(), None),
        (Method::PUT, own.status_path("nobodys"), Some(&report)),
        // Nor is it a principal's, not even of its own cluster.
        (Method::GET, versioned(&own.configurations_path()), None),
        (Method::GET, versioned(&other.configurations_path()), None),
    ];
    for (method, path, body) in table {
        let answer = arm.ask(&foreign, method.clone(), &path, body).await?;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(
            !answer.body.to_string().contains("repositoryUrl"),
            "{answer:?}"
        );
    }
    let answer = arm
        .ask(&foreign, Method::GET, &other.data_plane_path(), None)
        .await?;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["value"], json!([]));
    let answer = arm
        .ask(&arm.agent, Method::GET, &own.data_plane_path(), None)
        .await?;
    assert!(answer.body.to_string().contains("nobodys"), "{answer:?}");
    // Nor does an administrator read what agents read.
    let answer = arm
        .ask(
            &arm.administrator,
            Method::GET,
            &own.data_plane_path(),
            None,
        )
        .await?;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    Ok(())
}

fn versioned(path: &str) -> String {
    format!("{path}?api-version=2023-05-01")
}
