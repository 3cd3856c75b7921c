//! A running control plane: started, taken apart and put together again, and gone in the end.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::OnceCell, task, time::sleep};

use crate::{
    ADMIN_USER,
    access::MASTERS,
    arguments::{Layout, Ports, arguments},
    audit::{Audit, AuditError, POLICY},
    authority::{Authority, AuthorityError},
    directory::{Directory, DirectoryError, make, write_private},
    options::{Component, Controllers, Options},
    process::{Process, Usage, tail},
    program::{self, BuildError},
    readiness::Probe,
};

/// How long a component may take to end by itself when it is asked to.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// How often to look whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// How many ports to try for a component: each is taken by chance only.
const PORTS_TRIED: usize = 8;

/// Below the ports that Linux gives to outgoing connections (32768 and up), so that none of those
/// takes the port of a component that is stopped for a while; above those of known services.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Why there is no cluster, or no answer from it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum Error {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("start {component}")]
    Spawn {
        component: Component,
        source: io::Error,
    },
    #[error("{component} ended ({status}); the last lines of its log:\n{log}")]
    Ended {
        component: Component,
        status: ExitStatus,
        log: String,
    },
    #[error("{component} is not ready after {} s: {last}; the last lines of its log:\n{log}", .limit.as_secs())]
    NotReady {
        component: Component,
        limit: Duration,
        last: String,
        log: String,
    },
    #[error("{component} is not running")]
    NotRunning { component: Component },
    #[error("{component} is running already")]
    Running { component: Component },
    #[error("ask the system about {component}")]
    System {
        component: Component,
        source: io::Error,
    },
    #[error("find a free port")]
    Port(#[source] io::Error),
    #[error("get a token for the ServiceAccount {account}")]
    Token {
        account: String,
        source: Box<kube::Error>,
    },
    #[error("prepare a cluster")]
    Prepare(#[source] task::JoinError),
}

/// A running control plane. Dropping it kills its processes and removes its temporary directory;
/// both happen as well when the process that started it is killed.
///
/// It is not bound to the tokio runtime that started it.
pub struct Cluster {
    // Dropped in this order: the processes before their directory.
    processes: [Mutex<Option<Process>>; Component::ALL.len()],
    directory: Directory,
    layout: Layout,
    authority: Authority,
    program: PathBuf,
    options: Options,
    ports: Ports,
    url: String,
    kubeconfig: PathBuf,
    audit: Audit,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("url", &self.url)
            .field("directory", &self.directory.path())
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a cluster with the default options and waits until it is ready.
    ///
    /// # Errors
    /// When the program cannot be built, or a component does not become ready: the message ends
    /// with the last lines of its log.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(Options::default()).await
    }

    /// Starts a cluster and waits until it is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start); also when the directory in `options` is in use.
    pub async fn start_with(options: Options) -> Result<Self, Error> {
        // An error says only that there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let prepare = task::spawn_blocking(move || Self::prepare(options));
        let mut cluster = prepare.await.map_err(Error::Prepare)??;
        cluster.launch(Component::Etcd).await?;
        cluster.launch(Component::ApiServer).await?;
        cluster.write_kubeconfig(&cluster.kubeconfig, ADMIN_USER, &[MASTERS])?;
        if cluster.options.controllers != Controllers::None {
            let path = cluster.layout.controller_manager_kubeconfig();
            cluster.write_kubeconfig(&path, "system:kube-controller-manager", &[])?;
            cluster.launch(Component::ControllerManager).await?;
        }
        Ok(cluster)
    }

    /// The cluster of this process, with the default options: started by the first who asks, and
    /// gone when the process ends. For tests that do not mind each other.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Everything that is there before the first process.
    fn prepare(options: Options) -> Result<Self, Error> {
        let program = program::program()?;
        let directory = match &options.directory {
            Some(path) => Directory::kept(path)?,
            None => Directory::temporary(&program::cache()?)?,
        };
        let layout = Layout::new(directory.path());
        make(&layout.keys())?;
        make(&layout.logs())?;
        let authority = Authority::open(&layout.keys())?;
        write_private(&layout.audit_policy(), POLICY)?;
        Ok(Self {
            processes: Default::default(),
            authority,
            program,
            options,
            ports: Ports::default(),
            url: String::new(),
            kubeconfig: layout.kubeconfig(),
            audit: Audit::new(layout.audit_log()),
            layout,
            directory,
        })
    }

    /// Starts a component for the first time, on a port that is free.
    async fn launch(&mut self, component: Component) -> Result<(), Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            self.ports[component as usize] = free_port().map_err(Error::Port)?;
            if component == Component::ApiServer {
                self.url = format!("https://127.0.0.1:{}", self.ports[component as usize]);
            }
            match self.resume(component).await {
                // Someone else took it since.
                Err(Error::Ended { log, .. })
                    if tried < PORTS_TRIED && log.contains("address already in use") => {}
                other => return other,
            }
        }
    }

    /// Starts a component that was stopped or killed, on the same port and data, and waits until it
    /// is ready: what it needs must be running (etcd for kube-apiserver, that for the controllers).
    ///
    /// # Errors
    /// When it is running, or does not become ready.
    pub async fn resume(&self, component: Component) -> Result<(), Error> {
        {
            let mut slot = self.slot(component);
            if slot.is_some() {
                return Err(Error::Running { component });
            }
            let arguments = arguments(component, &self.layout, &self.ports, &self.options);
            let log = self.layout.log(component);
            let process = Process::spawn(
                &self.program,
                component,
                &arguments,
                &log,
                self.directory.to_remove(),
            )
            .map_err(|source| Error::Spawn { component, source })?;
            *slot = Some(process);
        }
        self.ready(component).await
    }

    /// Asks a component to end and waits until it has; one that takes longer than 20 s is killed.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn stop(&self, component: Component) -> Result<(), Error> {
        let system = |source| Error::System { component, source };
        let mut process = self
            .slot(component)
            .take()
            .ok_or(Error::NotRunning { component })?;
        process.terminate().map_err(system)?;
        let start = Instant::now();
        while process.exited().map_err(system)?.is_none() && start.elapsed() < STOP_WITHIN {
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills a component, with SIGKILL: it gets no chance to end well.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&self, component: Component) -> Result<(), Error> {
        let mut process = self
            .slot(component)
            .take()
            .ok_or(Error::NotRunning { component })?;
        process.kill();
        Ok(())
    }

    /// Waits until every component that runs is ready, each for [`Options::ready_within`] at most.
    ///
    /// # Errors
    /// When one has ended or is not ready in time.
    pub async fn wait_ready(&self) -> Result<(), Error> {
        for component in Component::ALL {
            if self.slot(component).is_some() {
                self.ready(component).await?;
            }
        }
        Ok(())
    }

    async fn ready(&self, component: Component) -> Result<(), Error> {
        let log = || tail(&self.layout.log(component));
        let limit = self.options.ready_within;
        let start = Instant::now();
        let probe = Probe::new(self, component);
        loop {
            let ready = probe.ask().await;
            // Looked at after the answer: it may have come from a stranger on the same port.
            if let Some(status) = self.ended(component)? {
                return Err(Error::Ended {
                    component,
                    status,
                    log: log(),
                });
            }
            let Err(last) = ready else { return Ok(()) };
            if start.elapsed() > limit {
                return Err(Error::NotReady {
                    component,
                    limit,
                    last,
                    log: log(),
                });
            }
            sleep(POLL).await;
        }
    }

    /// How a component has ended, if it has; it then no longer counts as running.
    fn ended(&self, component: Component) -> Result<Option<ExitStatus>, Error> {
        let mut slot = self.slot(component);
        let process = slot.as_mut().ok_or(Error::NotRunning { component })?;
        let status = process
            .exited()
            .map_err(|source| Error::System { component, source })?;
        if status.is_some() {
            *slot = None;
        }
        Ok(status)
    }

    /// What a component uses.
    ///
    /// # Errors
    /// When it is not running.
    pub fn usage(&self, component: Component) -> Result<Usage, Error> {
        let slot = self.slot(component);
        let process = slot.as_ref().ok_or(Error::NotRunning { component })?;
        process
            .usage()
            .map_err(|source| Error::System { component, source })
    }

    /// The address of the API server, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that signed the API server's, as PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// A kubeconfig of [`ADMIN_USER`].
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What the API server was asked.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Where the cluster lives: its data, keys and logs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The log of a component.
    pub fn log(&self, component: Component) -> PathBuf {
        self.layout.log(component)
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    fn slot(&self, component: Component) -> MutexGuard<'_, Option<Process>> {
        // Nothing that holds it can leave it half changed.
        self.processes[component as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that nobody listens on at this moment.
fn free_port() -> io::Result<u16> {
    let mut tried = 0;
    loop {
        tried += 1;
        // The standard library's one source of chance.
        let chance = RandomState::new().build_hasher().finish() % PORTS.len() as u64;
        let port = PORTS.start + u16::try_from(chance).unwrap_or_default();
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) if tried == 100 => return Err(error),
            Err(_) => {}
        }
    }
}
