//! The headers that ARM puts on every answer.

use axum::{extract::Request, middleware::Next, response::Response};
use gitmoor_arm::API_VERSIONS;
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, EXPIRES, PRAGMA, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS},
};
use tracing::Instrument as _;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const SUPPORTED_VERSIONS: HeaderName = HeaderName::from_static("api-supported-versions");

const FIXED: [(HeaderName, HeaderValue); 5] = [
    (
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    ),
    (EXPIRES, HeaderValue::from_static("-1")),
    (PRAGMA, HeaderValue::from_static("no-cache")),
    (
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// Adds them, and a request id by which the log and the answer can be put side by side.
pub(super) async fn add(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let span = tracing::info_span!(
        "request",
        id,
        method = %request.method(),
        path = request.uri().path()
    );
    let mut response = async {
        let response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await;
    let headers = response.headers_mut();
    headers.extend(FIXED);
    let own = [
        (REQUEST_ID, id),
        (SUPPORTED_VERSIONS, API_VERSIONS.join(", ")),
    ];
    for (name, value) in own {
        let value = HeaderValue::from_str(&value).expect("ids and versions are ASCII");
        headers.insert(name, value);
    }
    response
}
