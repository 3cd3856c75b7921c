//! An operator without an agent, for one namespace, which reaches the API server and the Git server
//! through relays, and which can die at any moment.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_cluster::{Mark, Request};
use gitmoor_git::Repository;
use gitmoor_operator::metrics::Metrics;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Config, api::PostParams, core::ObjectMeta};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ConfigurationKey, World,
    relay::Relay,
    trees::{self, Id, Object, Tree},
    world::LIMIT,
};

/// The ServiceAccount that such an operator runs as.
const ACCOUNT: &str = "operator";

/// A namespace, its configuration and repository, and their operator.
pub struct Lone<'a> {
    /// Where all this is.
    pub world: &'a World,
    /// The configuration.
    pub key: ConfigurationKey,
    /// The repository that it follows.
    pub repository: Repository,
    /// Between the operator and the API server.
    pub api: Relay,
    /// Between the operator and the Git server.
    pub git: Relay,
    /// What the operator is started with.
    pub settings: gitmoor_operator::Settings,
    /// The test that is an operator, when it shall be a process of its own.
    pub process: Option<&'static str>,
    config: Config,
    directory: TempDir,
    running: Option<Life>,
}

/// A running operator.
enum Life {
    Task(JoinHandle<()>, CancellationToken),
    Process(Child),
}

