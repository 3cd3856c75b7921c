//! The agent and the portal: what one says is what the other means.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_agent::Settings;
use gitmoor_crds::{Scope, SourceControlConfiguration};
use gitmoor_portal::{
    Portal,
    identity::{Role, Scope as TokenScope, Token},
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    server::CLUSTER,
    support::{Agent, Ground, eventually},
};

const REVISION: &str = "0123456789012345678901234567890123456789";

/// A portal, the agent of a cluster that it knows, and someone who writes to it.
struct Site {
    url: String,
    principal: Token,
    http: reqwest::Client,
    agent: Agent,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
    _directory: TempDir,
}

impl Site {
    async fn start(ground: &Ground) -> Self {
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
        Self {
            url,
            principal,
            http,
            agent,
            cancel,
            serving,
            _directory: directory,
        }
    }

    /// The address of one of the cluster's resources.
    fn address(&self, kind: &str, name: &str, version: &str) -> String {
        let provider = "Microsoft.KubernetesConfiguration";
        format!(
            "{}{CLUSTER}/providers/{provider}/{kind}/{name}?api-version={version}",
            self.url
        )
    }

    async fn put(&self, address: &str, properties: Value) {
        let put = self.http.put(address).bearer_auth(self.principal.expose());
        let body = json!({"properties": properties});
        let answer = put.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    async fn properties(&self, address: &str) -> Value {
        let get = self.http.get(address).bearer_auth(self.principal.expose());
        let answer = get.send().await.unwrap();
        answer.json::<Value>().await.unwrap()["properties"].clone()
    }

    async fn delete(&self, address: &str) {
        let delete = self
            .http
            .delete(address)
            .bearer_auth(self.principal.expose());
        assert_eq!(delete.send().await.unwrap().status(), 200);
    }

    async fn stop(self) {
        self.agent.stop().await;
        self.cancel.cancel();
        self.serving.await.unwrap();
    }
}

/// What an operator says of a commit that is applied.
async fn report_applied(ground: &Ground, namespace: &str, made: &SourceControlConfiguration) {
    let status = json!({"status": {
        "observedGeneration": made.metadata.generation,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Applied", "message": "all is well",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }],
        "appliedRevision": REVISION,
        "inventory": [{"object": format!("ConfigMap {namespace}/words"), "health": "Current"}],
    }});
    let name = made.metadata.name.as_deref().unwrap();
    ground
        .configurations(namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

async fn gone(ground: &Ground, namespace: &str, name: &str) {
    eventually("it is gone", || async {
        let found = ground.find::<SourceControlConfiguration>(namespace, name);
        found.await.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_configuration_put_to_the_portal_arrives_and_its_status_comes_back() {
    let ground = Ground::new().await;
    let site = Site::start(&ground).await;
    let kind = "sourceControlConfigurations";
    let address = site.address(kind, "blue", "2023-05-01");
    // Two, since an empty list would be asked for twice before anything is deleted.
    for address in [&address, &site.address(kind, "green", "2023-05-01")] {
        let properties = json!({
            "repositoryUrl": "https://git.example.net/blue/deploy.git",
            "operatorNamespace": "portal-blue",
            "operatorScope": "namespace",
            "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": "czNjcjN0"},
        });
        site.put(address, properties).await;
    }

    let made: SourceControlConfiguration = ground.wait("portal-blue", "blue").await;
    assert_eq!(made.spec.scope, Scope::Namespace);
    let credentials = made.spec.credentials.clone().unwrap();
    let secret: Secret = ground.wait("portal-blue", &credentials.secret_name).await;
    assert_eq!(secret.data.unwrap()["password"].0, b"s3cr3t");

    report_applied(&ground, "portal-blue", &made).await;
    let compliance = async || site.properties(&address).await["complianceStatus"].clone();
    eventually("ARM says so", || async {
        compliance().await["complianceState"] == "Compliant"
    })
    .await;
    let message = compliance().await["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("all is well") && message.contains(REVISION),
        "{message}"
    );

    site.delete(&address).await;
    gone(&ground, "portal-blue", "blue").await;
    site.stop().await;
}

#[tokio::test]
async fn a_flux_configuration_arrives_as_one_configuration_for_each_kustomization() {
    let ground = Ground::new().await;
    let site = Site::start(&ground).await;
    // One that stays: an empty list would be asked for twice before anything is deleted.
    let other = site.address("sourceControlConfigurations", "green", "2023-05-01");
    let properties = json!({
        "repositoryUrl": "https://git.example.net/green.git",
        "operatorNamespace": "portal-flux",
        "operatorScope": "namespace",
    });
    site.put(&other, properties).await;
    let address = site.address("fluxConfigurations", "blue", "2025-04-01");
    let authority = "-----BEGIN CERTIFICATE-----";
    let properties = json!({
        "scope": "namespace",
        "namespace": "portal-flux",
        "gitRepository": {
            "url": "https://git.example.net/blue/deploy.git",
            "syncIntervalInSeconds": 90,
            "repositoryRef": {"branch": "main"},
            "httpsUser": "bot",
            "httpsCACert": BASE64_STANDARD.encode(authority),
        },
        "kustomizations": {
            "infra": {"path": "./infra", "prune": true},
            "apps": {"path": "./apps", "dependsOn": ["infra"], "timeoutInSeconds": 120},
        },
        "configurationProtectedSettings": {"httpsKey": "czNjcjN0"},
    });
    site.put(&address, properties).await;

    let infra: SourceControlConfiguration = ground.wait("portal-flux", "blue--infra").await;
    let apps: SourceControlConfiguration = ground.wait("portal-flux", "blue--apps").await;
    assert_eq!(
        (&infra.spec.paths[..], infra.spec.prune),
        (&["infra".to_owned()][..], true)
    );
    assert_eq!(
        (&apps.spec.paths[..], apps.spec.prune),
        (&["apps".to_owned()][..], false)
    );
    assert_eq!(apps.spec.depends_on, ["blue--infra"]);
    assert_eq!(apps.spec.timeout.0.as_secs(), 120);
    for made in [&infra, &apps] {
        assert_eq!(made.spec.scope, Scope::Namespace);
        assert_eq!(made.spec.reference.branch.as_deref(), Some("main"));
        assert_eq!(made.spec.interval.0.as_secs(), 90);
        let credentials = made.spec.credentials.clone().unwrap();
        let secret: Secret = ground.wait("portal-flux", &credentials.secret_name).await;
        let data = secret.data.unwrap();
        assert_eq!(data["username"].0, b"bot");
        assert_eq!(data["password"].0, b"s3cr3t");
        assert_eq!(data["ca.crt"].0, authority.as_bytes());
        report_applied(&ground, "portal-flux", made).await;
    }
    eventually("ARM says so", || async {
        site.properties(&address).await["complianceState"] == "Compliant"
    })
    .await;
    let properties = site.properties(&address).await;
    let commit = &properties["sourceSyncedCommitId"];
    assert_eq!(commit, &format!("main/{REVISION}"));
    let statuses = properties["statuses"].as_array().unwrap();
    let words = statuses.iter().filter(|one| one["name"] == "words");
    assert_eq!(words.count(), 2, "{statuses:?}");

    site.delete(&address).await;
    gone(&ground, "portal-flux", "blue--infra").await;
    gone(&ground, "portal-flux", "blue--apps").await;
    site.stop().await;
}
