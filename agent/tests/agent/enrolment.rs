//! An agent that has nothing but a token that is good once.

use gitmoor_agent::Settings;
use gitmoor_crds::SourceControlConfiguration;
use gitmoor_portal::{Portal, identity::Role};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Ground, SYSTEM};

const CLUSTER: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/enrolled";

#[tokio::test]
async fn a_token_that_is_good_once_is_enough_and_its_secrets_arrive() {
    let ground = Ground::new().await;
    let directory = tempfile::tempdir().unwrap();
    let portal = Portal::bind(gitmoor_portal::Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_directory: directory.path().join("portal"),
        ..gitmoor_portal::Settings::default()
    })
    .await
    .unwrap();
    let ca = portal.ca_pem().unwrap().to_owned();
    let store = portal.store();
    let cluster = CLUSTER.parse().unwrap();
    let scope = "/subscriptions/s".parse().unwrap();
    let ann = store
        .create_principal("ann", &scope, Role::Contributor)
        .await;
    let ann = store
        .issue_token(ann.unwrap().id(), None)
        .await
        .unwrap()
        .unwrap();
    let token = store.create_enrolment(&cluster, "oslo").await.unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, token.expose()).unwrap();
    std::fs::write(directory.path().join("ca.crt"), &ca).unwrap();
    let url = format!("https://{}", portal.local_addr());
    let cancel = CancellationToken::new();
    let serving = tokio::spawn(portal.serve(cancel.clone()));

    let settings = || {
        let arm = serde_json::from_value(json!({
            "clusterId": CLUSTER,
            "dataPlane": url,
            "caFile": directory.path().join("ca.crt"),
            "credential": {"enrolment": {"tokenFile": file}},
            "pollInterval": "1h",
        }));
        Settings {
            arm: Some(arm.unwrap()),
            ..Settings::default()
        }
    };
    let agent = ground.agent(settings()).await;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let put = async |name: &str, password: &str| {
        let address = format!(
            "{url}{CLUSTER}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/{name}?api-version=2023-05-01"
        );
        let put = http
            .put(address)
            .bearer_auth(ann.expose())
            .json(&json!({"properties": {
                "repositoryUrl": "https://git.example.net/blue/deploy.git",
                "operatorNamespace": format!("enrolled-{name}"),
                "operatorScope": "namespace",
                "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": password},
            }}));
        let put = put.send().await.unwrap();
        assert_eq!(put.status(), 201, "{}", put.text().await.unwrap());
    };
    let arrived = async |name: &str| {
        let namespace = format!("enrolled-{name}");
        let made: SourceControlConfiguration = ground.wait(&namespace, name).await;
        let secret = made.spec.credentials.unwrap().secret_name;
        let secret: Secret = ground.wait(&namespace, &secret).await;
        secret.data.unwrap()["password"].0.clone()
    };
    put("blue", "czNjcjN0").await;
    assert_eq!(arrived("blue").await, b"s3cr3t");
    agent.stop().await;

    // It has its own credential now, and the token is gone.
    std::fs::remove_file(&file).unwrap();
    let agent = ground.agent(settings()).await;
    put("green", "b3RoZXI=").await;
    assert_eq!(arrived("green").await, b"other");
    agent.stop().await;
    let kept: Api<Secret> = Api::namespaced(ground.admin.clone(), SYSTEM);
    let kept = kept.get("gitmoor-agent").await.unwrap().data.unwrap();
    let text: Vec<u8> = kept.into_values().flat_map(|value| value.0).collect();
    assert!(!String::from_utf8_lossy(&text).contains(token.expose()));
    cancel.cancel();
    serving.await.unwrap();
}
