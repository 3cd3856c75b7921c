//! Where a measurement takes place: a fresh control plane with Gitmoor installed, and a Git server.
//! Whoever needs a clean one starts another; that takes some seconds.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gitmoor_cluster::{Cluster, Component, Controllers, Mark, Options, Request};
use gitmoor_crds::{
    ANNOTATION_REQUESTED_AT, SourceControlConfiguration, SourceControlConfigurationSpec,
    SourceControlConfigurationStatus, reasons,
};
use gitmoor_git::{Repository, Server, ServerOptions};
use gitmoor_operator::{
    connections::{Connections, Identity},
    metrics::Metrics,
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::ClusterRole};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind, ObjectMeta},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    front::Front,
    tree::{File, PACKAGE_KINDS, package_bodies},
};

/// How long anything may take until it counts as failed.
const LIMIT: Duration = Duration::from_secs(900);

/// How many requests the stage itself has under way when it prepares something.
pub(crate) const AT_ONCE: usize = 32;

/// The namespace of the agent, and its ServiceAccount.
pub(crate) const AGENT: (&str, &str) = ("gitmoor-system", "gitmoor-agent");

/// The ServiceAccount of a tenant's operator.
pub(crate) const OPERATOR: &str = "gitmoor-operator";

/// The name of every configuration.
pub(crate) const NAME: &str = "bench";

/// A control plane and a Git server.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    /// An administrator's.
    pub(crate) client: Client,
    pub(crate) front: Front,
    git: Server,
    directory: tempfile::TempDir,
}

/// How a stage is to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setting {
    /// Whether the audit log holds what was sent.
    pub(crate) bodies: bool,
    /// Whether the answers of the Git server are remembered.
    pub(crate) remembers: bool,
}

