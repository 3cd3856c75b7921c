//! The page in a headless Chromium, by the journeys of `python/page`: each ends at the first complaint
//! in the browser's console. `GITMOOR_PAGE_PICTURES` names a folder for pictures of every page.

use std::collections::HashMap;

use anyhow::Result;
use gitmoor_arm::ClusterId;
use gitmoor_clients::{SUBSCRIPTION, Site, program, run};

/// The clusters of `python/page/world.py`.
const CLUSTERS: [(&str, &str); 4] = [
    ("edge", "edge-07"),
    ("edge", "edge-08"),
    ("lab", "bench-01"),
    ("lab", "bench-02"),
];

/// How many sign in one after the other.
const LINKS: usize = 2;

/// Goes through the journeys of a module.
async fn journeys(module: &str) -> Result<()> {
    let site = Site::start().await?;
    let mut agents = HashMap::new();
    for (group, name) in CLUSTERS {
        let kind = "Microsoft.Kubernetes/connectedClusters";
        let id =
            format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{kind}/{name}");
        let cluster: ClusterId = id.parse()?;
        let secret = site.store.create_agent(&cluster).await?;
        agents.insert(id, [secret.id().to_string(), secret.expose().to_owned()]);
    }
    let mut links = Vec::new();
    for _ in 0..LINKS {
        let owner = site.administrator.id();
        let code = site.store.create_sign_in_link(owner).await?;
        links.push(code.expose().to_owned());
    }
    let mut python = site.client("page", "python").await?;
    python
        .env("PORTAL_AGENTS", serde_json::to_string(&agents)?)
        .env("PORTAL_LINKS", links.join(" "))
        .arg(program("page/main.py"))
        .arg(module);
    let printed = run(&mut python).await?;
    assert!(printed.ends_with("all is well\n"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn people_read_what_is_wrong_and_where() -> Result<()> {
    journeys("reading").await
}

#[tokio::test]
async fn people_change_what_there_is_by_mouse_and_by_keyboard() -> Result<()> {
    journeys("writing").await
}

#[tokio::test]
async fn people_sign_in_and_out() -> Result<()> {
    journeys("signing_in").await
}

#[tokio::test]
async fn every_page_is_open_to_everyone_and_fits_into_its_window() -> Result<()> {
    journeys("looks").await
}

#[tokio::test]
async fn a_page_follows_what_happens_and_keeps_what_people_do() -> Result<()> {
    journeys("live").await
}
