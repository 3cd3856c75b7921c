//! The page in a headless Chromium, by the journeys of `python/page`: each ends at the first complaint
//! in the browser's console. `GITMOOR_PAGE_PICTURES` names a folder for pictures of every page.

use std::{collections::HashMap, fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use gitmoor_arm::ClusterId;
use gitmoor_clients::{SUBSCRIPTION, Site, install, program, run};
use gitmoor_portal::identity::{OpenId, Role};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The clusters of `python/page/world.py`.
const CLUSTERS: [(&str, &str); 4] = [
    ("edge", "edge-07"),
    ("edge", "edge-08"),
    ("lab", "bench-01"),
    ("lab", "bench-02"),
];

/// How long the OpenID provider may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How many sign in one after the other.
const LINKS: usize = 3;

/// Goes through the journeys of a module.
async fn journeys(module: &str) -> Result<()> {
    journeys_at(&Site::start().await?, module, &[]).await
}

async fn journeys_at(site: &Site, module: &str, variables: &[(&str, &str)]) -> Result<()> {
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
    let subscription = format!("/subscriptions/{SUBSCRIPTION}").parse()?;
    let reader = site
        .store
        .create_principal("rita", &subscription, Role::Reader)
        .await?;
    let reader = site.store.create_sign_in_link(reader.id()).await?;
    let mut python = site.client("page", "python").await?;
    python
        .env("PORTAL_AGENTS", serde_json::to_string(&agents)?)
        .env("PORTAL_LINKS", links.join(" "))
        .env("PORTAL_READER_LINK", reader.expose())
        .env(
            "PORTAL_DATABASE",
            site.folder.path().join("portal/portal.db"),
        )
        .envs(variables.iter().copied())
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
    let (_provider, issuer) = provider().await?;
    let secret = NamedTempFile::new()?;
    fs::write(&secret, "any will do")?;
    let with: OpenId = serde_json::from_value(json!({
        "issuer": issuer, "clientId": "gitmoor",
        "clientSecret": format!("file:{}", secret.path().display()),
    }))?;
    let site = Site::start_with(|settings| {
        let free = std::net::TcpListener::bind(settings.listen)?;
        settings.listen = free.local_addr()?;
        let url = format!("https://localhost:{}", settings.listen.port());
        settings.url = Some(url.parse()?);
        settings.sign_in_with = Some(with.clone());
        Ok(())
    })
    .await?;
    let scope = format!("/subscriptions/{SUBSCRIPTION}").parse()?;
    let store = &site.store;
    let subject = "23498-ann";
    store
        .create_person("ann", &scope, Role::Owner, &with, subject)
        .await?;
    let variables = [("PORTAL_PROVIDER", &*issuer), ("PORTAL_SUBJECT", subject)];
    journeys_at(&site, "signing_in", &variables).await
}

/// Starts an OpenID provider: the process, which ends with it, and its issuer.
async fn provider() -> Result<(Child, String)> {
    let program = install("page").await?.join("bin/oidc-provider-mock");
    let mut provider = Command::new(program)
        .args(["--port", "0", "--require-nonce", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let printed = provider.stderr.take().context("its standard error")?;
    let mut lines = BufReader::new(printed).lines();
    let issuer = timeout(START_LIMIT, async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("running on ") {
                let issuer = rest.split_whitespace().next().unwrap_or_default();
                return Ok(issuer.to_owned());
            }
        }
        anyhow::bail!("the OpenID provider does not start")
    })
    .await??;
    // It would end if nobody read what it prints.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((provider, issuer))
}

#[tokio::test]
async fn every_page_is_open_to_everyone_and_fits_into_its_window() -> Result<()> {
    journeys("looks").await
}

#[tokio::test]
async fn people_on_call_are_told_of_silence_and_find_what_they_look_for() -> Result<()> {
    journeys("on_call").await
}

#[tokio::test]
async fn an_empty_portal_says_what_comes() -> Result<()> {
    journeys("beginning").await
}

#[tokio::test]
async fn a_page_follows_what_happens_and_keeps_what_people_do() -> Result<()> {
    journeys("live").await
}