impl Stage {
    pub(crate) async fn start(setting: Setting) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut options = Options {
            // Those without which Gitmoor cannot be installed. The others answer each Deployment
            // and Service with objects of their own, which takes longer than what is measured.
            controllers: Controllers::Only(vec!["clusterrole-aggregation-controller".to_owned()]),
            ..Options::default()
        };
        if setting.bodies {
            let policy = directory.path().join("policy.json");
            fs::write(&policy, BODIES)?;
            let flag = format!("--audit-policy-file={}", policy.display());
            options.api_server_arguments.push(flag);
        }
        let cluster = Cluster::start_with(options).await?;
        let git = Server::start(ServerOptions::default()).await?;
        let front = Front::start(git.url(""), setting.remembers).await?;
        let connections = Connections::new(&cluster.admin_config(), Metrics::unseen())?;
        let stage = Self {
            client: connections.client(&Identity::Own)?,
            cluster,
            front,
            git,
            directory,
        };
        stage.install().await.context("install Gitmoor")?;
        stage.warm_up().await.context("warm the API server up")?;
        Ok(stage)
    }

    async fn install(&self) -> Result<()> {
        for (file, text) in [
            ("definition.yaml", gitmoor_crds::definition_yaml()),
            ("agent.yaml", gitmoor_agent::INSTALLATION.to_owned()),
        ] {
            let path = self.directory.path().join(file);
            fs::write(&path, text)?;
            self.kubectl(&["apply", "--server-side", "-f", &path.display().to_string()])
                .await?;
        }
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])
            .await?;
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        eventually("the operator's role has its rules", || async {
            let role = roles.get("gitmoor-namespace-operator").await?;
            Ok(role.rules.is_some_and(|rules| !rules.is_empty()))
        })
        .await
    }

    /// An API server that has just started is slow at first.
    async fn warm_up(&self) -> Result<()> {
        self.namespace("warm-up").await?;
        let parameters = PatchParams::apply("bench").force();
        for round in 0..50 {
            for ((group, version, kind, plural), body) in PACKAGE_KINDS
                .into_iter()
                .zip(package_bodies(&format!("warm-{round}")))
            {
                let api = self.objects(group, version, kind, plural, "warm-up");
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                api.patch(name, &parameters, &Patch::Apply(&body)).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        let output = self.cluster.kubectl(arguments).output().await?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {message}", arguments.join(" "));
        }
        Ok(())
    }

    /// A file of this stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Objects of a kind in a namespace.
    pub(crate) fn objects(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// The configurations of a namespace.
    pub(crate) fn configurations(&self, namespace: &str) -> Api<SourceControlConfiguration> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A new namespace.
    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &namespace).await?;
        Ok(())
    }

    /// New namespaces.
    pub(crate) async fn namespaces(&self, names: &[String]) -> Result<()> {
        stream::iter(names)
            .map(|name| self.namespace(name))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// A new repository with a first commit.
    pub(crate) fn repository(&self, name: &str, files: &[File]) -> Result<Repository> {
        let repository = self.git.create(name)?;
        commit(&repository, files)?;
        Ok(repository)
    }

    /// The rights that the agent gives the operator of a namespace.
    pub(crate) async fn operator_rights(&self, namespace: &str) -> Result<()> {
        let own = "gitmoor-operator-own";
        let subject = json!([{"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace}]);
        let rbac = "rbac.authorization.k8s.io";
        let binding = |name: &str, kind: &str, role: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": name}, "subjects": subject,
                "roleRef": {"apiGroup": rbac, "kind": kind, "name": role},
            })
        };
        let rules = json!([
            {"apiGroups": ["gitmoor.io"], "resources": ["sourcecontrolconfigurations"],
             "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["gitmoor.io"],
             "resources": ["sourcecontrolconfigurations", "sourcecontrolconfigurations/status"],
             "verbs": ["patch"], "resourceNames": [NAME]},
        ]);
        for (group, kind, plural, body) in [
            (
                "",
                "ServiceAccount",
                "serviceaccounts",
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR}}),
            ),
            (
                rbac,
                "Role",
                "roles",
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                       "metadata": {"name": own}, "rules": rules}),
            ),
            (
                rbac,
                "RoleBinding",
                "rolebindings",
                binding(OPERATOR, "ClusterRole", "gitmoor-namespace-operator"),
            ),
            (
                rbac,
                "RoleBinding",
                "rolebindings",
                binding(own, "Role", own),
            ),
        ] {
            let api = self.objects(group, "v1", kind, plural, namespace);
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            let parameters = PatchParams::apply("bench").force();
            api.patch(name, &parameters, &Patch::Apply(&body)).await?;
        }
        Ok(())
    }

    /// A file that says how to reach the cluster as a ServiceAccount.
    pub(crate) async fn kubeconfig(&self, (namespace, account): (&str, &str)) -> Result<PathBuf> {
        let config = self
            .cluster
            .service_account_config(namespace, account)
            .await?;
        // As text, since the token does not show itself.
        let token = config.auth_info.token.context("it has a token")?;
        let token = serde_json::to_value(kube::config::AuthInfo {
            token: Some(token),
            ..kube::config::AuthInfo::default()
        })?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {
                "server": self.cluster.url(),
                "certificate-authority-data": BASE64_STANDARD.encode(self.cluster.ca_pem()),
            }}],
            "users": [{"name": "bench", "user": token}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        });
        let path = self.path(&format!("{namespace}-{account}.kubeconfig"));
        fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// A settings file; what holds for operators is below `engine` or `operator`.
    pub(crate) fn settings(
        &self,
        name: &str,
        mut settings: Value,
        engine: &str,
    ) -> Result<PathBuf> {
        settings[engine] = json!({
            "allowHttp": true,
            "directory": self.path(&format!("{name}-repositories")),
        });
        let path = self.path(&format!("{name}.yaml"));
        fs::write(&path, settings.to_string())?;
        Ok(path)
    }

    /// Creates a configuration.
    pub(crate) async fn follow(
        &self,
        namespace: &str,
        spec: SourceControlConfigurationSpec,
    ) -> Result<()> {
        let object = SourceControlConfiguration::new(NAME, spec);
        let api = self.configurations(namespace);
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Has a suspended configuration followed again.
    pub(crate) async fn resume(&self, namespace: &str) -> Result<()> {
        let patch = json!({"spec": {"suspend": false}});
        let api = self.configurations(namespace);
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Asks for a sync at once.
    pub(crate) async fn request_sync(&self, namespace: &str) -> Result<()> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let now = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        let patch = json!({"metadata": {"annotations": {ANNOTATION_REQUESTED_AT: now}}});
        let api = self.configurations(namespace);
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Waits until a configuration says that a commit is applied, and that all is well.
    pub(crate) async fn applied(&self, namespace: &str, commit: &str) -> Result<()> {
        let api = self.configurations(namespace);
        eventually(&format!("{namespace} has applied {commit}"), || async {
            let status = api.get(NAME).await?.status.unwrap_or_default();
            is_applied(&status, commit)
        })
        .await
    }

    /// Waits until so many configurations say that a commit is applied.
    pub(crate) async fn applied_everywhere(&self, commit: &str, count: usize) -> Result<()> {
        let what = format!("{count} have applied {commit}");
        self.everywhere(&what, count, |status| is_applied(status, commit))
            .await
    }

    /// Waits until so many configurations say that they are suspended.
    pub(crate) async fn suspended_everywhere(&self, count: usize) -> Result<()> {
        let what = format!("{count} are suspended");
        self.everywhere(&what, count, |status| {
            let mut conditions = status.conditions.iter();
            Ok(conditions.any(|one| one.reason == reasons::SUSPENDED))
        })
        .await
    }

    async fn everywhere(
        &self,
        what: &str,
        count: usize,
        is: impl Fn(&SourceControlConfigurationStatus) -> Result<bool>,
    ) -> Result<()> {
        let api: Api<SourceControlConfiguration> = Api::all(self.client.clone());
        eventually(what, || async {
            let mut reached = 0;
            for object in api.list(&kube::api::ListParams::default()).await? {
                let said = object.status.as_ref().map_or(Ok(false), &is);
                reached +=
                    usize::from(said.with_context(|| object.namespace().unwrap_or_default())?);
            }
            Ok(reached >= count)
        })
        .await
    }

    pub(crate) fn mark(&self) -> Result<Mark> {
        Ok(self.cluster.audit().mark()?)
    }

    /// What a program has asked since, watches left out.
    pub(crate) async fn requests(
        &self,
        from: Mark,
        by: impl Fn(&str) -> bool,
    ) -> Result<Vec<Request>> {
        let all = self.cluster.audit().since(from).await?;
        let ours = all
            .into_iter()
            .filter(|request| request.verb != "watch" && by(&request.user));
        Ok(ours.collect())
    }

    /// Waits until programs have asked nothing but watches for a while: longer than what is
    /// written lazily is put off.
    pub(crate) async fn quiet(&self, by: impl Fn(&str) -> bool) -> Result<()> {
        const QUIET: Duration = Duration::from_secs(45);
        let start = Instant::now();
        let mut since = Instant::now();
        let mut mark = self.mark()?;
        while since.elapsed() < QUIET {
            if start.elapsed() > LIMIT {
                bail!("there is no end to requests");
            }
            sleep(Duration::from_secs(1)).await;
            let next = self.mark()?;
            if !self.requests(mark, &by).await?.is_empty() {
                since = Instant::now();
            }
            mark = next;
        }
        Ok(())
    }

    /// Processor time of the API server and its store so far, in seconds: what a measured program
    /// costs them, which other work on the machine does not change much.
    pub(crate) fn servers_cpu(&self) -> Result<f64> {
        let of = |component| self.cluster.usage(component).map(|usage| usage.cpu);
        Ok((of(Component::ApiServer)? + of(Component::Etcd)?).as_secs_f64())
    }

    /// Resident memory of the API server, and the part of its heap and stacks that is in use after
    /// a garbage collection, in MiB.
    pub(crate) async fn api_server_memory(&self) -> Result<(f64, f64)> {
        let ask = |path: &str| {
            let request = http::Request::get(path).body(Vec::new());
            let client = self.client.clone();
            async move { Ok::<_, anyhow::Error>(client.request_text(request?).await?) }
        };
        ask("/debug/pprof/heap?gc=1&debug=1").await?;
        let metrics = ask("/metrics").await?;
        let value = |name: &str| -> Option<f64> {
            let line = metrics
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            line.parse().ok()
        };
        let in_use = value("go_memstats_heap_alloc_bytes").context("the heap's metric")?
            + value("go_memstats_stack_inuse_bytes").context("the stacks' metric")?;
        let resident = self.cluster.usage(Component::ApiServer)?.resident;
        let mebibytes = f64::from(1 << 20);
        #[allow(clippy::cast_precision_loss, reason = "a part of a byte is nothing")]
        Ok((resident as f64 / mebibytes, in_use / mebibytes))
    }
}

/// Commits files, and gives the commit's id.
pub(crate) fn commit(repository: &Repository, files: &[File]) -> Result<String> {
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect();
    Ok(repository.commit(&files, &[], "bench")?)
}

/// Whether a status says that a commit is applied; a problem is an error.
fn is_applied(status: &SourceControlConfigurationStatus, commit: &str) -> Result<bool> {
    if let Some(problem) = status.problems.first() {
        bail!("a problem: {}", serde_json::to_string(problem)?);
    }
    Ok(status.applied_revision.as_deref() == Some(commit))
}

/// Waits until something is true.
pub(crate) async fn eventually<F>(what: &str, mut ask: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let start = Instant::now();
    while !ask().await? {
        if start.elapsed() > LIMIT {
            bail!("not within {LIMIT:?}: {what}");
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// A path as text.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a temporary path is UTF-8")
}

/// As the cluster's own, with what is sent.
const BODIES: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "rules": [
    {"level": "Metadata", "verbs": ["watch"], "omitStages": ["RequestReceived"]},
    {"level": "Request", "verbs": ["patch", "create"], "omitStages": ["RequestReceived", "ResponseStarted"]},
    {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]}
  ]
}
"#;
