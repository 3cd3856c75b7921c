//! The Python SDKs: each in the api-version that it was made for. What they do and check is in
//! `python/`.

use anyhow::Result;
use gitmoor_clients::{Site, program, run};

/// Runs one of this crate's Python programs in an environment, to its last line.
async fn python(environment: &str, name: &str) -> Result<()> {
    let site = Site::start().await?;
    let mut python = site.client(environment, "python").await?;
    let printed = run(python.arg(program(name))).await?;
    assert!(printed.ends_with("all is well\n"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn kubernetesconfiguration_0_3() -> Result<()> {
    python("sdk-0.3", "configurations.py").await
}

#[tokio::test]
async fn kubernetesconfiguration_1_0() -> Result<()> {
    python("sdk-1.0", "configurations.py").await
}

#[tokio::test]
async fn kubernetesconfiguration_2_0() -> Result<()> {
    python("sdk-2.0", "configurations.py").await
}

#[tokio::test]
async fn kubernetesconfiguration_3_1() -> Result<()> {
    python("sdk-3.1", "configurations.py").await
}

#[tokio::test]
async fn hybridkubernetes() -> Result<()> {
    python("sdk-3.1", "clusters.py").await
}

#[tokio::test]
async fn fluxconfigurations() -> Result<()> {
    python("sdk-3.1", "flux.py").await
}
