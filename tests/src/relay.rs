//! A reverse proxy before the API server or a Git server, for what networks and servers in trouble do
//! to requests: a script says of each request what becomes of it. Watches pass as streams.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING},
    request::Parts,
};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::{Sleep, sleep},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is forwarded.
    Pass,
    /// It is forwarded after a while.
    Late(Duration),
    /// The server does not see it, and the answer is this status; 429 asks for a second's patience.
    Refused(u16),
    /// The server does not see it: its stream, or its connection, breaks off.
    Lost,
    /// The server acts on it, and the answer is lost.
    Unanswered,
    /// Every connection breaks off, this request's before the server sees it.
    Severed,
    /// It is a watch that is told at once, in its stream, that its resource version is too old.
    Expired,
    /// It is a watch whose stream ends after a while, as if it had been long enough.
    Brief(Duration),
    /// The relay goes down: this request is lost like every later one, until it is up again.
    Down,
    /// The server acts on it, and the relay goes down before the answer has passed.
    DownUnanswered,
}

/// Says what becomes of a request.
pub type Script = dyn Fn(&Parts) -> Fate + Send + Sync;

/// A relay on 127.0.0.1. It ends when it is dropped.
pub struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    certificate: Option<rcgen::Certificate>,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    script: Mutex<Arc<Script>>,
    /// Ends every connection that is open now.
    era: Mutex<CancellationToken>,
    is_down: AtomicBool,
    down: Notify,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

type Answer = Response<BoxBody<Bytes, io::Error>>;

