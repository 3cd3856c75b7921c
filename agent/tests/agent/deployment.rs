//! Operators as Deployments.

use figment::{
    Figment,
    providers::{Env, Serialized},
};
use gitmoor_agent::{ClusterScope, Settings};
use gitmoor_crds::Scope;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, ServiceAccount},
};
use kube::{Api, api::ListParams};

use crate::support::{Ground, SYSTEM, eventually, in_process};

fn settings() -> Settings {
    Settings {
        allow_cluster_scope: ClusterScope::Always,
        operator_image: "registry.example/gitmoor:1".to_owned(),
        ..Settings::default()
    }
}

#[tokio::test]
async fn an_operators_pod_is_admitted_where_only_restricted_ones_are() {
    let ground = Ground::new().await;
    ground.namespace("deployed").await;
    let agent = ground.agent(settings()).await;
    ground.create("deployed", "one", Scope::Namespace).await;
    let deployment: Deployment = ground.wait("deployed", "gitmoor-operator").await;
    let container = &deployment.spec.unwrap().template.spec.unwrap().containers[0];
    assert_eq!(
        container.image.as_deref(),
        Some("registry.example/gitmoor:1")
    );
    let arguments = ["operator", "--namespace=deployed", "--scope=namespace"];
    assert_eq!(container.args.as_deref().unwrap(), arguments);

    // Pod Security refuses pods, not Deployments: so it is the pod that is looked for.
    let pods: Api<Pod> = Api::namespaced(ground.admin.clone(), "deployed");
    let labels = ListParams::default().labels("app.kubernetes.io/name=gitmoor-operator");
    eventually("a pod is made", || async {
        pods.list(&labels).await.unwrap().items.len() == 1
    })
    .await;
    let pod = pods
        .list(&labels)
        .await
        .unwrap()
        .items
        .remove(0)
        .spec
        .unwrap();
    assert_eq!(
        pod.service_account_name.as_deref(),
        Some("gitmoor-operator")
    );
    assert!(
        pod.containers[0]
            .volume_mounts
            .iter()
            .flatten()
            .any(|mount| mount.mount_path == "/var/run/secrets/kubernetes.io/serviceaccount"),
        "it has its token"
    );

    ground.delete("deployed", "one").await;
    eventually("it is gone", || async {
        ground
            .find::<Deployment>("deployed", "gitmoor-operator")
            .await
            .is_none()
            && ground
                .find::<ServiceAccount>("deployed", "gitmoor-operator")
                .await
                .is_none()
            && pods.list(&labels).await.unwrap().items.is_empty()
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
#[expect(clippy::result_large_err, reason = "figment's own")]
async fn the_operators_settings_arrive_as_they_are() {
    let ground = Ground::new().await;
    ground.namespace("passed-on").await;
    let mut settings = settings();
    settings.operator.allow_http = true;
    settings.operator.concurrency = 7;
    settings.operator.directory = "/a place/\"quoted\"".into();
    let agent = ground.agent(settings.clone()).await;
    ground.create("passed-on", "wide", Scope::Cluster).await;
    let deployment: Deployment = ground.wait(SYSTEM, "gitmoor-operator-passed-on").await;
    let container = &deployment.spec.unwrap().template.spec.unwrap().containers[0];
    let arguments = [
        "operator",
        "--namespace=passed-on",
        "--scope=cluster",
        "--home=gitmoor-system",
    ];
    assert_eq!(container.args.as_deref().unwrap(), arguments);
    let variable = &container.env.as_deref().unwrap()[0];
    assert_eq!(variable.name, "GITMOOR_ENGINE");
    let value = variable.value.clone().unwrap();
    figment::Jail::expect_with(|jail| {
        jail.set_env("GITMOOR_ENGINE", &value);
        let read: gitmoor_operator::Settings =
            Figment::from(Serialized::defaults(gitmoor_operator::Settings::default()))
                .merge(Env::prefixed("GITMOOR_"))
                .extract()?;
        assert_eq!(read.engine, settings.operator);
        Ok(())
    });
    agent.stop().await;
}

#[tokio::test]
async fn an_operator_that_the_agent_hosts_now_has_no_deployment_any_more() {
    let ground = Ground::new().await;
    ground.namespace("moves").await;
    let agent = ground.agent(settings()).await;
    ground.create("moves", "one", Scope::Namespace).await;
    let _: Deployment = ground.wait("moves", "gitmoor-operator").await;
    agent.stop().await;
    let agent = ground.agent(in_process()).await;
    eventually("it is gone", || async {
        ground
            .find::<Deployment>("moves", "gitmoor-operator")
            .await
            .is_none()
    })
    .await;
    assert!(
        ground
            .find::<ServiceAccount>("moves", "gitmoor-operator")
            .await
            .is_some()
    );
    agent.stop().await;
}
