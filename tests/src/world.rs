//! One cluster, one agent and one Git server for all tests of a binary: tests keep to namespaces and
//! repositories of their own.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gitmoor_cluster::{Cluster, Mark, Request};
use gitmoor_crds::{
    ANNOTATION_REQUESTED_AT, SourceControlConfiguration, SourceControlConfigurationSpec,
    SourceControlConfigurationStatus,
};
use gitmoor_git::{Repository, Server, ServerOptions};
use gitmoor_operator::metrics::Metrics;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind, ObjectMeta},
};
use serde_json::json;
use tokio::{
    runtime::{self, Runtime},
    sync::OnceCell,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long anything may take until it counts as failed; a loaded machine is slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The agent's namespace.
pub const SYSTEM: &str = "gitmoor-system";

/// A configuration, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ConfigurationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A control plane with an agent, and a Git server.
pub struct World {
    /// The control plane.
    pub cluster: Cluster,
    /// The Git server, over plain HTTP.
    pub git: Server,
    /// Clients of an administrator, one for each runtime: a client's connections end with the
    /// runtime that opened them, and each test has its own.
    clients: Mutex<HashMap<runtime::Id, Client>>,
    cancel: CancellationToken,
    // What runs on it must outlive the runtime of the test that started it.
    runtime: Option<Runtime>,
    stores: tempfile::TempDir,
}

/// A running agent. It ends with its world, unless it is stopped before.
pub struct Agent {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(self) -> Result<()> {
        self.cancel.cancel();
        let ended = timeout(LIMIT, self.task).await;
        Ok(ended.context("wait for the agent to end")??)
    }
}

/// The world of this process, made by the first test that asks.
pub async fn world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD
        .get_or_try_init(World::start)
        .await
        .expect("the world starts")
}

/// A world of this process without an agent, for tests that run operators of their own.
pub async fn bare_world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD
        .get_or_try_init(World::without_agent)
        .await
        .expect("the world starts")
}

