//! The ground that every test stands on: a cluster with Gitmoor installed, and agents on it.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use gitmoor_agent::{INSTALLATION, Runtime, Settings};
use gitmoor_cluster::{Cluster, Request};
use gitmoor_crds::{Scope, SourceControlConfiguration, SourceControlConfigurationSpec};
use gitmoor_operator::metrics::Metrics;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Mutex, MutexGuard, OnceCell},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const SYSTEM: &str = "gitmoor-system";
pub(crate) const AGENT: &str = "system:serviceaccount:gitmoor-system:gitmoor-agent";

/// Asks again until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A cluster with Gitmoor installed, for one test at a time: an agent serves all of a cluster.
pub(crate) struct Ground {
    pub(crate) cluster: &'static Cluster,
    pub(crate) admin: Client,
    _alone: MutexGuard<'static, ()>,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        let alone = ALONE.lock().await;
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter("warn,gitmoor_agent=debug")
            .try_init();
        let cluster = Cluster::shared().await.unwrap();
        let ground = Self {
            cluster,
            admin: cluster.admin_client(),
            _alone: alone,
        };
        INSTALLED.get_or_init(|| ground.install()).await;
        ground.delete_configurations().await;
        ground
    }

    async fn install(&self) {
        let crd = gitmoor_crds::definition_yaml();
        for (name, yaml) in [("crd", crd.as_str()), ("agent", INSTALLATION)] {
            let file = self.cluster.directory().join(name).with_extension("yaml");
            std::fs::write(&file, yaml).unwrap();
            let applied = self
                .cluster
                .kubectl(["apply", "--server-side", "-f"])
                .arg(&file)
                .output()
                .await
                .unwrap();
            assert!(
                applied.status.success(),
                "{}: {}",
                file.display(),
                String::from_utf8_lossy(&applied.stderr)
            );
        }
        let all = self.configurations_of_all();
        eventually("the kind is served", || async {
            all.list(&ListParams::default()).await.is_ok()
        })
        .await;
    }

    /// So that no agent meets those of another test.
    async fn delete_configurations(&self) {
        for one in self
            .configurations_of_all()
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            let api = self.configurations(one.metadata.namespace.as_deref().unwrap());
            api.delete(
                one.metadata.name.as_deref().unwrap(),
                &DeleteParams::default(),
            )
            .await
            .unwrap();
        }
    }

    /// An agent with the ServiceAccount of the installation.
    pub(crate) async fn agent(&self, settings: Settings) -> Agent {
        let config = self
            .cluster
            .service_account_config(SYSTEM, "gitmoor-agent")
            .await
            .unwrap();
        let cancel = CancellationToken::new();
        let run = gitmoor_agent::run(settings, config, Metrics::unseen(), cancel.clone());
        Agent {
            cancel,
            task: tokio::spawn(async move { run.await.unwrap() }),
        }
    }

    pub(crate) async fn namespace(&self, name: &str) {
        let namespace = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        });
        Api::<Namespace>::all(self.admin.clone())
            .patch(name, &PatchParams::apply("test"), &Patch::Apply(namespace))
            .await
            .unwrap();
    }

    pub(crate) fn configurations(&self, namespace: &str) -> Api<SourceControlConfiguration> {
        Api::namespaced(self.admin.clone(), namespace)
    }

    fn configurations_of_all(&self) -> Api<SourceControlConfiguration> {
        Api::all(self.admin.clone())
    }

    pub(crate) async fn create(&self, namespace: &str, name: &str, scope: Scope) {
        self.configurations(namespace)
            .create(&PostParams::default(), &configuration(name, scope))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, namespace: &str, name: &str) {
        self.configurations(namespace)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// An object, as the administrator sees it.
    pub(crate) async fn find<K>(&self, namespace: &str, name: &str) -> Option<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.admin.clone(), namespace);
        api.get_opt(name).await.unwrap()
    }

    /// An object that should be there soon.
    pub(crate) async fn wait<K>(&self, namespace: &str, name: &str) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        eventually(&format!("{} {namespace}/{name}", K::kind(&())), || async {
            self.find::<K>(namespace, name).await.is_some()
        })
        .await;
        self.find(namespace, name).await.unwrap()
    }

    /// What a ServiceAccount may do, by the API server's own word.
    pub(crate) async fn may(&self, account: (&str, &str), attributes: serde_json::Value) -> bool {
        let (namespace, name) = account;
        let client = self
            .cluster
            .service_account_client(namespace, name)
            .await
            .unwrap();
        use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
        let review = serde_json::from_value(serde_json::json!({
            "spec": {"resourceAttributes": attributes},
        }))
        .unwrap();
        let answer = Api::<SelfSubjectAccessReview>::all(client)
            .create(&PostParams::default(), &review)
            .await
            .unwrap();
        answer.status.unwrap().allowed
    }

    /// What a user has asked for since a moment, watches left out.
    pub(crate) async fn asked(&self, user: &str, since: gitmoor_cluster::Mark) -> Vec<Request> {
        let all = self.cluster.audit().since(since).await.unwrap();
        all.into_iter()
            .filter(|one| one.user == user && one.verb != "watch")
            .collect()
    }
}

/// A running agent.
pub(crate) struct Agent {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .expect("the agent ends when it is asked to")
            .unwrap();
    }
}

pub(crate) fn in_process() -> Settings {
    Settings {
        runtime: Runtime::InProcess,
        ..Settings::default()
    }
}

pub(crate) fn configuration(name: &str, scope: Scope) -> SourceControlConfiguration {
    SourceControlConfiguration {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: SourceControlConfigurationSpec {
            scope,
            ..SourceControlConfigurationSpec::new("https://127.0.0.1:1/nobody/here.git")
        },
        status: None,
    }
}

/// The HTTP status of a refusal.
pub(crate) fn code<T>(result: Result<T, kube::Error>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
