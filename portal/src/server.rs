//! The server: a listener, TLS, and connections that are bounded in number, in time and in what
//! they may hold. What is answered is in `api`.

mod activity;

use std::{
    fs::DirBuilder,
    io,
    net::SocketAddr,
    num::NonZeroU32,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, middleware::from_fn};
use gitmoor_arm::Timestamp;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Settings, Store, StoreError,
    api::{self, Site, throttle::Throttle},
    identity::{OpenIdError, Provider},
    page,
    tls::{Certificates, TlsError},
};

/// How long a caller may take for the TLS handshake, and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection lives. Callers open another; those who read or write nothing are gone.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long requests under way may go on when the server ends.
const GRACE: Duration = Duration::from_secs(10);

/// The same when the time of a connection is over: an agent may wait for a minute.
const LONG_GRACE: Duration = Duration::from_secs(75);

/// How long an HTTP/2 connection without a request under way is kept. Each holds some 45 KiB, and to
/// end it loses no request: callers who come back later open another. For HTTP/1, where a request
/// may be on its way, it is the time that a head may take.
const IDLE: Duration = Duration::from_secs(5);

/// How long an HTTP/2 connection may be silent before it is asked for a sign of life: agents wait.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How often the signing keys are read; far less than the notice that a new one is given.
const KEYS_REREAD_AFTER: Duration = Duration::from_secs(60 * 60);

/// How often the audit log is looked through for what is too old.
const AUDIT_LOOKED_THROUGH_AFTER: Duration = Duration::from_secs(60 * 60);

/// Files that are no connections of callers: the database, the certificate, the logs.
const OTHER_FILES: u64 = 64;

/// How long to wait when the machine has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of one HTTP/2 connection; an agent has two or three requests at once.
const MAX_STREAMS: u32 = 32;
/// What a caller may have sent before it is read; hyper's own is 1 MiB.
const MAX_UNREAD: u32 = 256 * 1024;
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// Of one HTTP/1 connection: hyper's least is 8 KiB.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Why a portal does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory could not be made.
    #[error("creating the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is not to be had.
    #[error("listening on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate.
    #[error("preparing TLS")]
    Tls(#[from] TlsError),
    /// The provider at which people sign in.
    #[error(transparent)]
    OpenId(#[from] OpenIdError),
    /// The store.
    #[error("opening the store")]
    Store(#[from] StoreError),
}

/// A portal that listens and does not answer yet.
pub struct Portal {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
    certificates: Certificates,
    acceptor: TlsAcceptor,
    store: Store,
    provider: Option<Provider>,
    pub(crate) keys_reread_after: Duration,
}

impl Portal {
    /// Opens the store and the certificate and takes the address.
    ///
    /// # Errors
    /// When one of them is not to be had.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        create_directory(&settings.data_directory)?;
        let store = Store::open(&settings).await?;
        let provider = match &settings.sign_in_with {
            // Never to where a request says that it went.
            Some(_) if settings.url.is_none() => return Err(OpenIdError::NoUrl.into()),
            Some(one) => Some(Provider::new(one, settings.encryption.vault.as_ref()).await?),
            None => None,
        };
        let certificates = Certificates::load(&settings)?;
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config()?));
        let listen = |source| Error::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self {
            settings,
            listener,
            address,
            certificates,
            acceptor,
            store,
            provider,
            keys_reread_after: KEYS_REREAD_AFTER,
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The CA that callers must trust, PEM; nothing when the certificate came from files.
    pub fn ca_pem(&self) -> Option<&str> {
        self.certificates.ca_pem()
    }

    /// The store, to make principals in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers until it is cancelled, then ends the requests under way.
    pub async fn serve(self, cancel: CancellationToken) {
        let limits = &self.settings.limits;
        let reload = Duration::from_secs(self.settings.tls.reload_seconds.get().into());
        let connections = Arc::new(Semaphore::new(limits.connections.get() as usize));
        let site = Site {
            addresses: self.settings.addresses(self.address.port()),
            url: self.settings.url.clone(),
            cancel: cancel.clone(),
        };
        let throttle = Arc::new(Throttle::new(limits.throttling));
        let server = Server {
            acceptor: self.acceptor,
            router: page::router(
                self.store.clone(),
                &self.settings,
                site.clone(),
                throttle.clone(),
                self.provider,
            )
            .merge(api::router(self.store.clone(), limits, site, throttle))
            .layer(from_fn(page::unknown)),
            cancel: cancel.clone(),
        };
        let tasks = TaskTracker::new();
        tracing::info!(address = %self.address, "the portal is ready");
        offer_first_link(&self.store, &self.settings, self.address.port()).await;
        let accept = async {
            loop {
                let permit = connections
                    .clone()
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed");
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let server = server.clone();
                        tasks.spawn(async move {
                            server.serve(stream).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "accepting a connection"
                        );
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = accept => {}
            () = self.certificates.follow(reload) => {}
            () = follow_keys(&self.store, self.keys_reread_after) => {}
            () = forget_audit(&self.store, self.settings.audit_days) => {}
            () = self.store.follow_changes() => {}
            () = self.store.keep_presence() => {}
        }
        drop(self.listener);
        tasks.close();
        tasks.wait().await;
        self.store.close().await;
        tracing::info!("the portal has ended");
    }
}

/// Where nobody can sign in yet, whoever reads the log can, once.
async fn offer_first_link(store: &Store, settings: &Settings, port: u16) {
    match store.first_sign_in_link().await {
        Ok(None) => {}
        Ok(Some(code)) => {
            let link = settings.sign_in_link(port, &code);
            tracing::info!(
                link = link.expose(),
                "nobody may sign in yet: open this link within a day to become the owner of everything"
            );
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the link for the first one to sign in could not be made"
        ),
    }
}

/// Reads the keys that tokens are signed with from time to time, so that a new one is made when it
/// is due and used by every portal of the database.
async fn follow_keys(store: &Store, reread_after: Duration) {
    loop {
        sleep(reread_after).await;
        if let Err(error) = store.refresh_keys().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the keys that tokens are signed with could not be read"
            );
        }
    }
}

/// Deletes what is older than the audit log is to go back.
async fn forget_audit(store: &Store, days: NonZeroU32) {
    loop {
        let before = Timestamp(Timestamp::now().0 - time::Duration::days(days.get().into()));
        if let Err(error) = store.forget_audit(before).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old entries of the audit log could not be deleted"
            );
        }
        sleep(AUDIT_LOOKED_THROUGH_AFTER).await;
    }
}

