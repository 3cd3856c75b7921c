//! Servers for the client to meet: HTTPS with an authority of their own, plain HTTP on loopback,
//! and answers that break off, drip or never end.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::Response,
    serve::Listener,
};
use futures::{StreamExt as _, stream};
use gitmoor_arm::{Client, ClusterId, Credential, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub(super) const CLUSTER: &str = "/subscriptions/3f1c/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07";

pub(super) fn cluster() -> ClusterId {
    CLUSTER.parse().unwrap()
}

/// What a server was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: String,
    pub(super) metadata: bool,
    pub(super) body: String,
}

/// A server that gives its answers in turn, the last one again and again.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) ca_pem: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A server over TLS, whose answers are made by number and by its own URL.
    pub(super) async fn start(
        answer: impl Fn(usize, &Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let (acceptor, ca_pem) = authority();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (router, asked) = router(answer);
        let listener = TlsListener { listener, acceptor };
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            url,
            ca_pem,
            asked,
            task,
        }
    }

    /// The same over plain HTTP, as the metadata service is reached.
    pub(super) async fn start_plain(
        answer: impl Fn(usize, &Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (router, asked) = router(answer);
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            url,
            ca_pem: String::new(),
            asked,
            task,
        }
    }

    /// A server that gives these answers in turn.
    pub(super) async fn answering(answers: impl IntoIterator<Item = Response>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        Self::start(move |_, _| {
            answers
                .lock()
                .unwrap()
                .pop_front()
                .expect("one request too many")
        })
        .await
    }
}

fn router(
    answer: impl Fn(usize, &Asked) -> Response + Clone + Send + Sync + 'static,
) -> (Router, Arc<Mutex<Vec<Asked>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = asked.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (record, answer) = (record.clone(), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let header = |name: &str| {
                parts
                    .headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let asked = Asked {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                authorization: header("authorization").unwrap_or_default(),
                metadata: header("metadata").as_deref() == Some("true"),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let number = {
                let mut record = record.lock().unwrap();
                record.push(asked.clone());
                record.len() - 1
            };
            answer(number, &asked)
        }
    });
    (router, asked)
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not trust us ends the handshake; the next one may.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A certificate for 127.0.0.1 from an authority of its own.
fn authority() -> (TlsAcceptor, String) {
    // The first one wins; the others are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca_pem)
}

/// A folder for the files that settings name.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Settings for a server, with a token file.
pub(super) fn settings(server: &Server, files: &Files) -> Settings {
    let token = files.write("token", "first-token\n");
    let mut settings = Settings::new(cluster(), Credential::TokenFile(token));
    settings.endpoint = server.url.parse().unwrap();
    settings.ca_file = Some(files.write("ca.crt", &server.ca_pem));
    settings.request_timeout = Duration::from_secs(10);
    settings
}

pub(super) fn client(settings: &Settings) -> Client {
    Client::new(settings).unwrap()
}

pub(super) fn configuration(name: &str) -> Value {
    json!({
        "id": format!("{}/{name}", cluster().configurations_path()),
        "name": name,
        "properties": {"repositoryUrl": "https://git.example.net/blue/deploy.git"}
    })
}

pub(super) fn page(names: &[&str], next: Option<&str>) -> Response {
    let value: Vec<_> = names.iter().map(|name| configuration(name)).collect();
    json_answer(200, &json!({"value": value, "nextLink": next}))
}

pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    text_answer(status, &body.to_string())
}

pub(super) fn text_answer(status: u16, body: &str) -> Response {
    Response::builder()
        .status(status)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

pub(super) fn with_header(mut answer: Response, name: &'static str, value: &str) -> Response {
    answer.headers_mut().insert(name, value.parse().unwrap());
    answer
}

/// The beginning of an answer whose connection then breaks.
pub(super) fn broken_off() -> Response {
    let chunks = [
        Ok(Bytes::from_static(b"{\"value\":[")),
        Err(io::Error::other("broken")),
    ];
    Response::new(Body::from_stream(stream::iter(chunks)))
}

/// A byte now and then, for ever.
pub(super) fn dripping() -> Response {
    let drops = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
    });
    Response::new(Body::from_stream(drops))
}

/// Blanks without end, as fast as they are taken.
pub(super) fn endless() -> Response {
    let blanks = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b' '; 256 * 1024])));
    Response::new(Body::from_stream(blanks.boxed()))
}
