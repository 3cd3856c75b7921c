//! What a commit does, no more and no less.

use anyhow::Result;
use gitmoor_crds::Scope;
use gitmoor_tests::{condition, world};

/// A ConfigMap as a manifest.
fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value:?}\n"
    )
}

fn files(count: u32) -> Vec<(String, String)> {
    (0..count)
        .map(|n| (format!("maps/m{n}.yaml"), map(&format!("m{n}"), "first")))
        .collect()
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_live_objects_and_a_status() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("commit").await?;
    let repository = world
        .repository(&namespace, &[("a.yaml", &map("a", "1"))])
        .await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let commit = repository.head()?;
    let status = world.synced(&key, &commit).await?;
    let (ready, reason, message) = condition(&status, "Ready").expect("there is a condition");
    assert_eq!((ready, reason), ("True", "Applied"), "{message}");
    assert_eq!(status.attempted_revision.as_deref(), Some(&*commit));
    assert_eq!(status.objects.expect("there are counts").total, 1);
    let data = world
        .config_map(&namespace, "a")
        .await?
        .expect("it is live");
    assert_eq!(data["value"], "1");
    let table = world.kubectl(&["-n", &namespace, "get", "scc"]).await?;
    assert!(table.contains("True") && table.contains(&commit), "{table}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_file_of_200_is_one_patch_and_the_same_commit_none() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("patch").await?;
    let mut all = files(200);
    let repository = world.repository(&namespace, &borrowed(&all)).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world.synced(&key, &repository.head()?).await?;

    all[117].1 = map("m117", "second");
    let mark = world.mark()?;
    let commit = repository.commit(&[(&all[117].0, &all[117].1)], &[], "one line")?;
    world.synced(&key, &commit).await?;
    let requests = world.requests_about_objects(&namespace, mark).await?;
    let sent: Vec<_> = requests
        .iter()
        .map(|one| (one.verb.as_str(), one.name.as_str()))
        .collect();
    assert_eq!(sent, [("patch", "m117")], "{requests:#?}");

    let mark = world.mark()?;
    let asked = world.git.requests();
    world.request_sync(&key).await?;
    world
        .eventually("the repository was asked again", || async {
            Ok(world.git.requests() > asked)
        })
        .await?;
    let empty = repository.commit(&[("README.md", "nothing to apply\n")], &[], "no object")?;
    world.synced(&key, &empty).await?;
    let requests = world.requests_about_objects(&namespace, mark).await?;
    assert!(requests.is_empty(), "{requests:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_deletes_its_object_and_no_other() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("prune").await?;
    let all = files(5);
    let repository = world.repository(&namespace, &borrowed(&all)).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world.synced(&key, &repository.head()?).await?;

    let mark = world.mark()?;
    let commit = repository.commit(&[], &["maps/m3.yaml"], "without m3")?;
    let status = world.synced(&key, &commit).await?;
    assert_eq!(status.objects.expect("there are counts").pruned, 1);
    let mut left = world.applied_config_maps(&namespace).await?;
    left.sort();
    assert_eq!(left, ["m0", "m1", "m2", "m4"]);
    let requests = world.requests_about_objects(&namespace, mark).await?;
    let deleted: Vec<_> = requests.iter().filter(|one| one.verb == "delete").collect();
    assert_eq!(deleted.len(), 1, "{requests:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_from_another_folder_arrives_in_the_same_sync() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("platform").await?;
    let other = format!("{namespace}-made");
    let inside = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: inside, namespace: {other}}}\ndata: {{a: b}}\n"
    );
    let outside = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n");
    let repository = world
        .repository(
            &namespace,
            &[
                ("apps/a.yaml", &inside),
                ("zz-base/namespace.yaml", &outside),
            ],
        )
        .await?;
    let mut spec = world.spec(&namespace);
    spec.scope = Scope::Cluster;
    spec.paths = vec!["apps".to_owned(), "zz-base".to_owned()];
    let key = world.follow(&namespace, "platform", spec).await?;
    let status = world.synced(&key, &repository.head()?).await?;
    assert_eq!(
        condition(&status, "Ready").map(|one| one.0),
        Some("True"),
        "{status:#?}"
    );
    assert!(world.config_map(&other, "inside").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_its_objects_arrive_in_the_same_sync() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("definition").await?;
    let definition = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
    let widget =
        "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: first}\nspec: {size: 3}\n";
    let repository = world
        .repository(&namespace, &[("a.yaml", widget), ("z.yaml", definition)])
        .await?;
    let mut spec = world.spec(&namespace);
    spec.scope = Scope::Cluster;
    let key = world.follow(&namespace, "widgets", spec).await?;
    let status = world.synced(&key, &repository.head()?).await?;
    assert_eq!(
        condition(&status, "Ready").map(|one| one.0),
        Some("True"),
        "{status:#?}"
    );
    let widgets = world.objects("example.org/v1", "Widget", "widgets", &namespace);
    assert_eq!(widgets.get("first").await?.data["spec"]["size"], 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_configuration_does_nothing_until_it_is_resumed() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("suspend").await?;
    let repository = world
        .repository(&namespace, &[("a.yaml", &map("a", "1"))])
        .await?;
    let mut spec = world.spec(&namespace);
    spec.suspend = true;
    let key = world.follow(&namespace, "shop", spec).await?;
    world
        .until(&key, "suspended", |status| {
            condition(status, "Ready").is_some_and(|(_, reason, _)| reason == "Suspended")
        })
        .await?;
    assert!(world.config_map(&namespace, "a").await?.is_none());
    world
        .kubectl(&[
            "-n",
            &namespace,
            "patch",
            "scc",
            "shop",
            "--type=merge",
            "-p",
            "{\"spec\":{\"suspend\":false}}",
        ])
        .await?;
    world.synced(&key, &repository.head()?).await?;
    assert!(world.config_map(&namespace, "a").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_configuration_keeps_or_deletes_what_it_applied_as_it_says() -> Result<()> {
    let world = world().await;
    for prune in [false, true] {
        let namespace = world.namespace("end").await?;
        let repository = world
            .repository(
                &namespace,
                &[("a.yaml", &map("a", "1")), ("b.yaml", &map("b", "1"))],
            )
            .await?;
        let mut spec = world.spec(&namespace);
        spec.prune_on_delete = prune;
        let key = world.follow(&namespace, "shop", spec).await?;
        world.synced(&key, &repository.head()?).await?;
        world.delete(&key).await?;
        world
            .eventually("the inventory is gone", || async {
                let maps = world
                    .kubectl(&["-n", &namespace, "get", "configmaps", "-o", "name"])
                    .await?;
                Ok(!maps.contains("gitmoor-inventory"))
            })
            .await?;
        let left = world.applied_config_maps(&namespace).await?;
        assert_eq!(
            left.len(),
            if prune { 0 } else { 2 },
            "prune on delete: {prune}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_great_deletion_waits_for_a_confirmation_of_its_commit() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("guard").await?;
    let all = files(24);
    let repository = world.repository(&namespace, &borrowed(&all)).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world.synced(&key, &repository.head()?).await?;
    let removed: Vec<&str> = all[..13].iter().map(|(path, _)| path.as_str()).collect();
    let commit = repository.commit(&[], &removed, "more than half")?;
    let status = world.synced(&key, &commit).await?;
    assert_eq!(status.problems.len(), 1, "{status:#?}");
    assert_eq!(status.problems[0].reason, "Guarded");
    assert_eq!(world.applied_config_maps(&namespace).await?.len(), 24);
    world
        .annotate(&key, "gitmoor.io/confirm-prune", &commit)
        .await?;
    world
        .eventually("13 are deleted", || async {
            Ok(world.applied_config_maps(&namespace).await?.len() == 11)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_prunes_nothing_of_an_older_one_of_its_name() -> Result<()> {
    let world = world().await;
    for scope in [Scope::Namespace, Scope::Cluster] {
        let namespace = world.namespace("again").await?;
        let repository = world
            .repository(
                &namespace,
                &[("a.yaml", &map("a", "1")), ("b.yaml", &map("b", "1"))],
            )
            .await?;
        let mut spec = world.spec(&namespace);
        spec.scope = scope;
        let key = world.follow(&namespace, "shop", spec.clone()).await?;
        world.synced(&key, &repository.head()?).await?;
        world.delete(&key).await?;
        repository.commit(&[], &["b.yaml"], "without b")?;
        let key = world.follow(&namespace, "shop", spec).await?;
        world.synced(&key, &repository.head()?).await?;
        let mut left = world.applied_config_maps(&namespace).await?;
        left.sort();
        assert_eq!(left, ["a", "b"], "{scope}");
    }
    Ok(())
}
