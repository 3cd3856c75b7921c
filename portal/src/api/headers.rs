//! The headers that ARM puts on every answer.

use axum::{extract::Request, middleware::Next, response::Response};
use gitmoor_arm::Timestamp;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, EXPIRES, PRAGMA, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS},
};
use tracing::Instrument as _;
use uuid::Uuid;

use super::route::Route;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const ROUTING_ID: HeaderName = HeaderName::from_static("x-ms-routing-request-id");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const RETURN_CLIENT_ID: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");

/// What the last part of the path of a request leads to, as ARM names its regions.
const ROUTE: &str = "GITMOOR";

/// The longest id of a caller that is given back.
const MAX_ID: usize = 128;
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

/// Adds them, and the ids by which the log and the answer can be put side by side: one of the
/// request, and one of what the caller is about, which it may name itself.
pub(super) async fn add(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let correlation = given(request.headers(), &CORRELATION_ID).unwrap_or_else(|| id.clone());
    let wanted = given(request.headers(), &RETURN_CLIENT_ID)
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let client_id = given(request.headers(), &CLIENT_ID).filter(|_| wanted);
    let span = tracing::info_span!(
        "request",
        id,
        correlation,
        method = %request.method(),
        path = request.uri().path()
    );
    let versions = Route::parse(request.uri().path()).map(|route| route.versions().join(", "));
    let versions = versions.ok().filter(|versions| !versions.is_empty());
    let mut response = async {
        let response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await;
    let headers = response.headers_mut();
    headers.extend(FIXED);
    let now = Timestamp::now().to_string().replace(['-', ':'], "");
    let now = now.trim_end_matches("+0000");
    let own = [
        (ROUTING_ID, Some(format!("{ROUTE}:{now}Z:{id}"))),
        (REQUEST_ID, Some(id)),
        (CORRELATION_ID, Some(correlation)),
        (CLIENT_ID, client_id),
        (SUPPORTED_VERSIONS, versions),
    ];
    for (name, value) in own {
        let Some(value) = value else { continue };
        let value = HeaderValue::from_str(&value).expect("ids, dates and versions are ASCII");
        headers.insert(name, value);
    }
    response
}

/// An id that the caller gave, if it is one.
fn given(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (value.len() <= MAX_ID && !value.is_empty() && value.bytes().all(plain))
        .then(|| value.to_owned())
}
