//! Repositories over SSH, as people with `kubectl` say them: where keys lie, how long they live, and
//! what is said of those that cannot be used.

use anyhow::{Context as _, Result};
use gitmoor_crds::{Credentials, Scope};
use gitmoor_git::{SshServer, ssh_key};
use gitmoor_tests::{SYSTEM, World, bare_world, condition, lone::Lone, trees::Tree, world};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// A Secret for a server, with a key or without one.
async fn secret(
    world: &World,
    namespace: &str,
    server: &SshServer,
    private: Option<&str>,
) -> Result<()> {
    let api: Api<Secret> = Api::namespaced(world.client(), namespace);
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "git"},
        "stringData": {"known_hosts": server.known_hosts(), "identity": private},
    });
    let parameters = PatchParams::apply("someone").force();
    api.patch("git", &parameters, &Patch::Apply(secret)).await?;
    Ok(())
}

fn named() -> Option<Credentials> {
    Some(Credentials {
        secret_name: "git".to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_with_a_key_is_used_and_one_that_is_locked_is_refused() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("ssh-secret").await?;
    let server = SshServer::start().await?;
    let repository = server.create("shop.git")?;
    let commit = repository.commit(&[("a.yaml", MAP)], &[], "first")?;
    let (locked, _) = ssh_key(&["-t", "ed25519", "-N", "canary"])?;
    secret(world, &namespace, &server, Some(&locked)).await?;
    let mut spec = world.spec("unused");
    spec.repository = server.url("shop.git");
    spec.credentials = named();
    let key = world.follow(&namespace, "shop", spec).await?;
    let status = world
        .until(&key, "told of the passphrase", |status| {
            condition(status, "Ready").is_some_and(|one| one.1 == "CredentialsUnreadable")
        })
        .await?;
    let said = serde_json::to_string(&status.conditions)?;
    assert!(
        said.contains("the Secret git: identity: it is protected by a passphrase"),
        "{said}"
    );
    assert_eq!(status.repository_public_key, None);

    let (private, public) = ssh_key(&["-t", "ecdsa"])?;
    server.authorize(&public)?;
    // No hand but the one that mends the Secret.
    secret(world, &namespace, &server, Some(&private)).await?;
    let status = world
        .until(&key, "applied", |status| {
            status.applied_revision.as_deref() == Some(&*commit)
        })
        .await?;
    assert_eq!(status.repository_public_key.as_deref(), Some(&*public));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_outlives_its_operator_and_ends_with_its_configuration() -> Result<()> {
    let world = bare_world().await;
    let server = SshServer::start().await?;
    let repository = server.create("shop.git")?;
    let commit = repository.commit(&[("a.yaml", MAP)], &[], "first")?;
    let mut lone = Lone::new(world, "ssh-own", &Tree::default()).await?;
    let key = lone.key.clone();
    let namespace = key.namespace.as_str();
    secret(world, namespace, &server, None).await?;
    let patch = json!({"spec": {
        "repository": server.url("shop.git"),
        "credentials": {"secretName": "git"},
    }});
    let configurations = world.configurations(namespace);
    configurations
        .patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;

    lone.start()?;
    let has_key = |status: &gitmoor_crds::SourceControlConfigurationStatus| {
        status.repository_public_key.is_some()
    };
    let status = world.until(&key, "told its key", has_key).await?;
    let public = status.repository_public_key.context("it has a key")?;
    lone.die().await?;
    server.authorize(&public)?;
    lone.start()?;
    let applied = |status: &gitmoor_crds::SourceControlConfigurationStatus| {
        status.applied_revision.as_deref() == Some(&*commit)
    };
    let status = world.until(&key, "applied", applied).await?;
    assert_eq!(status.repository_public_key.as_deref(), Some(&*public));

    let secrets: Api<Secret> = Api::namespaced(world.client(), namespace);
    let name = format!("gitmoor-deploy-key.{namespace}.{}", key.name);
    assert!(secrets.get_opt(&name).await?.is_some());
    world.delete(&key).await?;
    world
        .eventually("its key is gone, and no other Secret", || async {
            let left = secrets.list(&Default::default()).await?;
            let left: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
            Ok(left == ["git"])
        })
        .await?;
    lone.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deploy_key_of_a_cluster_wide_configuration_is_out_of_the_tenants_reach() -> Result<()>
{
    let world = world().await;
    let namespace = world.namespace("ssh-wide").await?;
    let server = SshServer::start().await?;
    server.create("shop.git")?;
    let mut spec = world.spec("unused");
    spec.repository = server.url("shop.git");
    spec.scope = Scope::Cluster;
    let key = world.follow(&namespace, "shop", spec).await?;
    // The server is not known: no key has been shown to anyone, and this one is there.
    let status = world
        .until(&key, "told of the host key", |status| {
            condition(status, "Ready").is_some_and(|one| one.1 == "HostKeyUntrusted")
                && status.repository_public_key.is_some()
        })
        .await?;
    assert!(!server.was_shown_a_key()?);
    let here: Api<Secret> = Api::namespaced(world.client(), SYSTEM);
    let there: Api<Secret> = Api::namespaced(world.client(), &namespace);
    let name = format!("gitmoor-deploy-key.{namespace}.shop");
    let data = here.get(&name).await?.data.unwrap_or_default();
    let public = status.repository_public_key.unwrap_or_default();
    assert_eq!(data["identity.pub"].0, public.as_bytes());
    assert_eq!(there.list(&Default::default()).await?.items, []);
    world.delete(&key).await?;
    world
        .eventually("its key is gone", || async {
            Ok(here.get_opt(&name).await?.is_none())
        })
        .await
}
