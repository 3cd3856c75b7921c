//! An operator without an agent, for one namespace, which reaches the API server and the Git server
//! through relays, and which can die at any moment.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use gitmoor_cluster::{Mark, Request};
use gitmoor_git::Repository;
use gitmoor_operator::metrics::Metrics;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Config, api::PostParams, core::ObjectMeta};
use tempfile::TempDir;
use tokio::{
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
    config: Config,
    directory: TempDir,
    running: Option<(JoinHandle<()>, CancellationToken)>,
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
        Ok(Self {
            world,
            key,
            repository,
            api,
            git,
            config,
            directory: tempfile::tempdir()?,
            running: None,
        })
    }

    /// Starts the operator, with what its last life has left on the disk.
    pub fn start(&mut self) {
        let mut settings = gitmoor_operator::Settings {
            namespace: Some(self.key.namespace.clone()),
            ..gitmoor_operator::Settings::default()
        };
        settings.engine.allow_http = true;
        settings.engine.directory = self.directory.path().to_owned();
        let cancel = CancellationToken::new();
        let (config, end) = (self.config.clone(), cancel.clone());
        let task = tokio::spawn(async move {
            if let Err(error) =
                gitmoor_operator::run(settings, config, Metrics::unseen(), end).await
            {
                eprintln!("the operator ended: {error}");
            }
        });
        self.running = Some((task, cancel));
    }

    /// Ends the operator where it is; nothing of it is finished.
    pub async fn die(&mut self) {
        if let Some((task, _)) = self.running.take() {
            task.abort();
            // That it was ended is what was asked for.
            let _ = task.await;
        }
    }

    /// Lets the operator end in good order.
    ///
    /// # Errors
    /// When it did not.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some((task, cancel)) = self.running.take() {
            cancel.cancel();
            task.await?;
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
        self.start();
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

    async fn requests(&self, mark: Mark) -> Result<Vec<Request>> {
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
        fresh.start();
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
