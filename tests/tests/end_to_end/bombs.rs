//! Repositories that are small to store and great to read: what is too much is a problem, the rest is
//! applied, and the operator's memory stays bounded.

use std::fs::File;

use anyhow::{Result, ensure};
use gitmoor_tests::World;

use super::crashes::Operator;

/// The size of the greatest file, and all the address space that the operator has: it could not
/// hold that file, let alone unpack it anywhere.
const GREAT: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_gigabyte_and_of_a_million_documents_leave_the_rest_in_peace() -> Result<()> {
    let world = World::without_agent().await?;
    let namespace = world.namespace("bombs").await?;
    let arguments = [
        "-n",
        &namespace,
        "create",
        "rolebinding",
        "operator",
        "--clusterrole=cluster-admin",
        "--user=operator",
    ];
    world.kubectl(&arguments).await?;
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\ndata: {a: b}\n";
    let document = "apiVersion: v1\nkind: ConfigMap\n---\n";
    let documents = document.repeat(400_000);
    let empty = "---\n".repeat(1_000_000);
    let files = [
        ("documents.yaml", documents.as_str()),
        ("empty.yaml", &empty),
        ("good.yaml", good),
    ];
    let repository = world.repository(&namespace, &files).await?;
    File::create(repository.path().join("great.yaml"))?.set_len(GREAT)?;
    let commit = repository.commit_all("a file that is one gigabyte")?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let directory = tempfile::tempdir()?;
    let operator = Operator {
        world: &world,
        namespace: &namespace,
        directory: directory.path(),
    };
    let mut process = operator.start_within(GREAT)?;
    let status = world.synced(&key, &commit).await?;
    let problem = |path: &str| {
        let mut problems = status.problems.iter();
        problems.find(|one| one.path == path)
    };
    let great = problem("great.yaml");
    ensure!(
        great.is_some_and(|problem| problem.reason == "TooLarge"),
        "{status:#?}"
    );
    let documents = problem("documents.yaml");
    ensure!(
        documents.is_some_and(|problem| problem.message.contains("split it")),
        "{status:#?}"
    );
    ensure!(status.problems.len() <= 100, "{}", status.problems.len());
    let data = world.config_map(&namespace, "good").await?;
    ensure!(data.is_some_and(|data| data["a"] == "b"));
    process.kill().await?;
    Ok(())
}
