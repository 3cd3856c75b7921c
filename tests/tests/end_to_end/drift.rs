//! What others change, and what is done about it.

use std::time::Duration;

use anyhow::Result;
use gitmoor_cluster::Mark;
use gitmoor_tests::{ConfigurationKey, World, world};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 0
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: front, image: example.org/front:1}]}
";

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n";

async fn started(world: &World, prefix: &str) -> Result<(String, ConfigurationKey)> {
    let start = world.mark()?;
    let namespace = world.namespace(prefix).await?;
    let repository = world
        .repository(
            &namespace,
            &[("front.yaml", DEPLOYMENT), ("settings.yaml", MAP)],
        )
        .await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world.synced(&key, &repository.head()?).await?;
    watching(world, &namespace, start).await?;
    Ok((namespace, key))
}

/// Waits until the operator watches both kinds.
async fn watching(world: &World, namespace: &str, start: Mark) -> Result<()> {
    world
        .eventually("both kinds are watched", || async {
            let requests = world.requests(namespace, start).await?;
            let watched = |resource: &str| {
                requests
                    .iter()
                    .any(|one| one.verb == "watch" && one.resource == resource)
            };
            Ok(watched("configmaps") && watched("deployments"))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_an_owned_field_is_healed() -> Result<()> {
    let world = world().await;
    let (namespace, key) = started(world, "edit").await?;
    let mark = world.mark()?;
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    let edit = json!({"data": {"colour": "red"}});
    let parameters = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    maps.patch("settings", &parameters, &Patch::Merge(&edit))
        .await?;
    world
        .eventually("the colour is blue again", || async {
            let data = world.config_map(&namespace, "settings").await?;
            Ok(data.is_some_and(|data| data["colour"] == "blue"))
        })
        .await?;
    let status = world
        .until(&key, "healed", |status| {
            status.objects.is_some_and(|counts| counts.healed == 1)
        })
        .await?;
    let drift = &status.drifts[..];
    assert_eq!(drift.len(), 1, "{drift:#?}");
    assert_eq!(drift[0].object, format!("ConfigMap {namespace}/settings"));
    assert_eq!(drift[0].manager.as_deref(), Some("kubectl-edit"));
    assert!(!drift[0].deleted);
    let requests = world.requests_about_objects(&namespace, mark).await?;
    assert_eq!(requests.len(), 1, "{requests:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_returns() -> Result<()> {
    let world = world().await;
    let (namespace, key) = started(world, "deleted").await?;
    let deployments: Api<Deployment> = Api::namespaced(world.client(), &namespace);
    let before = deployments.get("front").await?.metadata.uid;
    deployments
        .delete("front", &DeleteParams::background())
        .await?;
    world
        .eventually("the Deployment is back", || async {
            let found = deployments.get_opt("front").await?;
            Ok(found.is_some_and(|found| found.metadata.uid != before))
        })
        .await?;
    let status = world
        .until(&key, "healed", |status| !status.drifts.is_empty())
        .await?;
    assert_eq!(
        status.drifts[0].object,
        format!("Deployment.apps {namespace}/front")
    );
    assert!(status.drifts[0].deleted);
    assert_eq!(status.drifts[0].manager, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_label_of_ours_returns() -> Result<()> {
    let world = world().await;
    let (namespace, _) = started(world, "label").await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    let edit = json!({"metadata": {"labels": {"gitmoor.io/configuration": null}}});
    maps.patch("settings", &PatchParams::default(), &Patch::Merge(&edit))
        .await?;
    world
        .eventually("the label is back", || async {
            let labels = maps
                .get("settings")
                .await?
                .metadata
                .labels
                .unwrap_or_default();
            Ok(labels.contains_key("gitmoor.io/configuration"))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_changes_send_nothing_and_quiet_is_quiet() -> Result<()> {
    let world = world().await;
    let (namespace, key) = started(world, "quiet").await?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "patch",
            "scc",
            "shop",
            "--type=merge",
            "-p",
            "{\"spec\":{\"interval\":\"10s\"}}",
        ])
        .await?;
    world
        .until(&key, "settled", |status| {
            status.observed_generation == Some(2)
        })
        .await?;
    // The checkpoint of the inventory comes within 36 s of the last change; then all is quiet.
    sleep(Duration::from_secs(45)).await;
    let mark = world.mark()?;

    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    let foreign = json!({"metadata": {"annotations": {"example.org/note": "mine"}}});
    maps.patch("settings", &PatchParams::default(), &Patch::Merge(&foreign))
        .await?;
    let deployments: Api<Deployment> = Api::namespaced(world.client(), &namespace);
    let status = json!({"status": {"observedGeneration": 1, "replicas": 0}});
    deployments
        .patch_status("front", &PatchParams::default(), &Patch::Merge(&status))
        .await?;

    // What is to be shown is that nothing happens for two minutes, so that it is waited for.
    sleep(Duration::from_secs(120)).await;
    let requests = world.requests(&namespace, mark).await?;
    let others: Vec<_> = requests.iter().filter(|one| one.verb != "watch").collect();
    assert!(others.is_empty(), "{others:#?}");
    let note = maps
        .get("settings")
        .await?
        .metadata
        .annotations
        .unwrap_or_default();
    assert_eq!(note["example.org/note"], "mine");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_field_back_again_and_again_is_answered_ever_more_rarely() -> Result<()> {
    let world = world().await;
    let (namespace, key) = started(world, "fight").await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    let edit = json!({"data": {"colour": "red"}});
    let parameters = PatchParams {
        field_manager: Some("stubborn-controller".to_owned()),
        ..PatchParams::default()
    };
    let fighter = async {
        loop {
            let colour = maps.get("settings").await?.data.unwrap_or_default();
            if colour["colour"] == "blue" {
                maps.patch("settings", &parameters, &Patch::Merge(&edit))
                    .await?;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let told = world.until(&key, "told of the fight, and with whom", |status| {
        status.problems.iter().any(|problem| {
            let message = &problem.message;
            problem.reason == "Fight"
                && message.contains(
                    r#".data.colour is "red", and should be "blue" (stubborn-controller)"#,
                )
        })
    });
    let status = tokio::select! {
        status = told => status?,
        end = fighter => return end,
    };
    let problem = &status.problems[0];
    assert_eq!(
        (problem.path.as_str(), problem.line),
        ("settings.yaml", Some(1))
    );
    Ok(())
}
