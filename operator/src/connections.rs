//! The connections to the API server, shared by every tenant of this process.
//!
//! kube's own client speaks HTTP/1.1, so that each open watch is a TLS connection of its own. Here
//! many clients, which differ only in the token that they send, share a few HTTP/2 connections:
//! one for requests, and one for every [`WATCHES_PER_CONNECTION`] watches. Each answer has a time
//! limit and a size limit, because kube sets neither.

mod body;
mod token;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as Hyper, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::AuthInfo,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};

use body::Bounded;
pub use token::{Token, TokenError, Tokens};

use crate::metrics::{Metrics, verb};

/// kube-apiserver allows 100 streams on a connection (`--http2-max-streams-per-connection`), and a
/// full connection makes every call on it wait.
const WATCHES_PER_CONNECTION: usize = 90;

/// How long a request may take, from its first byte to the answer's last. A write that waits for
/// admission webhooks may take 30 s by the API server's own default.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// How much an answer may hold, in bytes; watches are endless. An object is 3 MiB at most, the
/// discovery of a cluster with hundreds of CRDs some 10 MiB.
const ANSWER_LIMIT: usize = 64 << 20;

/// How often a connection is probed, so that a dead peer is noticed although nothing is sent.
const PROBE: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig cannot be used.
    #[error("prepare the connection to {url}")]
    Config {
        /// The API server.
        url: http::Uri,
        /// What is wrong.
        source: Box<kube::Error>,
    },
    /// A proxy is asked for.
    #[error(
        "the kubeconfig names a proxy for {url}, which is not supported: reach the API server directly"
    )]
    Proxy {
        /// The API server.
        url: http::Uri,
    },
}

/// Who a client is to the API server.
#[derive(Clone)]
pub enum Identity {
    /// What the kubeconfig, or the pod's ServiceAccount, says.
    Own,
    /// The bearer of tokens that are asked for when they are needed.
    Tokens(Arc<dyn Tokens>),
}

/// Every connection to one API server. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pub(crate) metrics: Arc<Metrics>,
    config: Arc<Config>,
    own: Arc<Transport>,
    /// Without the client certificate of the kubeconfig: the API server believes a certificate
    /// before it looks at a token, and a tenant would have the agent's rights.
    tenants: Arc<Transport>,
}

impl Connections {
    /// Prepares the connections; none is opened before it is needed. What goes over them is
    /// counted.
    ///
    /// # Errors
    /// When the certificates of the configuration cannot be read, or it asks for a proxy.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let url = &config.cluster_url;
        if config.proxy_url.is_some() {
            return Err(Error::Proxy { url: url.clone() });
        }
        let failed = |source: kube::Error| Error::Config {
            url: url.clone(),
            source: source.into(),
        };
        let mut anonymous = config.clone();
        anonymous.auth_info = AuthInfo::default();
        // Fails now rather than at the first request.
        config.auth_layer().map_err(failed)?;
        Ok(Self {
            own: Arc::new(Transport::new(config, &metrics).map_err(failed)?),
            tenants: Arc::new(Transport::new(&anonymous, &metrics).map_err(failed)?),
            config: Arc::new(config.clone()),
            metrics,
        })
    }

    /// A client with an identity.
    ///
    /// # Errors
    /// When the kubeconfig's way to prove an identity cannot be used.
    pub fn client(&self, identity: &Identity) -> Result<Client, Error> {
        let namespace = self.config.default_namespace.clone();
        let base = self.config.base_uri_layer();
        Ok(match identity {
            Identity::Own => {
                let transport = Arc::clone(&self.own);
                let auth = self.config.auth_layer().map_err(|source| Error::Config {
                    url: self.config.cluster_url.clone(),
                    source: source.into(),
                })?;
                let service = ServiceBuilder::new()
                    .layer(base)
                    .option_layer(auth)
                    .service(service_fn(move |request| {
                        Arc::clone(&transport).send(request)
                    }));
                Client::new(service.map_err(Into::<BoxError>::into), namespace)
            }
            Identity::Tokens(tokens) => {
                let transport = Arc::clone(&self.tenants);
                let bearer = Arc::new(token::Bearer::new(Arc::clone(tokens)));
                let service = ServiceBuilder::new().layer(base).service(service_fn(
                    move |mut request: Request<Body>| {
                        let transport = Arc::clone(&transport);
                        let bearer = Arc::clone(&bearer);
                        async move {
                            let header: HeaderValue = bearer.header().await?;
                            request.headers_mut().insert(AUTHORIZATION, header);
                            let answer = transport.send(request).await?;
                            if answer.status() == http::StatusCode::UNAUTHORIZED {
                                bearer.forget();
                            }
                            Ok::<_, BoxError>(answer)
                        }
                    },
                ));
                Client::new(service, namespace)
            }
        })
    }
}

