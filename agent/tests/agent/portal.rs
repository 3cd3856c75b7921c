//! The agent and the portal: what one says is what the other means.

use gitmoor_agent::Settings;
use gitmoor_crds::{Scope, SourceControlConfiguration};
use gitmoor_portal::{
    Portal,
    identity::{Role, Scope as TokenScope},
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    server::CLUSTER,
    support::{Ground, eventually},
};

#[tokio::test]
async fn a_configuration_put_to_the_portal_arrives_and_its_status_comes_back() {
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
    let scope: TokenScope = "/subscriptions/s".parse().unwrap();
    let store = portal.store();
    let ann = store
        .create_principal("ann", &scope, Role::Contributor)
        .await
        .unwrap();
    let principal = store.issue_token(ann.id(), None).await.unwrap().unwrap();
    let own = store.create_agent(&CLUSTER.parse().unwrap()).await.unwrap();
    let tenant = store.tenant();
    std::fs::write(directory.path().join("secret"), own.expose()).unwrap();
    std::fs::write(directory.path().join("ca.crt"), &ca).unwrap();
    let url = format!("https://{}", portal.local_addr());
    let cancel = CancellationToken::new();
    let serving = tokio::spawn(portal.serve(cancel.clone()));

    let arm = serde_json::from_value(json!({
        "clusterId": CLUSTER,
        "dataPlane": url,
        "caFile": directory.path().join("ca.crt"),
        "credential": {"servicePrincipal": {
            "tenantId": tenant,
            "clientId": own.id(),
            "clientSecretFile": directory.path().join("secret"),
            "authority": url,
        }},
        // The portal says when there is news.
        "pollInterval": "1h",
    }))
    .unwrap();
    // As Deployments, of which no pod runs here: the status is the test's.
    let settings = Settings {
        arm: Some(arm),
        ..Settings::default()
    };
    let agent = ground.agent(settings).await;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let address = format!(
        "{url}{CLUSTER}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/blue?api-version=2023-05-01"
    );
    // Two, since an empty list would be asked for twice before anything is deleted.
    for address in [address.clone(), address.replace("/blue?", "/green?")] {
        let put = http
            .put(&address)
            .bearer_auth(principal.expose())
            .json(&json!({"properties": {
                "repositoryUrl": "https://git.example.net/blue/deploy.git",
                "operatorNamespace": "portal-blue",
                "operatorScope": "namespace",
                "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": "czNjcjN0"},
            }}))
            .send()
            .await
            .unwrap();
        assert_eq!(put.status(), 201, "{}", put.text().await.unwrap());
    }

    let made: SourceControlConfiguration = ground.wait("portal-blue", "blue").await;
    assert_eq!(made.spec.scope, Scope::Namespace);
    let secret: Secret = ground
        .wait("portal-blue", &made.spec.credentials.unwrap().secret_name)
        .await;
    assert_eq!(secret.data.unwrap()["password"].0, b"s3cr3t");

    let status = json!({"status": {
        "observedGeneration": made.metadata.generation,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Applied", "message": "all is well",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }],
        "appliedRevision": "0123456789012345678901234567890123456789",
        "inventory": [{"object": "ConfigMap portal-blue/words", "health": "Current"}],
    }});
    ground
        .configurations("portal-blue")
        .patch_status("blue", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let compliance = async || -> Value {
        let get = http
            .get(&address)
            .bearer_auth(principal.expose())
            .send()
            .await
            .unwrap();
        get.json::<Value>().await.unwrap()["properties"]["complianceStatus"].clone()
    };
    eventually("ARM says so", || async {
        compliance().await["complianceState"] == "Compliant"
    })
    .await;
    let message = compliance().await["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("all is well") && message.contains("0123456789"),
        "{message}"
    );

    let deleted = http
        .delete(&address)
        .bearer_auth(principal.expose())
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 200);
    eventually("it is gone", || async {
        ground
            .find::<SourceControlConfiguration>("portal-blue", "blue")
            .await
            .is_none()
    })
    .await;
    agent.stop().await;
    cancel.cancel();
    serving.await.unwrap();
}