impl World {
    /// A control plane with Gitmoor installed and an agent running.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start() -> Result<Self> {
        let world = Self::without_agent().await?;
        world.start_agent(world.permissive_settings()).await?;
        Ok(world)
    }

    /// A control plane with Gitmoor installed, and nothing running.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn without_agent() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(2)
            .build()?;
        let cluster = Cluster::start().await?;
        let git = runtime
            .spawn(Server::start(ServerOptions::default()))
            .await??;
        let world = Self {
            clients: Mutex::default(),
            cluster,
            git,
            cancel: CancellationToken::new(),
            runtime: Some(runtime),
            stores: tempfile::tempdir()?,
        };
        world.install().await?;
        Ok(world)
    }

    /// A client of an administrator.
    pub fn client(&self) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients
            .entry(runtime::Handle::current().id())
            .or_insert_with(|| self.cluster.admin_client());
        client.clone()
    }

    /// What an administrator does: the resource's definition, then the agent's objects.
    async fn install(&self) -> Result<()> {
        let directory = tempfile::tempdir()?;
        let definition = directory.path().join("definition.yaml");
        std::fs::write(&definition, gitmoor_crds::definition_yaml())?;
        let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/install/agent.yaml");
        for file in [definition, agent] {
            self.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()])
                .await?;
        }
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/sourcecontrolconfigurations.gitmoor.io",
        ])
        .await?;
        Ok(())
    }

    /// Settings for tests: operators in the agent's process, plain HTTP.
    pub fn agent_settings(&self) -> gitmoor_agent::Settings {
        let mut settings = gitmoor_agent::Settings {
            runtime: gitmoor_agent::Runtime::InProcess,
            ..gitmoor_agent::Settings::default()
        };
        settings.operator.allow_http = true;
        settings.operator.directory = self.stores.path().to_owned();
        settings
    }

    /// The same, for configurations of every scope: whoever may write one here may do anything.
    fn permissive_settings(&self) -> gitmoor_agent::Settings {
        gitmoor_agent::Settings {
            allow_cluster_scope: gitmoor_agent::ClusterScope::Always,
            ..self.agent_settings()
        }
    }

    /// Starts an agent with the rights that its installation gives it.
    ///
    /// # Errors
    /// When there is no token for its ServiceAccount.
    pub async fn start_agent(&self, settings: gitmoor_agent::Settings) -> Result<Agent> {
        let config = self.agent_config().await?;
        let cancel = self.cancelled();
        let run = gitmoor_agent::run(settings, config, Metrics::unseen(), cancel.clone());
        let task = self.spawn(async move {
            if let Err(error) = run.await {
                eprintln!("the agent ended: {error}");
            }
        });
        Ok(Agent { cancel, task })
    }

    /// The kube configuration of the agent's ServiceAccount.
    ///
    /// # Errors
    /// When there is no token for it.
    pub async fn agent_config(&self) -> Result<Config> {
        Ok(self
            .cluster
            .service_account_config(SYSTEM, "gitmoor-agent")
            .await?)
    }

    /// Runs something on the world's own runtime.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let runtime = self
            .runtime
            .as_ref()
            .expect("the runtime is there until the world ends");
        runtime.spawn(task)
    }

    /// The end of everything that this world has started.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancel.child_token()
    }

    /// Runs the real `kubectl` as an administrator.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cluster.kubectl(arguments).output().await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), text(output.stderr));
        }
        Ok(text(output.stdout))
    }

    /// Runs a command of a shell in which `kubectl` is the same.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub async fn shell(&self, command: &str) -> Result<String> {
        let kubectl = self.cluster.kubectl([""; 0]);
        let kubectl = kubectl.as_std();
        let variables = kubectl.get_envs();
        let variables = variables.filter_map(|(name, value)| Some((name, value?)));
        let function = r#"kubectl() { "$PROGRAM" kubectl "$@"; }"#;
        let output = tokio::process::Command::new("bash")
            .args(["-eu", "-c", &format!("{function}\n{command}")])
            .envs(variables)
            .env("PROGRAM", kubectl.get_program())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if !output.status.success() {
            bail!("{command}: {}", text(output.stderr));
        }
        Ok(text(output.stdout))
    }

    /// A new namespace.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let api: Api<Namespace> = Api::all(self.client());
        api.create(&PostParams::default(), &namespace).await?;
        Ok(name)
    }

    /// A new repository on the server, with a first commit of these files.
    ///
    /// # Errors
    /// When `git` fails.
    pub async fn repository(&self, name: &str, files: &[(&str, &str)]) -> Result<Repository> {
        let repository = self.git.create(name)?;
        repository.commit(files, &[], "first")?;
        Ok(repository)
    }

    /// A configuration that follows a repository of the server, with the shortest interval.
    pub fn spec(&self, repository: &str) -> SourceControlConfigurationSpec {
        let mut spec = SourceControlConfigurationSpec::new(self.git.url(repository));
        spec.interval = "5s".parse().expect("5s is a duration");
        spec
    }

    /// The configurations of a namespace.
    pub fn configurations(&self, namespace: &str) -> Api<SourceControlConfiguration> {
        Api::namespaced(self.client(), namespace)
    }

    /// Creates a configuration.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn follow(
        &self,
        namespace: &str,
        name: &str,
        spec: SourceControlConfigurationSpec,
    ) -> Result<ConfigurationKey> {
        let object = SourceControlConfiguration::new(name, spec);
        self.configurations(namespace)
            .create(&PostParams::default(), &object)
            .await?;
        Ok(ConfigurationKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Deletes a configuration and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there at the limit.
    pub async fn delete(&self, key: &ConfigurationKey) -> Result<()> {
        let api = self.configurations(&key.namespace);
        api.delete(&key.name, &kube::api::DeleteParams::default())
            .await?;
        self.eventually(&format!("{key} is deleted"), || async {
            Ok(api.get_opt(&key.name).await?.is_none())
        })
        .await
    }

    /// Asks for a sync at once, as a person may.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn request_sync(&self, key: &ConfigurationKey) -> Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        self.annotate(key, ANNOTATION_REQUESTED_AT, &now).await
    }

    /// Annotates a configuration.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn annotate(&self, key: &ConfigurationKey, name: &str, value: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {name: value}}});
        self.configurations(&key.namespace)
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// The status of a configuration.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn status(&self, key: &ConfigurationKey) -> Result<SourceControlConfigurationStatus> {
        let object = self.configurations(&key.namespace).get(&key.name).await?;
        Ok(object.status.unwrap_or_default())
    }

    /// Waits until a status is as wanted.
    ///
    /// # Errors
    /// When it is not within the limit: with the status as it is then.
    pub async fn until(
        &self,
        key: &ConfigurationKey,
        what: &str,
        wanted: impl Fn(&SourceControlConfigurationStatus) -> bool,
    ) -> Result<SourceControlConfigurationStatus> {
        let start = Instant::now();
        loop {
            let status = self.status(key).await?;
            if wanted(&status) {
                return Ok(status);
            }
            if start.elapsed() > LIMIT {
                bail!(
                    "{key}: not {what} after {LIMIT:?}: {}",
                    serde_json::to_string_pretty(&status)?
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks for a sync and waits until a commit has been gone through, with or without problems.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn synced(
        &self,
        key: &ConfigurationKey,
        commit: &str,
    ) -> Result<SourceControlConfigurationStatus> {
        self.request_sync(key).await?;
        self.until(key, &format!("synced to {commit}"), |status| {
            status.applied_revision.as_deref() == Some(commit)
                && condition(status, "Reconciling").is_none()
        })
        .await
        .context("wait for a sync")
    }

    /// Waits until something is true.
    ///
    /// # Errors
    /// When it is not within the limit, or when asking fails.
    pub async fn eventually<F>(&self, what: &str, mut ask: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = Result<bool>>,
    {
        let start = Instant::now();
        while !ask().await? {
            if start.elapsed() > LIMIT {
                bail!("not within {LIMIT:?}: {what}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Any objects, by `group/version`, kind and plural name.
    pub fn objects(
        &self,
        api_version: &str,
        kind: &str,
        plural: &str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        Api::namespaced_with(self.client(), namespace, &resource)
    }

    /// The data of a ConfigMap; nothing when there is none.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>> {
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(self.client(), namespace);
        Ok(api
            .get_opt(name)
            .await?
            .map(|map| map.data.unwrap_or_default()))
    }

    /// The names of the ConfigMaps of a namespace that some configuration has applied.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn applied_config_maps(&self, namespace: &str) -> Result<Vec<String>> {
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(self.client(), namespace);
        let parameters = kube::api::ListParams::default().labels("gitmoor.io/configuration");
        let list = api.list(&parameters).await?;
        Ok(list.into_iter().map(|map| map.name_any()).collect())
    }

    /// A place in the audit log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        Ok(self.cluster.audit().mark()?)
    }

    /// What the operator of a namespace has asked of the API server since, watches and its own
    /// status, events and inventory left out: requests about the objects of the repository.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn requests_about_objects(
        &self,
        namespace: &str,
        mark: Mark,
    ) -> Result<Vec<Request>> {
        let all = self.requests(namespace, mark).await?;
        Ok(all
            .into_iter()
            .filter(|request| {
                request.verb != "watch"
                    && request.group != "gitmoor.io"
                    && request.group != "events.k8s.io"
                    && !request.name.starts_with("gitmoor-inventory.")
                    // The audit log has no name for what is created: the inventory, here.
                    && !(request.verb == "create" && request.resource == "configmaps")
                    && !(request.verb == "list" && request.resource == "configmaps")
                    && !request.resource.is_empty()
            })
            .collect())
    }

    /// What the operator of a namespace has asked of the API server since.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn requests(&self, namespace: &str, mark: Mark) -> Result<Vec<Request>> {
        let user = format!("system:serviceaccount:{namespace}:gitmoor-operator");
        let all = self.cluster.audit().since(mark).await?;
        Ok(all
            .into_iter()
            .filter(|request| request.user == user)
            .collect())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A condition of a status, as its status, reason and message.
pub fn condition<'a>(
    status: &'a SourceControlConfigurationStatus,
    kind: &str,
) -> Option<(&'a str, &'a str, &'a str)> {
    let one = status.conditions.iter().find(|one| one.type_ == kind)?;
    Some((&one.status, &one.reason, &one.message))
}
