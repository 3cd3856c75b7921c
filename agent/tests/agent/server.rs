//! A data plane that misbehaves on demand, over TLS: what the portal must never do, and what other
//! servers, proxies and networks do.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};
use tokio_rustls::TlsAcceptor;

pub(crate) const CLUSTER: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/edge";

/// An answer to a list that is not the list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Status(u16),
    RetryAfter(u64),
    Truncated,
    SecondPageFails,
    Empty,
}

#[derive(Default)]
pub(crate) struct Said {
    /// By name.
    pub(crate) configurations: BTreeMap<String, Value>,
    /// The answers to the next lists.
    pub(crate) faults: VecDeque<Fault>,
    /// How many lists were asked for, and when each that did not wait was.
    pub(crate) lists: usize,
    pub(crate) listed_at: Vec<Instant>,
    /// Whether each list shows other times, another state and another version of what is the same.
    pub(crate) is_restless: bool,
    /// The version of the list, when it has one; whoever knows it is kept waiting for another.
    pub(crate) version: Option<&'static str>,
    /// How long those who waited would.
    pub(crate) waits: Vec<String>,
    /// Whether reports are refused as by a portal that is down, for how many seconds as it says, and
    /// which were, and when.
    pub(crate) refuses_reports: bool,
    pub(crate) report_after: Option<u64>,
    pub(crate) refused_reports: Vec<Value>,
    pub(crate) refused_at: Vec<Instant>,
    /// The reports, in their order.
    pub(crate) reports: Vec<(String, Value)>,
}

pub(crate) struct Server {
    said: Arc<Mutex<Said>>,
    url: String,
    directory: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(directory.path().join("ca.crt"), own.cert.pem()).unwrap();
        std::fs::write(directory.path().join("token"), "a-token").unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::from(key))
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let said = Arc::new(Mutex::new(Said::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&said));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = TowerToHyperService::new(router);
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            said,
            url,
            directory,
            task,
        }
    }

    pub(crate) fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap()
    }

    /// Sets or replaces a configuration.
    pub(crate) fn put(&self, name: &str, properties: &Value) {
        let mut said = self.said();
        let etag = format!("\"{}\"", properties.to_string().len() + said.lists);
        let configuration = json!({
            "id": format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/{name}"),
            "name": name,
            "etag": etag,
            "properties": properties,
        });
        said.configurations.insert(name.to_owned(), configuration);
    }

    pub(crate) fn settings(&self) -> gitmoor_arm::Settings {
        let path = |name: &str| -> PathBuf { self.directory.path().join(name) };
        serde_json::from_value(json!({
            "clusterId": CLUSTER,
            "dataPlane": self.url,
            "caFile": path("ca.crt"),
            "credential": {"tokenFile": path("token")},
            "pollInterval": "1s",
        }))
        .unwrap()
    }
}

async fn answer(State(said): State<Arc<Mutex<Said>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if request
        .headers()
        .get("authorization")
        .is_none_or(|value| value != "Bearer a-token")
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if request.method() == Method::PUT {
        let name = path
            .trim_end_matches("/status")
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        let body: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .unwrap();
        let report = serde_json::from_slice(&body).unwrap();
        let mut said = said.lock().unwrap();
        if said.refuses_reports {
            said.refused_reports.push(report);
            said.refused_at.push(Instant::now());
            let refused = StatusCode::SERVICE_UNAVAILABLE;
            return match said.report_after {
                Some(seconds) => (refused, [("retry-after", seconds.to_string())]).into_response(),
                None => refused.into_response(),
            };
        }
        said.reports.push((name, report));
        return StatusCode::NO_CONTENT.into_response();
    }
    assert_eq!(path, format!("/dataplane/v1{CLUSTER}/configurations"));
    let (head, _) = request.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let known = header("if-none-match");
    if known.is_some() {
        let mut said = said.lock().unwrap();
        said.lists += 1;
        said.waits.push(header("prefer").unwrap_or_default());
    }
    while known.is_some() && known.as_deref() == said.lock().unwrap().version {
        sleep(Duration::from_millis(20)).await;
    }
    let mut said = said.lock().unwrap();
    if let Some(version) = said.version {
        let value: Vec<Value> = said.configurations.values().cloned().collect();
        said.lists += usize::from(known.is_none());
        let headers = [("etag", version), ("preference-applied", "wait")];
        return (headers, json!({"value": value}).to_string()).into_response();
    }
    if head.uri.query() == Some("page=2") {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    said.lists += 1;
    said.listed_at.push(Instant::now());
    if said.is_restless {
        let number = said.lists;
        let at = format!("2026-01-02T03:04:05.{number:06}Z");
        for one in said.configurations.values_mut() {
            one["etag"] = json!(format!("\"restless-{number}\""));
            one["systemData"] = json!({"lastModifiedAt": at});
            one["properties"]["complianceStatus"] =
                json!({"complianceState": "Compliant", "lastConfigApplied": at});
        }
    }
    let value: Vec<Value> = said.configurations.values().cloned().collect();
    let whole = json!({"value": value, "nextLink": null}).to_string();
    match said.faults.pop_front() {
        None => whole.into_response(),
        Some(Fault::Status(code)) => {
            let error = json!({"error": {"code": "Broken", "message": "on demand"}}).to_string();
            (StatusCode::from_u16(code).unwrap(), error).into_response()
        }
        Some(Fault::RetryAfter(seconds)) => {
            let seconds = seconds.to_string();
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds)]).into_response()
        }
        Some(Fault::Truncated) => whole[..whole.len() / 2].to_owned().into_response(),
        Some(Fault::SecondPageFails) => {
            let next = format!("{path}?page=2");
            json!({"value": [], "nextLink": next})
                .to_string()
                .into_response()
        }
        Some(Fault::Empty) => json!({"value": []}).to_string().into_response(),
    }
}
