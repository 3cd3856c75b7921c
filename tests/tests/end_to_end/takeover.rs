//! Objects that were there before: people's are taken over completely, those of other engines and
//! configurations are refused or adopted.

use anyhow::{Context as _, Result};
use gitmoor_crds::SourceControlConfigurationStatus;
use gitmoor_git::Repository;
use gitmoor_tests::{ConfigurationKey, World, condition, world};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

const WANTED: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: {tier: backend}
data: {shared: wanted, new: wanted}
";

/// The same object as it was before Gitmoor.
const BEFORE: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: {tier: backend, old: label}
  annotations: {old: annotation}
data: {shared: before, old: before}
";

async fn kubectl(world: &World, namespace: &str, arguments: &[&str]) -> Result<String> {
    world
        .kubectl(&[&["-n", namespace], arguments].concat())
        .await
}

/// Runs kubectl with a manifest.
async fn with_file(
    world: &World,
    namespace: &str,
    arguments: &[&str],
    manifest: &str,
) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("object.yaml");
    std::fs::write(&file, manifest)?;
    let file = file.display().to_string();
    kubectl(world, namespace, &[arguments, &["-f", &file]].concat()).await
}

async fn followed(
    world: &World,
    namespace: &str,
    manifest: &str,
    adopt: bool,
) -> Result<(
    ConfigurationKey,
    Repository,
    SourceControlConfigurationStatus,
)> {
    let repository = world
        .repository(namespace, &[("settings.yaml", manifest)])
        .await?;
    let mut spec = world.spec(namespace);
    spec.adopt = adopt;
    let key = world.follow(namespace, "shop", spec).await?;
    let status = world.synced(&key, &repository.head()?).await?;
    Ok((key, repository, status))
}

fn ready(status: &SourceControlConfigurationStatus) -> Option<&str> {
    condition(status, "Ready").map(|(status, ..)| status)
}

fn managers(map: &ConfigMap) -> Vec<(String, String)> {
    let entries = map.managed_fields().iter();
    entries
        .map(|entry| {
            (
                entry.manager.clone().unwrap_or_default(),
                entry.operation.clone().unwrap_or_default(),
            )
        })
        .collect()
}

async fn settings(world: &World, namespace: &str) -> Result<ConfigMap> {
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), namespace);
    Ok(maps.get("settings").await?)
}

