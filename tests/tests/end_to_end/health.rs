//! `Ready` says that a commit is applied and healthy, as watches tell and nobody asks for. There is
//! no node here: the tests write what a kubelet would, and the controllers do the rest.

use anyhow::{Context as _, Result};
use gitmoor_tests::{ConfigurationKey, World, condition, world};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

pub(super) fn deployment(image: &str) -> String {
    format!(
        "# A remark, so that the object is not in the first line.\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: front}}\nspec:\n  replicas: 1\n  selector: {{matchLabels: {{app: front}}}}\n  template:\n    metadata: {{labels: {{app: front}}}}\n    spec: {{containers: [{{name: front, image: '{image}'}}]}}\n"
    )
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";

fn ready(status: &gitmoor_crds::SourceControlConfigurationStatus) -> (&str, &str, &str) {
    condition(status, "Ready").unwrap_or(("", "", ""))
}

/// Writes the status of each pod, as its kubelet would.
pub(super) async fn kubelet(world: &World, namespace: &str, status: &Value) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(world.client(), namespace);
    world
        .eventually("there is a pod", || async {
            Ok(!pods.list(&ListParams::default()).await?.items.is_empty())
        })
        .await?;
    for pod in pods.list(&ListParams::default()).await? {
        let status = Patch::Merge(json!({"status": status}));
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &status)
            .await?;
    }
    Ok(())
}

pub(super) fn running() -> Value {
    let now = "2026-01-01T00:00:00Z";
    json!({
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        "containerStatuses": [],
    })
}

fn without_image() -> Value {
    let message = "Back-off pulling image example.org/front:1";
    json!({
        "phase": "Pending",
        "containerStatuses": [{
            "name": "front", "image": "example.org/front:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": message}},
        }],
    })
}

async fn follow(
    world: &World,
    namespace: &str,
    timeout: &str,
    files: &[(&str, &str)],
) -> Result<(ConfigurationKey, gitmoor_git::Repository)> {
    let repository = world.repository(namespace, files).await?;
    let mut spec = world.spec(namespace);
    spec.timeout = timeout.parse().map_err(anyhow::Error::msg)?;
    let key = world.follow(namespace, "shop", spec).await?;
    world.synced(&key, &repository.head()?).await?;
    Ok((key, repository))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_ready_when_what_it_applied_is_healthy() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("healthy").await?;
    let front = deployment("example.org/front:1");
    let files = [("front.yaml", front.as_str()), ("settings.yaml", MAP)];
    let (key, repository) = follow(world, &namespace, "10m", &files).await?;
    let waits = |status: &_| {
        let (is_ready, reason, message) = ready(status);
        is_ready == "Unknown"
            && reason == "Progressing"
            && message.contains("waits for Deployment.apps")
            && message.contains("front: 0 of 1 replica")
    };
    let status = world
        .until(&key, "it waits for the Deployment", waits)
        .await?;
    let objects = status.objects.context("there are counts")?;
    assert_eq!(
        (objects.total, objects.unhealthy, objects.problems),
        (2, 1, 0)
    );
    // Each object by its name, those that are not well first.
    let states = |status: &gitmoor_crds::SourceControlConfigurationStatus| {
        let states = status.inventory.iter();
        let word = |one: &gitmoor_crds::ObjectState| {
            let object = one.object.replace(&namespace, "shop");
            format!("{object} is {} {}", one.health, one.message)
        };
        states.map(word).collect::<Vec<_>>()
    };
    let [first, second] = &states(&status)[..] else {
        panic!("{status:#?}");
    };
    assert!(
        first.starts_with("Deployment.apps shop/front is InProgress 0 of 1 replica"),
        "{first}"
    );
    assert!(
        second.starts_with("ConfigMap shop/") && second.ends_with(" is Current "),
        "{second}"
    );

    kubelet(world, &namespace, &running()).await?;
    let status = world
        .until(&key, "ready", |status| ready(status).0 == "True")
        .await?;
    assert_eq!(status.objects.context("there are counts")?.unhealthy, 0);
    let well = states(&status);
    assert!(
        well[1] == "Deployment.apps shop/front is Current ",
        "{well:?}"
    );

    // A new template: at no moment is the new commit called ready on the strength of the old pods.
    let front = deployment("example.org/front:2");
    let commit = repository.commit(&[("front.yaml", &front)], &[], "second")?;
    world.request_sync(&key).await?;
    world
        .until(&key, "it waits for the new pods", |status| {
            let is_new = status.applied_revision.as_deref() == Some(commit.as_str());
            assert!(!(is_new && ready(status).0 == "True"), "{status:?}");
            let written = status.applied_commit.as_ref();
            assert_eq!(
                is_new,
                written.is_some_and(|commit| commit.title == "second")
            );
            is_new && ready(status).0 == "Unknown"
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_healthy_in_time_is_a_problem_in_the_words_of_its_pods() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("late").await?;
    let front = deployment("example.org/front:1");
    let files = [("front.yaml", front.as_str()), ("settings.yaml", MAP)];
    let (key, _repository) = follow(world, &namespace, "15s", &files).await?;
    kubelet(world, &namespace, &without_image()).await?;
    let status = world
        .until(&key, "unhealthy", |status| ready(status).0 == "False")
        .await?;
    let [problem] = &status.problems[..] else {
        panic!("{status:#?}");
    };
    assert_eq!(
        (problem.path.as_str(), problem.line),
        ("front.yaml", Some(2))
    );
    assert_eq!(problem.reason, "Unhealthy");
    for words in [
        "not healthy within 15s",
        "0 of 1 replica",
        "pod front-",
        "Back-off pulling image example.org/front:1",
    ] {
        assert!(problem.message.contains(words), "{words}: {problem:?}");
    }

    // Nobody asks again: what comes next is told by the watch.
    let mark = world.mark()?;
    kubelet(world, &namespace, &running()).await?;
    world
        .until(&key, "ready", |status| ready(status).0 == "True")
        .await?;
    let asked = world.requests(&namespace, mark).await?;
    let asked: Vec<_> = asked
        .iter()
        .filter(|one| one.user.ends_with(":gitmoor-operator"))
        .filter(|one| one.resource == "pods" || one.resource == "deployments")
        .collect();
    assert!(asked.is_empty(), "{asked:#?}");
    Ok(())
}
