//! Operators of either scope and of either runtime, as ARM asks for them.

use anyhow::Result;
use gitmoor_tests::{
    SYSTEM,
    arm::{Arm, Options, arm, protected},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret, ServiceAccount},
    rbac::v1::ClusterRoleBinding,
};
use kube::Api;
use serde_json::json;

use super::{OPERATOR, applied, has_value, inventories, map, rights};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_wide_configuration_of_arm_has_an_operator_out_of_the_tenants_reach() -> Result<()>
{
    let arm = arm().await;
    let world = &arm.world;
    let (name, namespace, elsewhere) = ("wide", "arm-wide", "arm-wide-elsewhere");
    let operator = format!("{OPERATOR}-{namespace}");
    let other = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {elsewhere}}}\n");
    let far = map("far", "1").replace("{name:", &format!("{{namespace: {elsewhere}, name:"));
    let files = [
        ("namespace.yaml", &*other),
        ("far.yaml", &*far),
        ("near.yaml", &*map("near", "1")),
    ];
    let repository = world.repository(name, &files).await?;
    let mut properties = arm.properties(name, namespace, "");
    properties["operatorScope"] = json!("cluster");
    properties["configurationProtectedSettings"] =
        json!({"httpsUser": protected("bot"), "httpsKey": protected("s3cr3t")});
    let key = arm.configure(name, &properties).await?;
    arm.until(&key, "applied", applied(&repository.head()?))
        .await?;
    has_value(world, elsewhere, "far", Some("1")).await?;
    has_value(world, namespace, "near", Some("1")).await?;

    let accounts = |namespace: &str| Api::<ServiceAccount>::namespaced(world.client(), namespace);
    let bindings: Api<ClusterRoleBinding> = Api::all(world.client());
    let secrets: Api<Secret> = Api::namespaced(world.client(), SYSTEM);
    let secret = format!("gitmoor.{namespace}.{name}");
    assert!(accounts(SYSTEM).get_opt(&operator).await?.is_some());
    let subjects = bindings.get(&operator).await?.subjects.unwrap_or_default();
    assert_eq!(subjects.len(), 1);
    assert_eq!(subjects[0].namespace.as_deref(), Some(SYSTEM));
    assert_eq!(subjects[0].name, operator);
    assert!(secrets.get_opt(&secret).await?.is_some());
    // In the tenant's namespace there is nothing to take on.
    assert_eq!(rights(world, namespace).await?, [""; 0]);
    assert_eq!(inventories(world, namespace).await?, [""; 0]);
    let secrets_there: Api<Secret> = Api::namespaced(world.client(), namespace);
    assert_eq!(secrets_there.list(&Default::default()).await?.items, []);

    arm.delete(name).await?;
    world
        .eventually("its operator and its rights are gone", || async {
            let api = world.configurations(namespace);
            Ok(api.get_opt(name).await?.is_none()
                && bindings.get_opt(&operator).await?.is_none()
                && accounts(SYSTEM).get_opt(&operator).await?.is_none())
        })
        .await?;
    assert!(secrets.get_opt(&secret).await?.is_none());
    // No operator is left to delete it.
    let mine = format!("gitmoor-inventory.{namespace}.{name}.");
    let left = inventories(world, SYSTEM).await?;
    assert!(!left.iter().any(|one| one.contains(&mine)), "{left:?}");
    for (namespace, name) in [(elsewhere, "far"), (namespace, "near")] {
        let maps: Api<ConfigMap> = Api::namespaced(world.client(), namespace);
        assert!(maps.get_opt(name).await?.is_some(), "{name} stays");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_of_arm_gets_a_complete_deployment() -> Result<()> {
    let arm = Arm::start(Options {
        runtime: gitmoor_agent::Runtime::Deployment,
        ..Options::default()
    })
    .await?;
    let world = &arm.world;
    let (name, namespace) = ("deployed", "arm-deployed");
    let mut properties = arm.properties(name, namespace, "");
    properties["configurationProtectedSettings"] =
        json!({"httpsUser": protected("bot"), "httpsKey": protected("s3cr3t")});
    arm.configure(name, &properties).await?;
    let deployments: Api<Deployment> = Api::namespaced(world.client(), namespace);
    world
        .eventually("the Deployment is there", || async {
            Ok(deployments.get_opt(OPERATOR).await?.is_some())
        })
        .await?;
    let text = serde_json::to_string(&deployments.get(OPERATOR).await?)?;
    assert!(!text.contains("s3cr3t") && !text.contains(&protected("s3cr3t")));
    // The controller makes a pod of it: the API server has found the template, the account and the
    // Pod Security right. Only a node to run it is missing here.
    let pods: Api<Pod> = Api::namespaced(world.client(), namespace);
    world
        .eventually("its pod waits for a node", || async {
            Ok(!pods.list(&Default::default()).await?.items.is_empty())
        })
        .await?;
    let pod = pods.list(&Default::default()).await?.items.remove(0);
    let spec = pod.spec.expect("the API server asks for one");
    assert_eq!(spec.service_account_name.as_deref(), Some(OPERATOR));
    let container = &spec.containers[0];
    assert_eq!(
        container.args.as_deref().unwrap_or_default(),
        [
            "operator",
            &format!("--namespace={namespace}"),
            "--scope=namespace"
        ]
    );
    assert!(
        container
            .image
            .as_deref()
            .is_some_and(|image| image.starts_with("gitmoor:"))
    );
    let variables = container.env.as_deref().unwrap_or_default();
    assert!(
        variables
            .iter()
            .any(|one| one.name == "GITMOOR_ENGINE" && one.value.is_some()),
        "{variables:?}"
    );
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let store = world.agent_settings().operator.directory;
    for path in [
        &*store.to_string_lossy(),
        "/var/run/secrets/kubernetes.io/serviceaccount",
    ] {
        assert!(
            mounts.iter().any(|mount| mount.mount_path == path),
            "{path}: {mounts:?}"
        );
    }
    assert_eq!(rights(world, namespace).await?.len(), 4);
    // No operator runs, and ARM does not say that all is well.
    arm.compliance(name, "waiting", |said| {
        said["complianceState"] == "Pending"
            && said["message"]["OperatorMessage"] == "waiting for the operator"
    })
    .await?;

    arm.delete(name).await?;
    world
        .eventually("the Deployment and its rights are gone", || async {
            Ok(deployments.get_opt(OPERATOR).await?.is_none()
                && rights(world, namespace).await?.is_empty())
        })
        .await?;
    Ok(())
}
