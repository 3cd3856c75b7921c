//! Configurations that depend on others, and are released when those are ready.

use anyhow::Result;
use gitmoor_crds::SourceControlConfigurationStatus;
use gitmoor_tests::{ConfigurationKey, World, condition, world};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::health::{deployment, kubelet, running};

fn map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn ready(status: &SourceControlConfigurationStatus) -> (&str, &str, &str) {
    condition(status, "Ready").unwrap_or(("", "", ""))
}

/// A configuration of that name, which follows that folder and depends on others.
async fn follow(
    world: &World,
    namespace: &str,
    name: &str,
    depends_on: &[&str],
) -> Result<ConfigurationKey> {
    let mut spec = world.spec(namespace);
    spec.paths = vec![name.to_owned()];
    spec.depends_on = depends_on.iter().map(|&one| one.to_owned()).collect();
    world.follow(namespace, name, spec).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_for_what_it_depends_on_to_be_ready() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("depends").await?;
    let (store, shop) = (map("store"), map("shop"));
    let front = deployment("example.org/front:1");
    let files = [
        ("store/map.yaml", store.as_str()),
        ("store/front.yaml", &front),
        ("shop/map.yaml", &shop),
    ];
    let repository = world.repository(&namespace, &files).await?;
    let shop = follow(world, &namespace, "shop", &["store"]).await?;
    let status = world
        .until(&shop, "waiting", |status| {
            ready(status).1 == "DependencyNotReady"
        })
        .await?;
    assert!(
        ready(&status).2.contains("store, which does not exist"),
        "{status:?}"
    );

    let store = follow(world, &namespace, "store", &[]).await?;
    world.synced(&store, &repository.head()?).await?;
    world
        .until(&shop, "still waiting", |status| {
            ready(status).2 == "waits until the configuration store is ready"
        })
        .await?;
    assert_eq!(world.config_map(&namespace, "shop").await?, None);

    kubelet(world, &namespace, &running()).await?;
    world
        .until(&shop, "ready", |status| ready(status).0 == "True")
        .await?;
    assert!(world.config_map(&namespace, "shop").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_is_named_and_ends_when_one_leaves_it() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("circle").await?;
    let (one, two) = (map("one"), map("two"));
    let files = [("one/map.yaml", one.as_str()), ("two/map.yaml", &two)];
    world.repository(&namespace, &files).await?;
    let one = follow(world, &namespace, "one", &["two"]).await?;
    let two = follow(world, &namespace, "two", &["one"]).await?;
    for key in [&one, &two] {
        let status = world
            .until(key, "in a circle", |status| {
                ready(status).1 == "DependencyCircle"
            })
            .await?;
        assert!(condition(&status, "Stalled").is_some(), "{status:?}");
    }
    let patch = Patch::Merge(json!({"spec": {"dependsOn": []}}));
    world
        .configurations(&namespace)
        .patch("two", &PatchParams::default(), &patch)
        .await?;
    for key in [&two, &one] {
        world
            .until(key, "ready", |status| ready(status).0 == "True")
            .await?;
    }
    let itself = Patch::Merge(json!({"spec": {"dependsOn": ["two"]}}));
    let refused = world
        .configurations(&namespace)
        .patch("two", &PatchParams::default(), &itself)
        .await;
    assert!(refused.is_err_and(|error| error.to_string().contains("cannot depend on itself")));
    Ok(())
}
