//! The agent and the portal: what one says is what the other means.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_agent::Settings;
use gitmoor_crds::{Scope, SourceControlConfiguration};
use gitmoor_portal::{
    Portal,
    identity::{Role, Scope as TokenScope, Token},
};
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
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
        // The portal says when there is news.
        Self::start_as(ground, "dataPlane", Role::Agent, "1h").await
    }

    /// With an agent that calls the portal as what that setting says.
    async fn start_as(ground: &Ground, setting: &str, role: Role, poll_interval: &str) -> Self {
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
        let cluster = CLUSTER.parse().unwrap();
        let own = store
            .create_principal("edge", &cluster, role)
            .await
            .unwrap();
        let tenant = store.tenant();
        std::fs::write(directory.path().join("secret"), own.expose()).unwrap();
        std::fs::write(directory.path().join("ca.crt"), &ca).unwrap();
        let url = format!("https://{}", portal.local_addr());
        let cancel = CancellationToken::new();
        let serving = tokio::spawn(portal.serve(cancel.clone()));

        let arm = serde_json::from_value(json!({
            "clusterId": CLUSTER,
            setting: url,
            "caFile": directory.path().join("ca.crt"),
            "credential": {"servicePrincipal": {
                "tenantId": tenant,
                "clientId": own.id(),
                "clientSecretFile": directory.path().join("secret"),
                "authority": url,
            }},
            "pollInterval": poll_interval,
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
        self.make(address, json!({"properties": properties})).await;
    }

    /// Puts what is not there yet.
    async fn make(&self, address: &str, body: Value) {
        assert_eq!(self.status(address, body).await, 201);
    }

    /// Puts what is there.
    async fn put_again(&self, address: &str, properties: Value) {
        let body = json!({"properties": properties});
        assert_eq!(self.status(address, body).await, 200);
    }

    async fn status(&self, address: &str, body: Value) -> reqwest::StatusCode {
        let put = self.http.put(address).bearer_auth(self.principal.expose());
        put.json(&body).send().await.unwrap().status()
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
async fn an_agent_follows_a_server_that_knows_arm_alone_by_asking_again() {
    let ground = Ground::new().await;
    let site = Site::start_as(&ground, "endpoint", Role::Reader, "1s").await;
    let kind = "sourceControlConfigurations";
    let properties = |url: &str| {
        json!({
            "repositoryUrl": url,
            "operatorNamespace": "plain-arm",
            "operatorScope": "namespace",
        })
    };
    let green = site.address(kind, "green", "2023-05-01");
    site.put(&green, properties("https://git.example.net/a"))
        .await;
    let made: SourceControlConfiguration = ground.wait("plain-arm", "green").await;
    assert_eq!(made.spec.repository, "https://git.example.net/a");
    // Those that come later, are changed, and go.
    let blue = site.address(kind, "blue", "2023-05-01");
    site.put(&blue, properties("https://git.example.net/a"))
        .await;
    let _: SourceControlConfiguration = ground.wait("plain-arm", "blue").await;
    site.put_again(&blue, properties("https://git.example.net/b"))
        .await;
    eventually("it is changed", || async {
        let made: SourceControlConfiguration = ground.wait("plain-arm", "blue").await;
        made.spec.repository == "https://git.example.net/b"
    })
    .await;
    site.delete(&blue).await;
    gone(&ground, "plain-arm", "blue").await;
    site.stop().await;
}

#[tokio::test]
async fn the_portal_shows_the_version_of_kubernetes_and_the_number_of_nodes() {
    let ground = Ground::new().await;
    let nodes: Api<Node> = Api::all(ground.admin.clone());
    for name in ["one", "other", "third"] {
        let node = json!({"metadata": {"name": name}});
        let node = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
    }
    let site = Site::start(&ground).await;
    let group = format!(
        "{}/subscriptions/s/resourceGroups/g?api-version=2022-12-01",
        site.url
    );
    site.make(&group, json!({"location": "oslo"})).await;
    let cluster = format!("{}{CLUSTER}?api-version=2024-01-01", site.url);
    site.make(&cluster, json!({"location": "oslo", "properties": {}}))
        .await;
    let version = ground.admin.apiserver_version().await.unwrap().git_version;
    let mut number = 0;
    eventually("the portal knows", || {
        number += 1;
        let name = format!("news-{number}");
        let address = site.address("sourceControlConfigurations", &name, "2023-05-01");
        let site = &site;
        let (cluster, version) = (&cluster, &version);
        async move {
            // An agent says it when it calls, which it does when there is news.
            site.put(
                &address,
                json!({"repositoryUrl": "https://git.example.net/a"}),
            )
            .await;
            let shown = site.properties(cluster).await;
            shown["kubernetesVersion"] == version.trim_start_matches('v')
                && shown["totalNodeCount"] == 3
        }
    })
    .await;
    for name in ["one", "other", "third"] {
        nodes.delete(name, &DeleteParams::default()).await.unwrap();
    }
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
