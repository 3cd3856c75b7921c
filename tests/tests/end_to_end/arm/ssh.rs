//! Repositories over SSH, as ARM's users say them: with the cluster's own key, or with theirs.

use anyhow::{Context as _, Result};
use gitmoor_git::{SshServer, ssh_key};
use gitmoor_tests::{
    World,
    arm::{Arm, arm, protected},
    logs,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{applied, compliant, has_value, map};

/// What ARM is told, but for a key.
fn properties(arm: &Arm, server: &SshServer, namespace: &str) -> Value {
    let mut properties = arm.properties("unused", namespace, "");
    properties["repositoryUrl"] = json!(server.url("shop.git"));
    properties["sshKnownHostsContents"] = json!(protected(&server.known_hosts()));
    properties
}

/// The Secret with the key that the cluster has made.
fn deploy_key(namespace: &str, name: &str) -> String {
    format!("gitmoor-deploy-key.{namespace}.{name}")
}

async fn public_key(arm: &Arm, name: &str) -> Result<String> {
    let shown = arm.show(name).await?.body;
    let key = shown["properties"]["repositoryPublicKey"].as_str();
    Ok(key.context("ARM shows a public key")?.to_owned())
}

/// All that people look at.
async fn shown(arm: &Arm, name: &str, namespace: &str) -> Result<String> {
    let kinds = "sourcecontrolconfigurations,configmaps,events";
    let objects = ["get", kinds, "-n", namespace, "-o", "yaml"];
    let objects = arm.world.kubectl(&objects).await?;
    Ok(format!(
        "{}{}{objects}",
        arm.show(name).await?.body,
        arm.list().await?.body
    ))
}

/// The lines of a private key that are its own: the public half stands in it too.
fn canaries(private: &str, public: &str) -> Vec<String> {
    let lines = private.lines().map(str::to_owned);
    let mut words: Vec<String> = lines.filter(|line| line.len() > 60).collect();
    words.retain(|line| !public.contains(line));
    assert!(words.len() > 2);
    words.push(protected(private));
    words
}

async fn secrets(world: &World, namespace: &str) -> Result<Vec<String>> {
    let api: Api<Secret> = Api::namespaced(world.client(), namespace);
    let list = api.list(&Default::default()).await?;
    Ok(list.iter().map(ResourceExt::name_any).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_own_key_is_shown_by_arm_and_opens_the_repository_once_it_is_added()
-> Result<()> {
    let arm = arm().await;
    let world = &arm.world;
    let (name, namespace) = ("own-key", "arm-own-key");
    let server = SshServer::start().await?;
    let repository = server.create("shop.git")?;
    let first = repository.commit(&[("a.yaml", &map("a", "1"))], &[], "first")?;

    let key = arm
        .configure(name, &properties(arm, &server, namespace))
        .await?;
    arm.compliance(name, "the key is not let in", |said| {
        said["messageLevel"] == "Error" && said.to_string().contains("deploy key")
    })
    .await?;
    let public = public_key(arm, name).await?;
    assert!(public.starts_with("ssh-ed25519 AAAA"), "{public}");
    let said = shown(arm, name, namespace).await?;
    assert!(
        said.contains(&format!("the right to read: {public}")),
        "{said}"
    );

    let api: Api<Secret> = Api::namespaced(world.client(), namespace);
    let secret = api.get(&deploy_key(namespace, name)).await?;
    let data = secret.data.unwrap_or_default();
    assert_eq!(data["identity.pub"].0, public.as_bytes());
    let private = String::from_utf8(data["identity"].0.clone())?;
    let leaks = logs::watch(&canaries(&private, &public));

    server.authorize(&public)?;
    arm.until(&key, "applied", applied(&first)).await?;
    has_value(world, namespace, "a", Some("1")).await?;
    let second = repository.commit(&[("a.yaml", &map("a", "2"))], &[], "second")?;
    arm.compliance(name, "the second commit", compliant(&second))
        .await?;
    has_value(world, namespace, "a", Some("2")).await?;
    assert_eq!(public_key(arm, name).await?, public);
    let said = shown(arm, name, namespace).await?;
    for canary in canaries(&private, &public) {
        assert!(!said.contains(&canary), "{said}");
    }
    assert_eq!(leaks.lines(), [""; 0]);

    assert_eq!(arm.delete(name).await?.status, StatusCode::OK);
    world
        .eventually("its secrets are gone", || async {
            Ok(secrets(world, namespace).await?.is_empty())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_key_is_used_and_its_public_half_shown() -> Result<()> {
    let arm = arm().await;
    let world = &arm.world;
    let (name, namespace) = ("given-key", "arm-given-key");
    let server = SshServer::start().await?;
    let repository = server.create("shop.git")?;
    let commit = repository.commit(&[("a.yaml", &map("a", "1"))], &[], "first")?;
    let (private, public) = ssh_key(&["-t", "rsa", "-b", "2048", "-m", "PEM"])?;
    let (other, other_public) = ssh_key(&["-t", "ed25519"])?;
    let mut words = canaries(&private, &public);
    words.extend(canaries(&other, &other_public));
    let leaks = logs::watch(&words);
    let with = |private: &str| {
        let mut properties = properties(arm, &server, namespace);
        properties["configurationProtectedSettings"] = json!({"sshPrivateKey": protected(private)});
        properties
    };

    // One that is not let in, then another.
    let key = arm.configure(name, &with(&other)).await?;
    let status = arm
        .until(&key, "told of the key", |status| {
            status.repository_public_key.as_deref() == Some(&other_public)
        })
        .await?;
    server.authorize(&public)?;
    arm.configure(name, &with(&private)).await?;
    arm.until(&key, "applied", applied(&commit)).await?;
    arm.compliance(name, "compliant", compliant(&commit))
        .await?;
    assert_eq!(public_key(arm, name).await?, public);
    assert_eq!(
        secrets(world, namespace).await?,
        [format!("gitmoor.{namespace}.{name}")]
    );
    let said = format!("{status:?}{}", shown(arm, name, namespace).await?);
    for word in &words {
        assert!(!said.contains(word), "{said}");
    }
    assert_eq!(leaks.lines(), [""; 0]);

    // Over HTTPS there is no key to show.
    let mut https = with(&private);
    https["repositoryUrl"] = json!(world.git.url("nowhere"));
    https["sshKnownHostsContents"] = json!("");
    https["configurationProtectedSettings"] = json!({});
    arm.configure(name, &https).await?;
    arm.until(&key, "without a key", |status| {
        status.repository_public_key.is_none()
    })
    .await?;
    Ok(())
}