/// As the repository says and nothing more, and nobody's but ours.
fn assert_taken_over(map: &ConfigMap, namespace: &str, how: &str) {
    let data: Vec<_> = map.data.iter().flatten().collect();
    let wanted = ["new", "shared"].map(|key| (key.to_owned(), "wanted".to_owned()));
    let wanted: Vec<_> = wanted.iter().map(|(key, value)| (key, value)).collect();
    assert_eq!(data, wanted, "{how}: {map:#?}");
    let mut labels: Vec<_> = map.labels().keys().map(String::as_str).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["gitmoor.io/configuration", "tier"], "{how}");
    let annotations: Vec<_> = map.annotations().keys().map(String::as_str).collect();
    assert_eq!(annotations, ["gitmoor.io/origin"], "{how}");
    let ours = (format!("gitmoor:{namespace}:shop"), "Apply".to_owned());
    assert_eq!(managers(map), [ours], "{how}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_kubectl_are_taken_over_completely() -> Result<()> {
    let world = world().await;
    let same_values = BEFORE.replace("shared: before", "shared: wanted");
    let ways: [(&str, &str, &[&[&str]]); 6] = [
        ("apply", BEFORE, &[&["apply"]]),
        ("apply, no conflict", &same_values, &[&["apply"]]),
        ("server-side apply", BEFORE, &[&["apply", "--server-side"]]),
        (
            "server-side apply, no conflict",
            &same_values,
            &[&["apply", "--server-side"]],
        ),
        ("create", BEFORE, &[&["create"]]),
        (
            "both applies",
            BEFORE,
            &[&["apply"], &["apply", "--server-side"]],
        ),
    ];
    for (way, manifest, commands) in ways {
        let namespace = world.namespace("kubectl").await?;
        for command in commands {
            with_file(world, &namespace, command, manifest).await?;
        }
        kubectl(
            world,
            &namespace,
            &["label", "configmap", "settings", "hand=made"],
        )
        .await?;
        kubectl(
            world,
            &namespace,
            &[
                "patch",
                "configmap",
                "settings",
                "-p",
                "{\"data\":{\"patched\":\"x\"}}",
            ],
        )
        .await?;
        let before = settings(world, &namespace).await?.uid();
        let (key, repository, status) = followed(world, &namespace, WANTED, false).await?;
        assert_eq!(ready(&status), Some("True"), "{way}: {status:#?}");
        let map = settings(world, &namespace).await?;
        assert_taken_over(&map, &namespace, way);
        assert_eq!(map.uid(), before, "{way}");

        // What is removed from the repository later is removed from the object.
        let less = WANTED.replace(", new: wanted", "");
        let commit = repository.commit(&[("settings.yaml", &less)], &[], "less")?;
        world.synced(&key, &commit).await?;
        let data = settings(world, &namespace).await?.data.unwrap_or_default();
        assert_eq!(data.len(), 1, "{way}: {data:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_nobody_else_wrote_is_one_request() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("plain").await?;
    let mark = world.mark()?;
    followed(world, &namespace, WANTED, false).await?;
    let requests = world.requests_about_objects(&namespace, mark).await?;
    assert_eq!(requests.len(), 1, "{requests:#?}");
    Ok(())
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: front, image: 'example.org/front:2'}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_autoscalers_and_controllers_hold_is_left_to_them() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("scaled").await?;
    let before = DEPLOYMENT.replace("front:2", "front:1");
    with_file(world, &namespace, &["apply"], &before).await?;
    kubectl(
        world,
        &namespace,
        &["scale", "deployment", "front", "--replicas=3"],
    )
    .await?;
    kubectl(
        world,
        &namespace,
        &["rollout", "restart", "deployment", "front"],
    )
    .await?;
    let deployments: Api<Deployment> = Api::namespaced(world.client(), &namespace);
    let (_, _, status) = followed(world, &namespace, DEPLOYMENT, false).await?;
    // There is no node for its pods.
    assert_eq!(ready(&status), Some("Unknown"), "{status:#?}");
    assert_eq!(status.problems, []);
    let front = deployments.get("front").await?;
    let spec = front.spec.clone().context("there is a spec")?;
    assert_eq!(spec.replicas, Some(3));
    let template = spec.template.metadata.context("there is metadata")?;
    let restarted = "kubectl.kubernetes.io/restartedAt";
    assert!(
        template
            .annotations
            .is_some_and(|all| all.contains_key(restarted)),
        "no pod is restarted by the take-over"
    );
    let scale = front
        .managed_fields()
        .iter()
        .any(|entry| entry.subresource.as_deref() == Some("scale"));
    assert!(scale, "{:#?}", front.managed_fields());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_that_kubectl_applied_in_an_older_version_is_taken_over() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("versions").await?;
    let old = "
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: front, labels: {old: label}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: front}
  maxReplicas: 3
  targetCPUUtilizationPercentage: 70
";
    let new = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: front}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: front}
  maxReplicas: 4
  metrics:
    - type: Resource
      resource: {name: memory, target: {type: Utilization, averageUtilization: 60}}
";
    with_file(world, &namespace, &["apply"], old).await?;
    let (_, _, status) = followed(world, &namespace, new, false).await?;
    assert_eq!(ready(&status), Some("True"), "{status:#?}");
    let all = world.objects(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        &namespace,
    );
    let front = all.get("front").await?;
    assert_eq!(front.data["spec"]["maxReplicas"], 4);
    let metrics = front.data["spec"]["metrics"]
        .as_array()
        .context("there are metrics")?;
    let names: Vec<_> = metrics.iter().map(|one| &one["resource"]["name"]).collect();
    assert_eq!(names, ["memory"], "{front:#?}");
    assert!(!front.labels().contains_key("old"));
    Ok(())
}

