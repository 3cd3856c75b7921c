//! An HTTP server in front of `git http-backend`.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{GitError, Repository, backend, tls};

/// What it answers with.
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How a server is to be.
#[derive(Debug, Default)]
pub struct ServerOptions {
    /// Whether it speaks TLS, with a certificate of an authority of its own.
    pub tls: bool,
    /// The user name and password that it asks for.
    pub basic: Option<(String, String)>,
    /// Where its repositories are, instead of in a temporary folder.
    pub directory: Option<PathBuf>,
}

/// How a server misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every answer has this status.
    Status(u16),
    /// It accepts and never answers.
    Silence,
    /// Every request is sent to this address instead.
    Redirect(String),
    /// The true answer, a byte every 50 ms.
    Drip,
    /// The same, for the list of references as it should be and objects alone byte by byte.
    DripObjects,
}

/// A request that it has had.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path and query.
    pub target: String,
    /// Whether it carried credentials.
    pub with_credentials: bool,
}

impl Received {
    /// Whether it asked for objects, and not only for the list of references.
    pub fn is_for_objects(&self) -> bool {
        self.target.ends_with("/git-upload-pack")
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The socket or the folder.
    #[error("start a Git server")]
    Io(#[from] io::Error),
    /// The certificate.
    #[error("make a certificate: {0}")]
    Tls(String),
    /// The key of an SSH server or client.
    #[error("ssh-keygen: {0}")]
    Key(String),
}

/// A Git server on 127.0.0.1. It ends when it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    authority: Option<String>,
    cancel: CancellationToken,
    _temporary: Option<TempDir>,
}

struct Shared {
    directory: PathBuf,
    basic: Option<(String, String)>,
    fault: Mutex<Option<Fault>>,
    received: Mutex<Vec<Received>>,
    cancel: CancellationToken,
}

impl Server {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When there is no port, folder or certificate to be had.
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        let (directory, temporary) = match options.directory {
            Some(directory) => (directory, None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let (acceptor, authority) = if options.tls {
            let (acceptor, pem) =
                tls::acceptor().map_err(|error| ServerError::Tls(error.to_string()))?;
            (Some(acceptor), Some(pem))
        } else {
            (None, None)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let cancel = CancellationToken::new();
        let shared = Arc::new(Shared {
            directory,
            basic: options.basic,
            fault: Mutex::new(None),
            received: Mutex::default(),
            cancel: cancel.clone(),
        });
        let this = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = this.cancel.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { continue };
                let this = Arc::clone(&this);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => this.serve(stream).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                this.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self {
            shared,
            address,
            authority,
            cancel,
            _temporary: temporary,
        })
    }

    /// The address of a repository.
    pub fn url(&self, name: &str) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/{name}", self.address)
    }

    /// The certificate of the server's authority, as PEM.
    pub fn ca_pem(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// A new, empty repository on the server.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn create(&self, name: &str) -> Result<Repository, GitError> {
        Repository::create(&self.shared.directory.join(name))
    }

    /// Misbehave from now on, or no longer.
    pub fn fault(&self, fault: Option<Fault>) {
        *self
            .shared
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// How many requests it has had.
    pub fn requests(&self) -> usize {
        self.received().len()
    }

    /// How many requests it has had that carried credentials.
    pub fn requests_with_credentials(&self) -> usize {
        let received = self.received();
        received.iter().filter(|one| one.with_credentials).count()
    }

    /// The requests that it has had.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received().clone()
    }

    /// Ends it.
    pub async fn stop(self) {
        self.cancel.cancel();
        // The accepting task holds the port until it is scheduled.
        tokio::task::yield_now().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let this = Arc::clone(&self);
        let service = service_fn(move |request| {
            let this = Arc::clone(&this);
            async move { Ok::<_, Infallible>(this.answer(request).await) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            () = self.cancel.cancelled() => {}
            _ = connection => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let given = request.headers().get(AUTHORIZATION).cloned();
        let received = Received {
            target: request.uri().to_string(),
            with_credentials: given.is_some(),
        };
        let for_objects = received.is_for_objects();
        self.received().push(received);
        let fault = self
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let drips = match fault {
            Some(Fault::Drip) => true,
            Some(Fault::DripObjects) => for_objects,
            _ => false,
        };
        match fault {
            None | Some(Fault::Drip | Fault::DripObjects) => {}
            Some(Fault::Status(code)) => return status(code),
            Some(Fault::Silence) => {
                self.cancel.cancelled().await;
                sleep(Duration::ZERO).await;
                return status(500);
            }
            Some(Fault::Redirect(to)) => {
                let path = request
                    .uri()
                    .path_and_query()
                    .map_or("/", |path| path.as_str());
                let mut response = status(301);
                if let Ok(location) = format!("{to}{path}").parse() {
                    response.headers_mut().insert(LOCATION, location);
                }
                return response;
            }
        }
        if let Some((user, password)) = &self.basic {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if given.is_none_or(|given| given.as_bytes() != wanted.as_bytes()) {
                let mut response = status(401);
                let challenge = http::HeaderValue::from_static("Basic realm=\"git\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                return response;
            }
        }
        let user = self.basic.as_ref().map(|(user, _)| user.as_str());
        match backend::answer(&self.directory, user, request).await {
            Ok(response) if drips => response.map(drip),
            Ok(response) => response.map(Body::new),
            Err(_) => status(500),
        }
    }

    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same content, byte by byte.
fn drip(whole: Full<Bytes>) -> Body {
    let bytes = whole.into_data_stream().flat_map(|chunk| {
        let Ok(chunk) = chunk;
        stream::iter(0..chunk.len()).then(move |place| {
            let byte = chunk.slice(place..=place);
            async move {
                sleep(Duration::from_millis(50)).await;
                Ok::<_, Infallible>(Frame::data(byte))
            }
        })
    });
    Body::new(StreamBody::new(bytes))
}

fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
