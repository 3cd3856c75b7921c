//! What the operators of one process share, and how each is started.

use std::sync::Arc;

use gitmoor_crds::Scope;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    EngineSettings, Settings,
    connections::{self, Connections, Identity},
    kinds::Discovery,
    metrics::Metrics,
    tenant,
};

/// How many repositories are asked or fetched at once: each is a thread, and memory.
const FETCHES: usize = 8;

/// Which configurations an operator serves, and where it lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The namespace of the configurations.
    pub namespace: String,
    /// Their scope.
    pub scope: Scope,
    /// The namespace of the operator's ServiceAccount, inventory and credentials.
    pub home: String,
}

/// Why an operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error(transparent)]
    Connections(#[from] connections::Error),
    /// The settings name no namespace.
    #[error("the settings name no namespace to serve: give --namespace")]
    NoNamespace,
}

/// What the operators of one process share: connections, settings, discovery and bounds.
pub struct Engine {
    pub(crate) settings: EngineSettings,
    pub(crate) discovery: Discovery,
    /// How many requests of syncs are under way.
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) fetches: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
    connections: Connections,
}

impl Engine {
    /// Prepares; nothing is asked of the API server yet.
    pub fn new(settings: EngineSettings, connections: Connections) -> Arc<Self> {
        Arc::new(Self {
            requests: Arc::new(Semaphore::new(settings.concurrency.max(1))),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            discovery: Discovery::default(),
            settings,
            metrics: Arc::clone(&connections.metrics),
            connections,
        })
    }

    /// Serves the configurations of an assignment until it is cancelled, with the rights of an
    /// identity and no others. Ends well: what is under way is finished, the checkpoint written.
    ///
    /// # Errors
    /// When it cannot start at all. What goes wrong later is retried and reported.
    pub async fn serve(
        self: Arc<Self>,
        assignment: Assignment,
        identity: Identity,
        cancel: CancellationToken,
    ) -> Result<(), Error> {
        let client = self.connections.client(&identity)?;
        tenant::serve(self, assignment, client, cancel).await;
        Ok(())
    }
}

/// Runs the operator of one process: what `gitmoor operator` does.
///
/// # Errors
/// As [`Engine::serve`], and when the settings name no namespace.
pub async fn run(
    settings: Settings,
    config: kube::Config,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    let namespace = settings.namespace.ok_or(Error::NoNamespace)?;
    let assignment = Assignment {
        home: settings.home.unwrap_or_else(|| namespace.clone()),
        namespace,
        scope: settings.scope,
    };
    let engine = Engine::new(settings.engine, Connections::new(&config, metrics)?);
    engine.serve(assignment, Identity::Own, cancel).await
}
