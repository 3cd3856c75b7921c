//! Where a process shows how it fares, over plain HTTP: `/metrics` in the text form of Prometheus
//! (OpenMetrics 1.0), `/healthz` and `/readyz` for the kubelet. It tells nothing but counts, times
//! and the names of configurations; keep it inside the cluster all the same.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use gitmoor_operator::metrics::Metrics;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, timeout::TimeoutLayer};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How many answers are made at once: those who ask are a few scrapers and the kubelet.
const AT_ONCE: usize = 8;

/// What the answers name as their form.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address cannot be listened on.
    #[error("listen on {address} for metrics and probes")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
}

/// Does the work of a process, and shows how it fares for as long as that takes, if an address is
/// given; a port of 0 is any that is free.
///
/// # Errors
/// When the address is in use or not this machine's, and those of the work.
pub(crate) async fn show<E: From<Error>>(
    address: Option<SocketAddr>,
    work: impl AsyncFnOnce(Arc<Metrics>) -> Result<(), E>,
) -> Result<(), E> {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let Some(address) = address else {
        return work(metrics).await;
    };
    let listener = listen(address).await?;
    let ended = CancellationToken::new();
    let served = serve(listener, registry, Arc::clone(&metrics), ended.clone());
    let work = async {
        let _ended = ended.drop_guard();
        work(metrics).await
    };
    let (result, ()) = tokio::join!(work, served);
    result
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let mut listener = TcpListener::bind(address).await;
    // A node without IPv6 has no `[::]`.
    if listener.is_err() && address.is_ipv6() && address.ip().is_unspecified() {
        listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
    }
    listener.map_err(|source| Error::Listen { address, source })
}

async fn serve(
    listener: TcpListener,
    registry: Registry,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics and probes are served");
    }
    let bounds = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |_| {
            StatusCode::SERVICE_UNAVAILABLE
        }))
        .layer(TimeoutLayer::new(ANSWER))
        .layer(GlobalConcurrencyLimitLayer::new(AT_ONCE));
    let registry = Arc::new(registry);
    let router = Router::new()
        .route("/metrics", get(async move || encoded(&registry)))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness(&metrics)))
        .layer(bounds);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "metrics and probes are served no longer");
    }
}

fn encoded(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain")],
            format!("write the metrics: {error}\n"),
        ),
    }
}

fn readiness(metrics: &Metrics) -> (StatusCode, &'static str) {
    if metrics.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not yet\n")
    }
}
