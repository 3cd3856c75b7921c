//! What the page offers to run with `kubectl`, in a cluster that follows no portal.

use anyhow::{Context as _, Result, ensure};
use gitmoor_arm::ClusterId;
use gitmoor_crds::{
    ANNOTATION_CONFIRM_PRUNE, ANNOTATION_REQUESTED_AT, Credentials, SourceControlConfigurationSpec,
};
use gitmoor_git::{Server, ServerOptions};
use gitmoor_tests::{
    ConfigurationKey,
    arm::{arm, protected, token_of},
    world,
};
use kube::ResourceExt as _;
use reqwest::Method;
use serde_json::json;

use super::map;

/// One that is known to the portal alone.
const CLUSTER: &str =
    "/subscriptions/s/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-08";

const PAGE: &str = "/clusters/s/edge/connectedClusters/edge-08/shop";

const PARAMS: &str = "--git-branch=main --git-path=prod --git-poll-interval=5s --gitmoor-timeout=90s --sync-garbage-collection";

/// A command as one would copy it.
fn command(html: &str, word: &str) -> Result<String> {
    let start = format!("<pre id=\"{word}-kubectl\"><code>");
    let (_, rest) = html.split_once(&start).context(start)?;
    let (text, _) = rest.split_once("</code>").context("its end")?;
    let text = text.replace("&#34;", "\"").replace("&#39;", "'");
    Ok(text.replace("&#60;", "<").replace("&#62;", ">"))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_kubectl_do_what_the_page_says() -> Result<()> {
    let (arm, world) = (arm().await, world().await);
    let git = Server::start(ServerOptions {
        tls: true,
        basic: Some(("reader".to_owned(), "r1ght".to_owned())),
        ..ServerOptions::default()
    })
    .await?;
    let repository = git.create("shop")?;
    let commit = repository.commit(&[("prod/a.yaml", &map("a", "1"))], &[], "first")?;
    let namespace = world.namespace("by-hand").await?;
    let key = ConfigurationKey {
        namespace: namespace.clone(),
        name: "shop".to_owned(),
    };
    let cluster: ClusterId = CLUSTER.parse()?;
    let ca = git.ca_pem().context("it speaks TLS")?;
    let put = async |params: &str| -> Result<String> {
        let body = json!({"properties": {
            "repositoryUrl": git.url("shop"),
            "operatorNamespace": namespace,
            "operatorScope": "namespace",
            "operatorParams": params,
            "configurationProtectedSettings": {
                "httpsUser": protected("reader"),
                "httpsKey": protected("r1ght"),
                "httpsCACert": protected(ca),
            },
        }});
        let path = format!("{}?api-version=2023-05-01", cluster.configuration("shop")?);
        let answer = arm.ask(&arm.administrator, Method::PUT, &path, Some(&body));
        let answer = answer.await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        let etag = answer.body["etag"].as_str();
        Ok(etag.context("its version")?.to_owned())
    };
    let run = async |word: &str| -> Result<()> {
        let command = command(&arm.page(PAGE).await?, word)?;
        world.shell(&command).await?;
        Ok(())
    };
    let objects = world.configurations(&namespace);

    let etag = put(PARAMS).await?;
    let manifest = command(&arm.page(PAGE).await?, "put")?;
    let said = "A Secret in this namespace, with these keys: username, password, ca.crt.";
    ensure!(manifest.contains(said), "{manifest}");
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "secret",
            "generic",
            "shop-repository",
            "--from-literal=username=reader",
            "--from-literal=password=r1ght",
            &format!("--from-literal=ca.crt={ca}"),
        ])
        .await?;
    run("put").await?;
    let mut spec = SourceControlConfigurationSpec::new(git.url("shop"));
    spec.reference.branch = Some("main".to_owned());
    spec.paths = vec!["prod".to_owned()];
    spec.interval = "5s".parse()?;
    spec.timeout = "90s".parse()?;
    spec.credentials = Some(Credentials {
        secret_name: "shop-repository".to_owned(),
    });
    assert_eq!(objects.get("shop").await?.spec, spec);
    world
        .until(&key, "applied", |status| {
            status.applied_revision.as_deref() == Some(&*commit)
        })
        .await?;

    run("suspend").await?;
    assert!(objects.get("shop").await?.spec.suspend);
    run("sync").await?;
    let object = objects.get("shop").await?;
    let asked = &object.annotations()[ANNOTATION_REQUESTED_AT];
    assert!(asked.starts_with("20") && asked.ends_with('Z'), "{asked}");

    let agent = arm.store.create_agent(&cluster).await?;
    let agent = token_of(&arm.store, agent.id()).await?;
    let report = json!({
        "observedEtag": etag,
        "complianceState": "Noncompliant",
        "attemptedRevision": commit,
        "problems": [{"reason": "Guarded", "message": "this commit would delete it all"}],
    });
    let path = cluster.status_path("shop");
    let answer = arm.ask(&agent, Method::PUT, &path, Some(&report)).await?;
    ensure!(answer.status.is_success(), "{answer:?}");
    run("confirm").await?;
    let object = objects.get("shop").await?;
    assert_eq!(object.annotations()[ANNOTATION_CONFIRM_PRUNE], commit);

    put(&format!(
        "{PARAMS} --gitmoor-suspend --gitmoor-depends-on=base"
    ))
    .await?;
    run("put").await?;
    spec.depends_on = vec!["base".to_owned()];
    spec.suspend = true;
    assert_eq!(objects.get("shop").await?.spec, spec);
    run("resume").await?;
    assert!(!objects.get("shop").await?.spec.suspend);
    run("delete").await?;
    world
        .eventually("it is deleted", || async {
            Ok(objects.get_opt("shop").await?.is_none())
        })
        .await?;
    git.stop().await;
    Ok(())
}
