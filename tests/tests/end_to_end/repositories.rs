//! Manifests of real public repositories, read in place from the folder that the environment
//! variable `GITMOOR_TEST_REPOS` names: what can be applied is live, what cannot is explained.

use std::path::PathBuf;

use anyhow::Result;
use gitmoor_crds::{Scope, SourceControlConfigurationStatus};
use gitmoor_tests::{World, condition, world};

fn folder(name: &str) -> Option<PathBuf> {
    let Some(repositories) = std::env::var_os("GITMOOR_TEST_REPOS") else {
        println!("skipped: GITMOOR_TEST_REPOS names no folder with repositories");
        return None;
    };
    Some(PathBuf::from(repositories).join(name))
}

/// Serves a folder as a repository, and syncs it twice: the second time sends nothing.
async fn synced(
    world: &World,
    folder: PathBuf,
    path: &str,
    name: &str,
) -> Result<SourceControlConfigurationStatus> {
    let namespace = world.namespace(name).await?;
    let repository = world.git.create(&namespace)?;
    let commit = repository.commit_directory(&folder, "as published")?;
    let mut spec = world.spec(&namespace);
    spec.scope = Scope::Cluster;
    spec.paths = vec![path.to_owned()];
    let key = world.follow(&namespace, name, spec).await?;
    let status = world.synced(&key, &commit).await?;
    assert!(
        !status
            .problems
            .iter()
            .any(|problem| problem.reason == "Unavailable"),
        "{status:#?}"
    );
    Ok(status)
}

fn reasons(status: &SourceControlConfigurationStatus) -> Vec<(&str, &str)> {
    let problems = status.problems.iter();
    problems
        .map(|problem| (problem.path.as_str(), problem.reason.as_str()))
        .collect()
}
