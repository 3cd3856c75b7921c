//! Manifests of real public repositories, read in place from the folder that the environment
//! variable `TEST_REPOSITORIES` names: what can be applied is live, what cannot is explained.

use std::path::PathBuf;

use anyhow::Result;
use gitmoor_crds::{Scope, SourceControlConfigurationStatus};
use gitmoor_tests::{SYSTEM, World, condition, world};

fn folder(name: &str) -> Option<PathBuf> {
    let Some(repositories) = std::env::var_os("TEST_REPOSITORIES") else {
        println!("skipped: TEST_REPOSITORIES names no folder with repositories");
        return None;
    };
    Some(PathBuf::from(repositories).join(name))
}

/// Serves a folder as a repository, and syncs it. What it applied is deleted in the end, since some
/// of these repositories share a namespace.
async fn synced(
    world: &World,
    folder: PathBuf,
    path: &str,
    name: &str,
) -> Result<SourceControlConfigurationStatus> {
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = world.namespace(name).await?;
    let repository = world.git.create(&namespace)?;
    let commit = repository.commit_directory(&folder, "as published")?;
    let mut spec = world.spec(&namespace);
    spec.scope = Scope::Cluster;
    spec.paths = vec![path.to_owned()];
    spec.prune_on_delete = true;
    let key = world.follow(&namespace, name, spec).await?;
    let status = world.synced(&key, &commit).await?;
    assert!(
        !status
            .problems
            .iter()
            .any(|problem| problem.reason == "Unavailable"),
        "{status:#?}"
    );
    // The second sync of the same objects, by another commit, changes nothing.
    let mark = world.mark()?;
    let again = repository.commit(&[("NOTES", "no object")], &[], "again")?;
    world.synced(&key, &again).await?;
    let user = format!("system:serviceaccount:{SYSTEM}:gitmoor-operator-{namespace}");
    let sent = world.cluster.audit().since(mark).await?;
    let writes: Vec<_> = sent
        .iter()
        .filter(|one| {
            one.user == user
                && one.verb == "patch"
                && one.group != "gitmoor.io"
                && one.code == Some(200)
        })
        .collect();
    assert!(writes.is_empty(), "{writes:#?}");
    world.delete(&key).await?;
    Ok(status)
}

fn reasons(status: &SourceControlConfigurationStatus) -> Vec<(&str, &str)> {
    let problems = status.problems.iter();
    problems
        .map(|problem| (problem.path.as_str(), problem.reason.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn azures_demo_of_flux_1_is_applied() -> Result<()> {
    let Some(folder) = folder("arc-k8s-demo-plain") else {
        return Ok(());
    };
    let status = synced(world().await, folder, ".", "arc-plain").await?;
    // There is no node, so that the Deployment is never available.
    let (ready, _, message) = condition(&status, "Ready").unwrap_or_default();
    assert_eq!(ready, "Unknown", "{status:#?}");
    assert!(message.contains("waits for Deployment"), "{message}");
    assert!(
        status.objects.is_some_and(|counts| counts.total >= 5),
        "{status:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn azures_demo_of_flux_2_is_explained() -> Result<()> {
    let Some(folder) = folder("arc-k8s-demo-flux2") else {
        return Ok(());
    };
    let status = synced(world().await, folder, ".", "arc-flux2").await?;
    let found = reasons(&status);
    assert!(
        found.iter().any(|(_, reason)| *reason == "UnknownKind"),
        "{status:#?}"
    );
    assert!(
        found
            .iter()
            .any(|(path, reason)| path.ends_with("kustomization.yaml") && *reason == "OtherTool"),
        "{status:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn emojivoto_is_applied() -> Result<()> {
    let Some(folder) = folder("emojivoto") else {
        return Ok(());
    };
    let status = synced(world().await, folder, "kustomize/deployment", "emojivoto").await?;
    let others: Vec<_> = reasons(&status)
        .into_iter()
        .filter(|(_, reason)| *reason != "OtherTool")
        .collect();
    assert!(others.is_empty(), "{status:#?}");
    assert!(
        status.objects.is_some_and(|counts| counts.total >= 8),
        "{status:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_gone_is_named_with_the_one_that_replaced_it() -> Result<()> {
    let Some(folder) = folder("emojivoto-v8-legacy") else {
        return Ok(());
    };
    let status = synced(world().await, folder, ".", "emojivoto-legacy").await?;
    let gone: Vec<_> = status
        .problems
        .iter()
        .filter(|problem| problem.reason == "UnknownVersion")
        .collect();
    assert!(!gone.is_empty(), "{status:#?}");
    for problem in gone {
        assert!(
            problem.line.is_some() && problem.message.contains("apiVersion: apps/v1"),
            "{problem:?}"
        );
    }
    assert!(
        status.objects.is_some_and(|counts| counts.total >= 4),
        "the rest is applied: {status:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cds_examples_are_applied_as_far_as_they_are_manifests() -> Result<()> {
    let Some(folder) = folder("argocd-example-apps") else {
        return Ok(());
    };
    let status = synced(world().await, folder, ".", "argocd").await?;
    let found = reasons(&status);
    assert!(
        found.iter().any(|(_, reason)| *reason == "OtherTool"),
        "{status:#?}"
    );
    // The guestbook is there twice, once for Kustomize: neither is applied over the other.
    assert!(
        found.iter().any(|(_, reason)| *reason == "DuplicateObject"),
        "{status:#?}"
    );
    assert!(
        status.objects.is_some_and(|counts| counts.total >= 20),
        "{status:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_microservices_are_applied() -> Result<()> {
    let Some(folder) = folder("microservices-demo") else {
        return Ok(());
    };
    let status = synced(
        world().await,
        folder,
        "kubernetes-manifests",
        "microservices",
    )
    .await?;
    let others: Vec<_> = reasons(&status)
        .into_iter()
        .filter(|(_, reason)| *reason != "OtherTool")
        .collect();
    assert!(others.is_empty(), "{status:#?}");
    assert!(
        status.objects.is_some_and(|counts| counts.total >= 30),
        "{status:#?}"
    );
    Ok(())
}
