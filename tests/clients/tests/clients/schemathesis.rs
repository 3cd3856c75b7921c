//! Schemathesis: what the portal says of itself in OpenAPI is what it does, whatever it is asked.

use std::path::Path;

use anyhow::Result;
use gitmoor_clients::{Site, run};

#[tokio::test]
async fn schemathesis_finds_nothing() -> Result<()> {
    let site = Site::start().await?;
    let token = site.token_of_owner().await?;
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
    let mut schemathesis = site.client("schemathesis", "schemathesis").await?;
    schemathesis
        .env("PORTAL_TOKEN", token)
        .arg("--config-file")
        .arg(settings)
        .args(["run", "--tls-verify"])
        .arg(&site.ca)
        .arg(format!("{}/openapi.json", site.url));
    let printed = run(&mut schemathesis).await?;
    assert!(printed.contains("No issues found"), "{printed}");
    Ok(())
}
