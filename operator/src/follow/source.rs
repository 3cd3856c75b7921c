//! The repository of a configuration: asked in the background, so that a silent server holds up
//! nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gitmoor_crds::{SourceControlConfiguration, SourceControlConfigurationSpec};
use kube::ResourceExt as _;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::secrets::{self, Secrets};
use crate::{
    fetch::{self, Limits, Remote, Store, is_ssh},
    metrics::Part,
    names,
    pace::{Pace, jitter},
    report::Obstacle,
    snapshot::{Blobs, CommitId},
    tenant::{Chain, Tenant},
};

/// How long to wait before a repository that gave no answer is asked again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(2));

/// What has happened.
pub(super) enum Event {
    /// The credentials have changed.
    Credentials,
    /// The repository has answered, or not.
    Answer(Result<CommitId, Obstacle>),
}

/// The repository of a configuration.
pub(super) struct Source {
    store: Store,
    spec: SourceControlConfigurationSpec,
    secrets: watch::Receiver<Secrets>,
    watching: Option<AbortHandle>,
    asking: Option<JoinHandle<Result<CommitId, Obstacle>>>,
    pace: Pace,
}

impl Source {
    /// The repository of a configuration; nothing is asked yet.
    pub(super) fn new(tenant: &Tenant, object: &SourceControlConfiguration) -> Self {
        let directory = names::hash(&tenant.assignment.namespace, &object.name_any());
        let engine = &tenant.engine;
        let (secrets, watching) = secrets::watch(tenant, object);
        Self {
            store: Store::with_limits(
                engine.settings.directory.join(directory),
                Limits::default(),
                engine.metrics.git_received.clone(),
            ),
            spec: object.spec.clone(),
            secrets,
            watching,
            asking: None,
            pace: Pace::new(RETRY.0, RETRY.1),
        }
    }

    /// Where the commits are.
    pub(super) fn store(&self) -> Store {
        self.store.clone()
    }

    /// Where the content of files is.
    pub(super) fn blobs(&self) -> Arc<dyn Blobs + Send + Sync> {
        Arc::new(self.store.clone())
    }

    /// Takes in what someone changed about the configuration.
    pub(super) fn changed(&mut self, tenant: &Tenant, object: &SourceControlConfiguration) {
        let before = std::mem::replace(&mut self.spec, object.spec.clone());
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        self.pace.reset();
        if before.credentials != self.spec.credentials
            || is_ssh(&before.repository) != is_ssh(&self.spec.repository)
        {
            self.unwatch();
            (self.secrets, self.watching) = secrets::watch(tenant, object);
        }
    }

    /// The public half of the key that is used; the outer `None` when that is not known yet.
    pub(super) fn public_key(&self) -> Option<Option<String>> {
        match &*self.secrets.borrow() {
            Secrets::Unneeded => Some(None),
            Secrets::There(credentials) => Some(credentials.public_key()),
            Secrets::Awaited | Secrets::Missing | Secrets::Refused(_) => None,
        }
    }

    /// Asks the repository for its newest commit, and fetches it when it is not here; the answer
    /// comes as an event.
    pub(super) fn ask(&mut self, tenant: &Arc<Tenant>, cancel: &CancellationToken) {
        if self
            .asking
            .as_ref()
            .is_some_and(|asking| !asking.is_finished())
        {
            return;
        }
        let credentials = self.secrets.borrow_and_update().clone();
        let credentials = match credentials {
            // The Secret's arrival is an event.
            Secrets::Awaited => return,
            Secrets::Unneeded => Ok(Arc::default()),
            Secrets::There(credentials) => Ok(credentials),
            Secrets::Missing => Err((
                "CredentialsNotFound",
                format!(
                    "the Secret {} does not exist in namespace {}: create it with {}",
                    self.secret_name(),
                    tenant.assignment.home,
                    if is_ssh(&self.spec.repository) {
                        "identity, a private key, or take credentials out for a key of the cluster's own"
                    } else {
                        "username and password"
                    }
                ),
            )),
            Secrets::Refused(what) => Err(("CredentialsUnreadable", what)),
        };
        let spec = self.spec.clone();
        let store = self.store.clone();
        let tenant = Arc::clone(tenant);
        let cancel = cancel.clone();
        let span = tracing::info_span!(
            parent: None,
            "fetch",
            namespace = %tenant.assignment.namespace,
            repository = %spec.repository
        );
        self.asking = Some(tokio::spawn(async move {
            let credentials = credentials.map_err(|(reason, message)| Obstacle {
                reason: reason.to_owned(),
                message,
                stalled: false,
            })?;
            let _place = tenant
                .engine
                .fetches
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let settings = &tenant.engine.settings;
            let branch = spec.reference.branch;
            let remote = Remote::new(&spec.repository, branch, credentials, settings.allow_http)
                .map_err(|error| obstacle(&error))?;
            let started = Instant::now();
            let commit = store.fetch(remote, cancel).instrument(span).await;
            tenant.engine.metrics.took(Part::Fetch, started.elapsed());
            commit.map_err(|error| obstacle(&error))
        }));
    }

    /// The next thing that happens; safe to be dropped and called again.
    pub(super) async fn event(&mut self) -> Event {
        let asking = async {
            match &mut self.asking {
                Some(asking) => asking.await,
                None => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            answer = asking => answer,
            Ok(()) = self.secrets.changed() => return Event::Credentials,
        };
        self.asking = None;
        Event::Answer(answer.unwrap_or_else(|error| {
            Err(Obstacle {
                reason: "Internal".to_owned(),
                message: format!("read the repository: {error}"),
                stalled: false,
            })
        }))
    }

    /// How long until the repository is asked again.
    pub(super) fn next_poll(&mut self, settled: bool, interval: Duration) -> Duration {
        if settled {
            self.pace.reset();
            return jitter(interval);
        }
        self.pace.failed().min(interval.max(RETRY.1))
    }

    /// Removes what is on the disk.
    pub(super) async fn remove(&mut self) {
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        self.store.remove().await;
    }

    fn secret_name(&self) -> &str {
        let credentials = self.spec.credentials.as_ref();
        credentials.map_or("", |credentials| &credentials.secret_name)
    }

    fn unwatch(&mut self) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.unwatch();
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
    }
}

/// What a failed fetch means for the configuration.
pub(super) fn obstacle(error: &fetch::Error) -> Obstacle {
    Obstacle {
        reason: error.reason().to_owned(),
        message: Chain(error).to_string(),
        stalled: error.is_final(),
    }
}
