//! Schemathesis: what the portal says of itself in OpenAPI is what it does, whatever it is asked.

use std::path::Path;

use anyhow::Result;
use gitmoor_clients::{Site, run};

#[tokio::test]
async fn schemathesis_finds_nothing() -> Result<()> {
    finds_nothing("schemathesis.toml", &[]).await
}

#[tokio::test]
async fn what_is_right_is_taken() -> Result<()> {
    let operation = "SourceControlConfigurations_CreateOrUpdate";
    finds_nothing(
        "schemathesis-right.toml",
        &["--include-operation-id", operation],
    )
    .await
}

async fn finds_nothing(settings: &str, more: &[&str]) -> Result<()> {
    let site = Site::start().await?;
    let token = site.token_of_owner().await?;
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join(settings);
    let mut schemathesis = site.client("schemathesis", "schemathesis").await?;
    schemathesis
        .env("PORTAL_TOKEN", token)
        .arg("--config-file")
        .arg(settings)
        .args(["run", "--tls-verify"])
        .arg(&site.ca)
        .arg(format!("{}/openapi.json", site.url))
        .args(more);
    let printed = run(&mut schemathesis).await?;
    assert!(printed.contains("No issues found"), "{printed}");
    Ok(())
}
