//! A reverse proxy over TLS between an agent and a portal, for what networks, proxies and servers
//! in trouble do to answers.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        Method, StatusCode, header,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
    serve::Listener,
};
use futures::stream;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The largest body that passes.
const LIMIT: usize = 16 * 1024 * 1024;

/// What is done to every answer, as long as it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is this status, with no word of the portal.
    Status(u16),
    /// It is 429, with a wait in whole seconds.
    RetryAfter(Duration),
    /// The connection breaks off in the middle of the body.
    Cut,
    /// Half of the body, which looks as if it were whole.
    Truncated,
    /// This body, with status 200.
    Body(&'static str),
    /// This status, for all pages of a list but the first.
    LaterPages(u16),
    /// Nothing, ever.
    Silence,
}

/// A proxy on 127.0.0.1. It ends with the runtime that started it.
pub struct Proxy {
    shared: Arc<Shared>,
    url: String,
    ca: String,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    fault: Option<Fault>,
    lists: Vec<Instant>,
}

impl Proxy {
    /// Starts one in front of a portal, whose certificate's authority is given.
    ///
    /// # Errors
    /// When there is no port or certificate to be had.
    pub async fn start(upstream: String, upstream_ca: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(upstream_ca.as_bytes())?])
            // There the name that was asked for is a header, so that the portal's links lead here.
            .http1_only()
            .build()?;
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![own.cert.der().clone()],
                PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into()),
            )?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            upstream,
            http,
            state: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = TlsListener {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(tls)),
        };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            shared,
            url,
            ca: own.cert.pem(),
        })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// Does this to answers from now on, or nothing any more; lists are counted anew.
    pub fn fault(&self, fault: Option<Fault>) {
        *self.shared.state() = Seen {
            fault,
            lists: Vec::new(),
        };
    }

    /// When lists were begun under the present fault.
    pub fn lists(&self) -> Vec<Instant> {
        self.shared.state().lists.clone()
    }
}

/// Gives connections whose handshake is done.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the portal says.
    async fn forward(&self, request: Request) -> Result<(StatusCode, Bytes)> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().context("no path")?;
        let host = match head.uri.authority() {
            Some(authority) => authority.to_string(),
            None => head
                .headers
                .get(HOST)
                .context("no host")?
                .to_str()?
                .to_owned(),
        };
        let mut sent = self
            .http
            .request(head.method, format!("{}{target}", self.upstream))
            .header(HOST, host)
            .body(to_bytes(body, LIMIT).await?);
        for name in [AUTHORIZATION, CONTENT_TYPE] {
            if let Some(value) = head.headers.get(&name) {
                sent = sent.header(name, value);
            }
        }
        let answer = sent.send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_later_page = request.uri().query().is_some();
    let fault = {
        let mut state = shared.state();
        if request.method() == Method::GET && !is_later_page {
            state.lists.push(Instant::now());
        }
        state.fault.clone()
    };
    let status = |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
    match &fault {
        Some(Fault::Status(code)) => return status(*code).into_response(),
        Some(Fault::LaterPages(code)) if is_later_page => return status(*code).into_response(),
        Some(Fault::RetryAfter(wait)) => {
            let wait = wait.as_secs().to_string();
            return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, wait)]).into_response();
        }
        Some(Fault::Body(body)) => return (json_type(), *body).into_response(),
        Some(Fault::Silence) => pending().await,
        _ => {}
    }
    let Ok((status, body)) = shared.forward(request).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let half = body.slice(..body.len() / 2);
    let body = match fault {
        Some(Fault::Cut) => Body::from_stream(stream::iter([
            Ok(half),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ])),
        Some(Fault::Truncated) => Body::from(half),
        _ => Body::from(body),
    };
    (status, json_type(), body).into_response()
}

fn json_type() -> [(header::HeaderName, &'static str); 1] {
    [(CONTENT_TYPE, "application/json")]
}