type Pool = Hyper<HttpsConnector<HttpConnector>, Body>;

/// The connections under clients of one TLS configuration.
struct Transport {
    metrics: Arc<Metrics>,
    tls: rustls::ClientConfig,
    requests: Pool,
    watches: Mutex<Vec<(Pool, Arc<Semaphore>)>>,
}

impl Transport {
    fn new(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, kube::Error> {
        let mut tls = config.rustls_client_config()?;
        // The connector names the protocols itself.
        tls.alpn_protocols.clear();
        Ok(Self {
            metrics: Arc::clone(metrics),
            requests: pool(&tls),
            tls,
            watches: Mutex::default(),
        })
    }

    async fn send(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<Bounded<Incoming>>, BoxError> {
        let is_watch = is_watch(&request);
        let verb = verb(request.method(), is_watch);
        let answer = self.exchange(request, is_watch).await;
        let code = answer.as_ref().ok().map(Response::status);
        self.metrics.requested(verb, code);
        answer
    }

    async fn exchange(
        &self,
        request: Request<Body>,
        is_watch: bool,
    ) -> Result<Response<Bounded<Incoming>>, BoxError> {
        if is_watch {
            let (pool, permit) = self.watch_pool();
            // The answer begins at once, or the server is not there.
            let answer = timeout(REQUEST_LIMIT, pool.request(request)).await??;
            return Ok(answer.map(|body| Bounded::watch(body, permit)));
        }
        let deadline = tokio::time::Instant::now() + REQUEST_LIMIT;
        let answer = tokio::time::timeout_at(deadline, self.requests.request(request))
            .await
            .map_err(|_| body::Exceeded::Time(REQUEST_LIMIT))??;
        Ok(answer.map(|body| Bounded::answer(body, deadline, REQUEST_LIMIT, ANSWER_LIMIT)))
    }

    /// A connection that has room for one more watch, and the right to that room.
    fn watch_pool(&self) -> (Pool, OwnedSemaphorePermit) {
        let mut pools = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for (pool, room) in pools.iter() {
            if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
                return (pool.clone(), permit);
            }
        }
        let room = Arc::new(Semaphore::new(WATCHES_PER_CONNECTION));
        let permit = Arc::clone(&room)
            .try_acquire_owned()
            .expect("the semaphore is new and has room");
        let pool = pool(&self.tls);
        pools.push((pool.clone(), room));
        (pool, permit)
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| {
        query
            .split('&')
            .any(|part| part == "watch=true" || part == "watch=1")
    })
}

fn pool(tls: &rustls::ClientConfig) -> Pool {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(Duration::from_secs(10)));
    http.set_keepalive(Some(PROBE));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    Hyper::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(90))
        .http2_initial_stream_window_size(256 << 10)
        .http2_initial_connection_window_size(1 << 20)
        .http2_keep_alive_interval(PROBE)
        .http2_keep_alive_timeout(PROBE)
        .build(connector)
}