/// Runs a portal until it is cancelled. The process may open as many files from then on as it is
/// ever allowed to.
///
/// # Errors
/// When it cannot start.
pub async fn run(settings: Settings, cancel: CancellationToken) -> Result<(), Error> {
    allow_connections(settings.limits.connections.get());
    Portal::bind(settings).await?.serve(cancel).await;
    Ok(())
}

/// Each connection is an open file.
fn allow_connections(connections: u32) {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "raising the limit of open files");
    }
    let most = getrlimit(Resource::Nofile).current;
    if most.is_some_and(|most| most < u64::from(connections) + OTHER_FILES) {
        tracing::warn!(
            "this process may open {} files, too few for {connections} connections: raise its limit (`ulimit -Hn`), or lower `limits.connections`",
            most.unwrap_or_default()
        );
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    acceptor: TlsAcceptor,
    router: Router,
    cancel: CancellationToken,
}

impl Server {
    /// Serves one connection to its end, which comes in a bounded time.
    async fn serve(self, stream: TcpStream) {
        // Answers are small and written at once.
        let _ = stream.set_nodelay(true);
        let accepted = tokio::select! {
            accepted = timeout(HEAD_TIMEOUT, self.acceptor.accept(stream)) => accepted,
            () = self.cancel.cancelled() => return,
        };
        let Ok(Ok(stream)) = accepted else {
            tracing::debug!("a TLS handshake failed");
            return;
        };
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let builder = builder(http2);
        let (service, requests) = activity::counted(self.router);
        let over = async {
            if http2 {
                let _ = timeout(CONNECTION_LIFETIME, activity::ceases(requests, IDLE)).await;
            } else {
                sleep(CONNECTION_LIFETIME).await;
            }
        };
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        tokio::select! {
            ended = connection.as_mut() => return log(ended),
            () = self.cancel.cancelled() => {}
            () = over => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = timeout(LONG_GRACE, connection.as_mut()) => {
                        return ended.map_or((), log);
                    }
                    () = self.cancel.cancelled() => {}
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        if let Ok(ended) = timeout(GRACE, connection).await {
            log(ended);
        }
    }
}

fn log(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(
            error = &*error as &dyn std::error::Error,
            "a connection broke"
        );
    }
}

/// The protocol was agreed on in the handshake: to guess it from the first bytes would have no
/// time limit.
fn builder(http2: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if http2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(MAX_UNREAD)
        .initial_connection_window_size(MAX_UNREAD)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(HEAD_TIMEOUT);
    builder
}

fn create_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::Directory {
            path: path.to_owned(),
            source,
        })
}