/// Writes the object as an engine would: its field manager, and what it marks its objects with.
async fn of_engine(world: &World, namespace: &str, manager: &str, marks: &Value) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), namespace);
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "labels": {"tier": "backend"}},
        // No value that differs from ours: the server reports no conflict.
        "data": {"shared": "wanted", "old": "before"},
    });
    for field in ["labels", "annotations"] {
        for (key, value) in marks[field].as_object().into_iter().flatten() {
            object["metadata"][field][key] = value.clone();
        }
    }
    let parameters = PatchParams::apply(manager);
    maps.patch("settings", &parameters, &Patch::Apply(&object))
        .await?;
    Ok(())
}

/// The engines, the field manager with which they apply, and their marks.
fn engines(namespace: &str) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "Flux",
            "kustomize-controller",
            json!({"labels": {
                "kustomize.toolkit.fluxcd.io/name": "apps",
                "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
            }}),
        ),
        (
            "Flux 1",
            "kubectl-client-side-apply",
            json!({
                "labels": {"fluxcd.io/sync-gc-mark": "sha256.fAPqdnkYXPOzVcQBfmlRLmtLTCdXvUIwhuJcHUNkLHI"},
                "annotations": {"fluxcd.io/sync-checksum": "3d8e3d2c0d2bd8a4f4a2e3bd3b8de4d1a8fe4c1f"},
            }),
        ),
        (
            "Argo CD",
            "argocd-controller",
            json!({"annotations": {
                "argocd.argoproj.io/tracking-id": format!("shop:/ConfigMap:{namespace}/settings"),
            }}),
        ),
        (
            "Argo CD",
            // Without server-side apply it marks as everyone does.
            "kubectl-client-side-apply",
            json!({"annotations": {
                "argocd.argoproj.io/tracking-id": format!("shop:/ConfigMap:{namespace}/settings"),
            }}),
        ),
        (
            "Config Sync",
            "configsync",
            json!({"annotations": {
                "configmanagement.gke.io/managed": "enabled",
                "configsync.gke.io/resource-id": format!("_configmap_{namespace}_settings"),
            }}),
        ),
        (
            "Helm",
            "helm",
            json!({
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": namespace},
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_engine_is_refused_with_both_owners_named_and_left_as_it_was()
-> Result<()> {
    let world = world().await;
    for conflict in [false, true] {
        let count = engines("").len();
        for number in 0..count {
            let namespace = world.namespace("engine").await?;
            let (engine, manager, marks) = engines(&namespace).swap_remove(number);
            of_engine(world, &namespace, manager, &marks).await?;
            let before = settings(world, &namespace).await?;
            let manifest = if conflict {
                WANTED.replace("shared: wanted", "shared: ours")
            } else {
                WANTED.to_owned()
            };
            let (key, repository, status) = followed(world, &namespace, &manifest, false).await?;
            let problem = status
                .problems
                .first()
                .context(format!("{engine}: {status:#?}"))?;
            assert_eq!(problem.reason, "Conflict");
            for owner in [engine, &format!("{namespace}/shop")] {
                assert!(
                    problem.message.contains(owner),
                    "{engine}: {}",
                    problem.message
                );
            }
            let after = settings(world, &namespace).await?;
            assert_eq!(after.data, before.data, "{engine}");
            assert_eq!(after.labels(), before.labels(), "{engine}");
            assert_eq!(after.annotations(), before.annotations(), "{engine}");
            assert_eq!(managers(&after), managers(&before), "{engine}");

            // Taken out of the repository, there is nothing to delete.
            let commit = repository.commit(&[("NOTES", "none")], &["settings.yaml"], "none")?;
            let status = world.synced(&key, &commit).await?;
            assert_eq!(ready(&status), Some("True"), "{engine}: {status:#?}");
            assert_eq!(settings(world, &namespace).await?.uid(), before.uid());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_engine_is_adopted_when_the_configuration_says_so() -> Result<()> {
    let world = world().await;
    for number in 0..engines("").len() {
        let namespace = world.namespace("adopt").await?;
        let (engine, manager, marks) = engines(&namespace).swap_remove(number);
        of_engine(world, &namespace, manager, &marks).await?;
        let before = settings(world, &namespace).await?.uid();
        let (_, _, status) = followed(world, &namespace, WANTED, true).await?;
        assert_eq!(ready(&status), Some("True"), "{engine}: {status:#?}");
        let map = settings(world, &namespace).await?;
        assert_taken_over(&map, &namespace, engine);
        assert_eq!(map.uid(), before, "{engine}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_asked_again_without_writing() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("wary").await?;
    let (_, manager, marks) = engines(&namespace).swap_remove(0);
    of_engine(world, &namespace, manager, &marks).await?;
    let (key, repository, _) = followed(world, &namespace, WANTED, false).await?;
    let mark = world.mark()?;
    let commit = repository.commit(&[("NOTES", "none")], &[], "again")?;
    world.synced(&key, &commit).await?;
    let requests = world.requests_about_objects(&namespace, mark).await?;
    assert!(!requests.is_empty(), "it is asked again");
    assert!(
        requests.iter().all(|one| one.verb == "get"),
        "{requests:#?}"
    );
    // The other lets go: with the next sync it is ours.
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    maps.delete("settings", &Default::default()).await?;
    let commit = repository.commit(&[("NOTES", "more")], &[], "gone there")?;
    let status = world.synced(&key, &commit).await?;
    assert_eq!(ready(&status), Some("True"), "{status:#?}");
    assert_taken_over(&settings(world, &namespace).await?, &namespace, "made anew");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_that_was_rendered_into_the_repository_belongs_to_nobody_else() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("rendered").await?;
    let rendered = WANTED.replace(
        "labels: {",
        "annotations: {meta.helm.sh/release-name: shop}\n  labels: {app.kubernetes.io/managed-by: Helm, ",
    );
    let (_, _, status) = followed(world, &namespace, &rendered, false).await?;
    assert_eq!(ready(&status), Some("True"), "{status:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_made_anew_by_another_engine_is_not_overrun() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("anew").await?;
    let (key, _, _) = followed(world, &namespace, WANTED, false).await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    kubectl(
        world,
        &namespace,
        &[
            "patch",
            "scc",
            "shop",
            "--type=merge",
            "-p",
            "{\"spec\":{\"suspend\":true}}",
        ],
    )
    .await?;
    world
        .until(&key, "suspended", |status| {
            condition(status, "Ready").is_some_and(|(_, reason, _)| reason == "Suspended")
        })
        .await?;
    maps.delete("settings", &Default::default()).await?;
    let (_, manager, marks) = engines(&namespace).swap_remove(0);
    of_engine(world, &namespace, manager, &marks).await?;
    let theirs = settings(world, &namespace).await?;
    kubectl(
        world,
        &namespace,
        &[
            "patch",
            "scc",
            "shop",
            "--type=merge",
            "-p",
            "{\"spec\":{\"suspend\":false}}",
        ],
    )
    .await?;
    let status = world
        .until(&key, "told of the other engine", |status| {
            status.problems.iter().any(|one| one.reason == "Conflict")
        })
        .await?;
    assert!(status.problems[0].message.contains("Flux"), "{status:#?}");
    let after = settings(world, &namespace).await?;
    assert_eq!((after.uid(), &after.data), (theirs.uid(), &theirs.data));
    assert_eq!(managers(&after), managers(&theirs));
    Ok(())
}
