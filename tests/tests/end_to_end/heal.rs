//! What `heal` says about drift: it is put right, or shown, or left alone; and what the watches alone
//! do not show.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gitmoor_crds::{Heal, SourceControlConfigurationStatus};
use gitmoor_git::Repository;
use gitmoor_tests::{
    ConfigurationKey, World, bare_world, condition,
    lone::Lone,
    trees::{Kind, Tree},
    world,
};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

const FILES: [(&str, &str); 4] = [
    (
        "front.yaml",
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 0
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: front, image: example.org/front:1}]}
",
    ),
    (
        "settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue, size: '7'}\n",
    ),
    (
        "other.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: b}\n",
    ),
    (
        "key.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: hunter2}\n",
    ),
];

/// A namespace with these files, whose drift is dealt with so.
async fn followed(
    world: &World,
    prefix: &str,
    heal: Heal,
) -> Result<(ConfigurationKey, Repository)> {
    let namespace = world.namespace(prefix).await?;
    let repository = world.repository(&namespace, &FILES).await?;
    let mut spec = world.spec(&namespace);
    spec.heal = heal;
    let key = world.follow(&namespace, "shop", spec).await?;
    world.synced(&key, &repository.head()?).await?;
    Ok((key, repository))
}

async fn set_spec(world: &World, key: &ConfigurationKey, spec: Value) -> Result<()> {
    let patch = json!({"spec": spec});
    world
        .configurations(&key.namespace)
        .patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}

/// Changes an object as somebody else.
async fn edit(world: &World, namespace: &str, kind: &str, name: &str, edit: Value) -> Result<()> {
    let (api_version, plural) = match kind {
        "Deployment" => ("apps/v1", "deployments"),
        "Secret" => ("v1", "secrets"),
        _ => ("v1", "configmaps"),
    };
    let parameters = PatchParams {
        field_manager: Some("night-shift".to_owned()),
        ..PatchParams::default()
    };
    world
        .objects(api_version, kind, plural, namespace)
        .patch(name, &parameters, &Patch::Merge(&edit))
        .await?;
    Ok(())
}