impl Relay {
    /// A relay before a server at `https://` with this authority, which speaks TLS as well, or at
    /// `http://`; everything passes until a script says otherwise.
    ///
    /// # Errors
    /// When there is no port or certificate to be had.
    pub async fn start(upstream: &str, authority: Option<&str>) -> Result<Self> {
        // One connection for each request at a time: no watch waits for another.
        let mut http = reqwest::Client::builder().http1_only().no_proxy();
        let mut tls = None;
        if let Some(authority) = authority {
            http = http.tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes())?]);
            tls = Some(own_tls()?);
        }
        let (certificate, acceptor) = tls.unzip();
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            http: http.build()?,
            script: Mutex::new(Arc::new(|_: &Parts| Fate::Pass)),
            era: Mutex::default(),
            is_down: AtomicBool::new(false),
            down: Notify::new(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            certificate,
            task,
        })
    }

    /// A relay before an API server, and the configuration that leads through it. Who asks must say
    /// so by a token: a client certificate ends at the relay.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn before(
        cluster: &gitmoor_cluster::Cluster,
        mut config: kube::Config,
    ) -> Result<(Self, kube::Config)> {
        let relay = Self::start(cluster.url(), Some(cluster.ca_pem())).await?;
        let certificate = relay.certificate.as_ref().context("it speaks TLS")?;
        config.cluster_url = relay.url().parse()?;
        config.root_cert = Some(vec![certificate.der().to_vec()]);
        Ok((relay, config))
    }

    /// Its address.
    pub fn url(&self) -> String {
        let scheme = match self.certificate {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Its certificate, PEM; nothing when it speaks no TLS.
    pub fn ca_pem(&self) -> Option<String> {
        self.certificate.as_ref().map(rcgen::Certificate::pem)
    }

    /// Follows this script from now on.
    pub fn script(&self, script: impl Fn(&Parts) -> Fate + Send + Sync + 'static) {
        let mut current = self
            .shared
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(script);
    }

    /// Breaks every connection off; new ones are taken.
    pub fn sever(&self) {
        self.shared.sever();
    }

    /// Waits until the script has brought it down.
    pub async fn is_down(&self) {
        loop {
            let notified = self.shared.down.notified();
            if self.shared.is_down.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    /// Takes requests again.
    pub fn up(&self) {
        self.shared.is_down.store(false, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.sever();
    }
}

fn own_tls() -> Result<(rcgen::Certificate, TlsAcceptor)> {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let mut tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.cert.der().clone()],
            PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into()),
        )?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((own.cert, TlsAcceptor::from(Arc::new(tls))))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        if shared.is_down.load(Ordering::SeqCst) {
            continue;
        }
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        let era = shared.era();
        tokio::spawn(async move {
            let connection = async {
                match tls {
                    Some(tls) => {
                        // Who breaks off the handshake comes again.
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &shared).await;
                        }
                    }
                    None => serve::<TcpStream>(stream, &shared).await,
                }
            };
            tokio::select! {
                () = era.cancelled() => {}
                () = connection => {}
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    shared: &Arc<Shared>,
) {
    let service = service_fn(|request| {
        let shared = Arc::clone(shared);
        async move { shared.answer(request).await }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // An error here is a stream or connection that was broken off on purpose, or by the other side.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    fn era(&self) -> CancellationToken {
        let era = self.era.lock().unwrap_or_else(PoisonError::into_inner);
        era.clone()
    }

    fn sever(&self) {
        let mut era = self.era.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *era).cancel();
    }

    fn go_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
        self.sever();
        self.down.notify_waiters();
    }

    /// An error breaks the request's stream off.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Answer> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(lost());
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let script = {
            let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&script)
        };
        let fate = script(&head);
        let mut lasts = None;
        match fate {
            Fate::Pass | Fate::Unanswered | Fate::DownUnanswered => {}
            Fate::Late(wait) => sleep(wait).await,
            Fate::Brief(time) => lasts = Some(Box::pin(sleep(time))),
            Fate::Refused(code) => return Ok(refusal(code)),
            Fate::Expired => return Ok(expired()),
            Fate::Lost => return Err(lost()),
            Fate::Severed => {
                self.sever();
                return Err(lost());
            }
            Fate::Down => {
                self.go_down();
                return Err(lost());
            }
        }
        let answer = self.forward(head, body).await.map_err(io::Error::other)?;
        match fate {
            Fate::Unanswered | Fate::DownUnanswered => {
                // The whole of it: the server is done with the request.
                let _ = answer.into_body().collect().await;
                if fate == Fate::DownUnanswered {
                    self.go_down();
                }
                Err(lost())
            }
            _ => Ok(answer.map(|body| {
                BoxBody::new(Passing {
                    body: body.map_err(io::Error::other).boxed(),
                    lasts,
                })
            })),
        }
    }

    async fn forward(&self, head: Parts, body: Bytes) -> reqwest::Result<Response<reqwest::Body>> {
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = self
            .http
            .request(head.method, format!("{}{target}", self.upstream))
            .headers(end_to_end(head.headers))
            .body(body);
        let (mut head, body) = Response::<reqwest::Body>::from(request.send().await?).into_parts();
        head.headers = end_to_end(head.headers);
        head.version = http::Version::default();
        Ok(Response::from_parts(head, body))
    }
}

/// Headers without those that are about one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let keep_alive = HeaderName::from_static("keep-alive");
    for name in [
        HOST,
        CONNECTION,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
        keep_alive,
    ] {
        headers.remove(name);
    }
    headers
}

fn lost() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

/// What the API server says when it is in trouble, or has too much to do.
fn refusal(code: u16) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the relay's script says so", "reason": "", "code": code,
    });
    let mut answer = Response::new(whole(status.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if code == 429 {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// A watch from a resource version that the API server has compacted away.
fn expired() -> Answer {
    let event = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410,
    }});
    let mut answer = Response::new(whole(format!("{event}\n")));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

fn whole(bytes: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body that passes, for a limited time where there is one.
struct Passing {
    body: BoxBody<Bytes, io::Error>,
    lasts: Option<Pin<Box<Sleep>>>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(lasts) = &mut self.lasts
            && lasts.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}

/// Whether a request is a watch.
pub fn is_watch(uri: &Uri) -> bool {
    uri.query()
        .is_some_and(|query| query.split('&').any(|part| part == "watch=true"))
}