impl<'a> Lone<'a> {
    /// A namespace with a configuration that follows a new repository with this tree; its operator
    /// does not run yet.
    ///
    /// # Errors
    /// When a part of it cannot be made.
    pub async fn new(world: &'a World, prefix: &str, tree: &Tree) -> Result<Self> {
        let namespace = world.namespace(prefix).await?;
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(ACCOUNT.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(world.client(), &namespace);
        accounts.create(&PostParams::default(), &account).await?;
        let account = format!("--serviceaccount={namespace}:{ACCOUNT}");
        let binding = [
            "-n",
            &namespace,
            "create",
            "rolebinding",
            ACCOUNT,
            "--clusterrole=cluster-admin",
            &account,
        ];
        world.kubectl(&binding).await?;
        let config = world
            .cluster
            .service_account_config(&namespace, ACCOUNT)
            .await?;
        let (api, config) = Relay::before(&world.cluster, config).await?;
        let git = Relay::start(&world.git.url(""), None).await?;
        let repository = world.git.create(&namespace)?;
        tree.commit(&repository, "first")?;
        let mut spec = world.spec(&namespace);
        spec.repository = format!("{}/{namespace}", git.url());
        let key = world.follow(&namespace, "shop", spec).await?;
        let directory = tempfile::tempdir()?;
        let mut settings = gitmoor_operator::Settings {
            namespace: Some(namespace),
            ..gitmoor_operator::Settings::default()
        };
        settings.engine.allow_http = true;
        settings.engine.directory = directory.path().to_owned();
        Ok(Self {
            world,
            key,
            repository,
            api,
            git,
            settings,
            process: None,
            config,
            directory,
            running: None,
        })
    }

    /// Starts the operator, with what its last life has left on the disk.
    ///
    /// # Errors
    /// When its process does not start.
    pub fn start(&mut self) -> Result<()> {
        if let Some(test) = self.process {
            self.running = Some(Life::Process(self.start_process(test)?));
            return Ok(());
        }
        let settings = self.settings.clone();
        let cancel = CancellationToken::new();
        let (config, end) = (self.config.clone(), cancel.clone());
        let task = tokio::spawn(async move {
            if let Err(error) =
                gitmoor_operator::run(settings, config, Metrics::unseen(), end).await
            {
                eprintln!("the operator ended: {error}");
            }
        });
        self.running = Some(Life::Task(task, cancel));
        Ok(())
    }

    /// Starts this program again, as an operator: a test of that name takes these variables.
    fn start_process(&self, test: &str) -> Result<Child> {
        let kubeconfig = self.directory.path().join("kubeconfig");
        let ca = self.api.ca_pem().context("the relay speaks TLS")?;
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "relay",
            "clusters": [{"name": "relay", "cluster": {
                "server": self.api.url(),
                "certificate-authority-data": BASE64_STANDARD.encode(ca),
            }}],
            "users": [{"name": "operator", "user": self.config.auth_info}],
            "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "operator"}}],
        });
        std::fs::write(&kubeconfig, text.to_string())?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", test, "--nocapture"])
            .env("GITMOOR_TEST_OPERATOR_KUBECONFIG", kubeconfig)
            .env("GITMOOR_TEST_OPERATOR_NAMESPACE", &self.key.namespace)
            .env(
                "GITMOOR_TEST_OPERATOR_DIRECTORY",
                &self.settings.engine.directory,
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    /// Ends the operator where it is; nothing of it is finished.
    ///
    /// # Errors
    /// When its process cannot be killed.
    pub async fn die(&mut self) -> Result<()> {
        match self.running.take() {
            Some(Life::Task(task, _)) => {
                task.abort();
                // That it was ended is what was asked for.
                let _ = task.await;
            }
            Some(Life::Process(mut child)) => child.kill().await?,
            None => {}
        }
        Ok(())
    }

    /// Lets the operator end in good order; one that is a process is killed.
    ///
    /// # Errors
    /// When it did not.
    pub async fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some(Life::Task(task, cancel)) => {
                cancel.cancel();
                task.await?;
            }
            process => {
                self.running = process;
                self.die().await?;
            }
        }
        Ok(())
    }

    /// What is applied in the namespace.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn applied(&self) -> Result<BTreeMap<Id, Object>> {
        trees::applied(self.world, &self.key.namespace).await
    }

    /// Waits until the namespace has the objects of a tree and no others of the configuration.
    ///
    /// # Errors
    /// When it has not within the limit: with what it has then.
    pub async fn has(&self, tree: &Tree) -> Result<BTreeMap<Id, Object>> {
        let wanted = tree.values();
        let start = Instant::now();
        loop {
            let applied = self.applied().await?;
            let values: BTreeMap<_, _> = applied
                .iter()
                .map(|(id, object)| (id.clone(), object.value.clone()))
                .collect();
            if values == wanted {
                return Ok(applied);
            }
            if start.elapsed() > LIMIT {
                let status = self.world.status(&self.key).await?;
                bail!("not {wanted:#?} but {values:#?}: {status:#?}");
            }
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Starts the operator on what it has done already, and gives what it wrote until it had gone
    /// through a commit that changes nothing: its own status left out.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn writes_of_another_life(&mut self) -> Result<Vec<Request>> {
        // What this life has to say is said by this life.
        let commit = self.repository.head()?;
        self.world.synced(&self.key, &commit).await?;
        self.stop().await?;
        let mark = self.world.mark()?;
        self.start()?;
        // So that what the watches show has been judged as well.
        self.world
            .eventually("its objects are watched", || async {
                let requests = self.requests(mark).await?;
                Ok(requests
                    .iter()
                    .any(|one| one.verb == "watch" && one.group.is_empty()))
            })
            .await?;
        let commit = self.repository.commit(&[("NOTES", "")], &[], "nothing")?;
        self.world.synced(&self.key, &commit).await?;
        self.stop().await?;
        let mut requests = self.requests(mark).await?;
        requests.retain(|one| {
            let writes = ["create", "update", "patch", "delete"].contains(&one.verb.as_str());
            writes && one.group != "gitmoor.io"
        });
        Ok(requests)
    }

    /// What the operator has asked of the API server since.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn requests(&self, mark: Mark) -> Result<Vec<Request>> {
        let user = format!("system:serviceaccount:{}:{ACCOUNT}", self.key.namespace);
        let mut all = self.world.cluster.audit().since(mark).await?;
        all.retain(|request| request.user == user);
        Ok(all)
    }

    /// Compares the namespace with another, in which an operator has done nothing but sync the
    /// newest commit.
    ///
    /// # Errors
    /// When they differ.
    pub async fn is_as_fresh(&self, tree: &Tree) -> Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("fresh-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut fresh = Lone::new(self.world, &prefix, tree).await?;
        fresh.start()?;
        let commit = fresh.repository.head()?;
        self.world.synced(&fresh.key, &commit).await?;
        let rest = |objects: BTreeMap<Id, Object>| -> BTreeMap<_, _> {
            let objects = objects.into_iter();
            objects.map(|(id, object)| (id, object.rest)).collect()
        };
        let (here, there) = (rest(self.applied().await?), rest(fresh.applied().await?));
        fresh.stop().await.context("end the fresh operator")?;
        if here != there {
            bail!("here {here:#?}, and from nothing {there:#?}");
        }
        Ok(())
    }
}