fn drift<'a>(status: &'a SourceControlConfigurationStatus, path: &str) -> Option<&'a str> {
    let mut problems = status.problems.iter();
    let problem = problems.find(|one| one.reason == "Drift" && one.path == path)?;
    Some(&problem.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn detect_shows_what_differs_and_writes_nothing_until_it_is_enforced() -> Result<()> {
    let world = world().await;
    let (key, repository) = followed(world, "detect", Heal::Detect).await?;
    let namespace = &key.namespace;
    let mark = world.mark()?;
    let colour = json!({"data": {"colour": "red", "size": null, "foreign": "x"}});
    edit(world, namespace, "ConfigMap", "settings", colour).await?;
    let password = json!({"stringData": {"password": "letmein"}});
    edit(world, namespace, "Secret", "key", password).await?;
    let containers = json!([{"name": "front", "image": "example.org/front:2"}]);
    let image = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    edit(world, namespace, "Deployment", "front", image).await?;
    world
        .objects("v1", "ConfigMap", "configmaps", namespace)
        .delete("other", &DeleteParams::default())
        .await?;

    let paths = FILES.map(|(path, _)| path);
    let status = world
        .until(&key, "shown", |status| {
            paths.iter().all(|path| drift(status, path).is_some())
        })
        .await?;
    let shown = paths.map(|path| drift(&status, path).unwrap_or_default());
    let expected = [
        r#".spec.template.spec.containers[name="front"].image is "example.org/front:2", and should be "example.org/front:1" (night-shift)"#,
        r#".data.colour is "red", and should be "blue" (night-shift); .data.size is missing, and should be "7""#,
        "it has been deleted",
        ".data.password differs (night-shift)",
    ];
    for (shown, expected) in shown.iter().zip(expected) {
        ensure!(shown.ends_with(expected), "{shown}, and not {expected}");
    }
    let ready = condition(&status, "Ready").context("Ready")?;
    ensure!(ready.0 == "False", "{ready:?}");
    ensure!(status.objects.is_some_and(|counts| counts.healed == 0));
    // Each was read once and asked about once, and the one that is not there neither.
    let requests = world.requests_about_objects(namespace, mark).await?;
    for request in &requests {
        let dry = request.verb == "patch" && request.uri.contains("dryRun=All");
        ensure!(dry || request.verb == "get", "{request:#?}");
    }
    ensure!(requests.len() == 6, "{requests:#?}");

    // Whoever undoes it by hand is seen as well.
    let colour = json!({"data": {"colour": "blue", "size": "7"}});
    edit(world, namespace, "ConfigMap", "settings", colour).await?;
    world
        .until(&key, "no longer shown", |status| {
            drift(status, "settings.yaml").is_none() && drift(status, "key.yaml").is_some()
        })
        .await?;

    // A commit is applied; what it does not change is left as it is.
    let commit = repository.commit(
        &[("settings.yaml", &FILES[1].1.replace("blue", "green"))],
        &[],
        "green",
    )?;
    let status = world.synced(&key, &commit).await?;
    ensure!(drift(&status, "front.yaml").is_some(), "{status:#?}");
    let settings = world.config_map(namespace, "settings").await?;
    ensure!(settings.is_some_and(|data| data["colour"] == "green"));
    ensure!(world.config_map(namespace, "other").await?.is_none());

    set_spec(world, &key, json!({"heal": "enforce"})).await?;
    world
        .until(&key, "healed", |status| {
            condition(status, "Ready").is_some_and(|ready| ready.0 == "True")
        })
        .await?;
    ensure!(world.config_map(namespace, "other").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn off_leaves_drift_alone_and_also_what_asks_for_it() -> Result<()> {
    let world = world().await;
    let (key, repository) = followed(world, "off", Heal::Off).await?;
    let namespace = &key.namespace;
    let mark = world.mark()?;
    edit(
        world,
        namespace,
        "ConfigMap",
        "settings",
        json!({"data": {"colour": "red"}}),
    )
    .await?;
    let asks = json!({"metadata": {"annotations": {"gitmoor.io/sync": "ignore"}}});
    edit(world, namespace, "ConfigMap", "other", asks).await?;

    let changed = [
        ("front.yaml", FILES[0].1.replace("front:1", "front:2")),
        ("other.yaml", FILES[2].1.replace("a: b", "a: c")),
    ];
    let changed: Vec<_> = changed
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let commit = repository.commit(&changed, &[], "two of them")?;
    let status = world.synced(&key, &commit).await?;
    let ready = condition(&status, "Ready").context("Ready")?;
    ensure!(ready.0 == "True", "{status:#?}");
    let colour = world.config_map(namespace, "settings").await?;
    ensure!(colour.is_some_and(|data| data["colour"] == "red"));
    let other = world.config_map(namespace, "other").await?;
    ensure!(other.is_some_and(|data| data["a"] == "b"));

    let requests = world.requests_about_objects(namespace, mark).await?;
    ensure!(
        requests.len() == 1 && requests[0].name == "front",
        "{requests:#?}"
    );

    set_spec(world, &key, json!({"heal": "enforce"})).await?;
    world
        .eventually("the colour is blue again", || async {
            let data = world.config_map(namespace, "settings").await?;
            Ok(data.is_some_and(|data| data["colour"] == "blue"))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_configuration_heals_nothing_until_it_is_resumed() -> Result<()> {
    let world = world().await;
    let (key, _) = followed(world, "suspended", Heal::Enforce).await?;
    let namespace = &key.namespace;
    set_spec(world, &key, json!({"suspend": true})).await?;
    world
        .until(&key, "suspended", |status| {
            condition(status, "Ready").is_some_and(|ready| ready.1 == "Suspended")
        })
        .await?;
    let mark = world.mark()?;
    let red = json!({"data": {"colour": "red"}});
    edit(world, namespace, "ConfigMap", "settings", red).await?;
    world
        .objects("v1", "ConfigMap", "configmaps", namespace)
        .delete("other", &DeleteParams::default())
        .await?;
    // What is to be shown is that nothing happens, so that it is waited for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let requests = world.requests_about_objects(namespace, mark).await?;
    ensure!(requests.is_empty(), "{requests:#?}");

    set_spec(world, &key, json!({"suspend": false})).await?;
    world
        .eventually("all is as it should be again", || async {
            let settings = world.config_map(namespace, "settings").await?;
            let other = world.config_map(namespace, "other").await?;
            Ok(other.is_some() && settings.is_some_and(|data| data["colour"] == "blue"))
        })
        .await
}

/// Changes a Deployment, and makes its metadata look as if it were untouched.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_covers_its_tracks_is_found() -> Result<()> {
    let world = world().await;
    let (key, _) = followed(world, "forged", Heal::Enforce).await?;
    let namespace = &key.namespace;
    // Or it would be healed between the two steps of the forger.
    set_spec(world, &key, json!({"suspend": true})).await?;
    world
        .until(&key, "suspended", |status| {
            condition(status, "Ready").is_some_and(|ready| ready.1 == "Suspended")
        })
        .await?;
    let deployments = world.objects("apps/v1", "Deployment", "deployments", namespace);
    let image = |object: &DynamicObject| {
        let containers = &object.data["spec"]["template"]["spec"]["containers"];
        containers[0]["image"].as_str().map(str::to_owned)
    };
    let before = deployments.get("front").await?;
    let containers = json!([{"name": "front", "image": "example.org/miner:1"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    edit(world, namespace, "Deployment", "front", change).await?;
    let entries = json!({"metadata": {"managedFields": before.metadata.managed_fields}});
    edit(world, namespace, "Deployment", "front", entries).await?;
    let forged = deployments.get("front").await?;
    ensure!(image(&forged).as_deref() == Some("example.org/miner:1"));
    let ours = |object: &DynamicObject| {
        let mut entries = object.metadata.managed_fields.clone().unwrap_or_default();
        entries.retain(|entry| {
            let manager = entry.manager.as_deref().unwrap_or_default();
            manager.starts_with("gitmoor:")
        });
        entries
    };
    ensure!(ours(&forged) == ours(&before), "{forged:#?}");

    let mark = world.mark()?;
    set_spec(world, &key, json!({"suspend": false})).await?;
    world
        .eventually("it is found and put right", || async {
            let image = image(&deployments.get("front").await?);
            Ok(image.as_deref() == Some("example.org/front:1"))
        })
        .await?;
    let requests = world.requests_about_objects(namespace, mark).await?;
    ensure!(requests.len() == 3, "{requests:#?}");
    Ok(())
}

/// Binds the operator to these rules alone.
async fn only(lone: &Lone<'_>, rules: Value) -> Result<()> {
    let namespace = &lone.key.namespace;
    let world = lone.world;
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "narrow"}, "rules": rules,
    });
    let roles = world.objects("rbac.authorization.k8s.io/v1", "Role", "roles", namespace);
    let parameters = PatchParams::apply("test");
    roles
        .patch("narrow", &parameters, &Patch::Apply(&object))
        .await?;
    world
        .kubectl(&["-n", namespace, "delete", "rolebinding", "operator"])
        .await?;
    let account = format!("--serviceaccount={namespace}:operator");
    let create = ["create", "rolebinding", "narrow", "--role=narrow", &account];
    world
        .kubectl(&[&["-n", namespace], &create[..]].concat())
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_may_not_be_watched_is_compared_from_time_to_time() -> Result<()> {
    let mut tree = Tree::default();
    tree.declare(Kind::Secret, "blind", "a.yaml", "as declared");
    tree.declare(Kind::ConfigMap, "seen", "b.yaml", "as declared");
    let mut lone = Lone::new(bare_world().await, "blind", &tree).await?;
    let world = lone.world;
    let but_watch = ["get", "list", "create", "update", "patch", "delete"];
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": but_watch},
        {"apiGroups": ["", "gitmoor.io"], "resources":
            ["configmaps", "sourcecontrolconfigurations", "sourcecontrolconfigurations/status"],
         "verbs": ["*"]},
    ]);
    only(&lone, rules).await?;
    lone.settings.engine.verify_interval = "1s".parse()?;
    let mark = world.mark()?;
    lone.start()?;
    lone.has(&tree).await?;
    let status = world
        .until(&lone.key, "said so", |status| {
            let ready = condition(status, "Ready");
            ready.is_some_and(|(_, _, message)| {
                message.contains("Secret objects cannot be watched, so they are compared with what is declared every 1s")
            })
        })
        .await?;
    ensure!(status.problems.is_empty(), "{status:#?}");

    let secrets = world.objects("v1", "Secret", "secrets", &lone.key.namespace);
    let by_hand = Kind::Secret.edit("by hand");
    let parameters = PatchParams::default();
    secrets
        .patch("blind", &parameters, &Patch::Merge(&by_hand))
        .await?;
    lone.has(&tree).await?;
    secrets.delete("blind", &DeleteParams::default()).await?;
    lone.has(&tree).await?;
    lone.stop().await?;
    // Whoever is refused asks ever more rarely.
    let requests = lone.requests(mark).await?;
    let asked = requests.iter().filter(|one| {
        let refused = one.code == Some(403);
        one.resource == "secrets" && refused
    });
    ensure!(asked.count() < 12, "{requests:#?}");
    Ok(())
}

fn boats(served: [bool; 2]) -> Value {
    let version = |name: &str, served: bool, storage: bool| {
        json!({
            "name": name, "served": served, "storage": storage,
            "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"kind": "Boat", "plural": "boats"},
            "versions": [version("v1beta1", served[0], false), version("v1", served[1], true)],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_seen_when_the_version_that_was_watched_is_no_longer_served() -> Result<()> {
    let world = bare_world().await;
    let definitions = || {
        let directory = tempfile::tempdir()?;
        anyhow::Ok((directory.path().join("boats.yaml"), directory))
    };
    let serve = async |served: [bool; 2]| -> Result<()> {
        let (path, _directory) = definitions()?;
        std::fs::write(&path, boats(served).to_string())?;
        let path = path.display().to_string();
        world
            .kubectl(&["apply", "--server-side", "-f", &path])
            .await?;
        let established = "--for=condition=Established";
        world
            .kubectl(&["wait", established, "crd/boats.example.org"])
            .await?;
        Ok(())
    };
    serve([true, true]).await?;
    let boat = |version: &str| {
        format!(
            "apiVersion: example.org/{version}\nkind: Boat\nmetadata: {{name: gull}}\nspec: {{crew: 3}}\n"
        )
    };
    let mut lone = Lone::new(world, "versions", &Tree::default()).await?;
    lone.repository
        .commit(&[("boat.yaml", &boat("v1beta1"))], &[], "a boat")?;
    lone.start()?;
    let commit = lone.repository.head()?;
    world.synced(&lone.key, &commit).await?;
    // The manifest moves on, then the API does.
    let commit = lone
        .repository
        .commit(&[("boat.yaml", &boat("v1"))], &[], "v1")?;
    world.synced(&lone.key, &commit).await?;
    serve([false, true]).await?;
    // A watch that is open may go on for a while.
    lone.api.sever();

    let gulls = world.objects("example.org/v1", "Boat", "boats", &lone.key.namespace);
    let edit = json!({"spec": {"crew": 4}});
    let parameters = PatchParams::default();
    gulls
        .patch("gull", &parameters, &Patch::Merge(&edit))
        .await?;
    world
        .eventually("the crew is three again", || async {
            Ok(gulls.get("gull").await?.data["spec"]["crew"] == 3)
        })
        .await?;
    lone.stop().await
}
