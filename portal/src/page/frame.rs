//! What is around every page, the headers of every answer, and the page that says why there is no
//! other.

use askama::Template;
use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{Html, IntoResponse as _, Response},
};
use gitmoor_arm::ClusterId;
use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use tracing::Instrument as _;
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    assets::{ASSETS, Assets},
    session::Visitor,
    text::shown,
};
use crate::api::refusal::Refusal;

/// Nothing but our own files and forms, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const FIXED: [(HeaderName, HeaderValue); 7] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    // Not `no-referrer`: the `Origin` of a form would be `null` with it.
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What is around a page.
pub(super) struct Frame {
    pub(super) assets: &'static Assets,
    /// Whose page it is; nothing before they sign in.
    pub(super) visitor: Option<String>,
    pub(super) csrf: String,
    /// Which entry of the navigation it belongs to.
    pub(super) section: &'static str,
    /// Where it is told of changes, when it shows what may change.
    pub(super) events: Option<String>,
}

impl Frame {
    /// Before anyone signs in.
    pub(super) fn nobody() -> Self {
        Self {
            assets: &ASSETS,
            visitor: None,
            csrf: String::new(),
            section: "",
            events: None,
        }
    }

    pub(super) fn of(visitor: &Visitor) -> Self {
        Self {
            visitor: Some(shown(&visitor.principal.name)),
            csrf: visitor.csrf(),
            ..Self::nobody()
        }
    }

    /// Of a page that changes with a cluster, or with all of them.
    pub(super) fn live(mut self, cluster: Option<&ClusterId>) -> Self {
        self.events = Some(cluster.map_or_else(
            || "/events".to_owned(),
            |cluster| {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("cluster", cluster.as_str())
                    .finish();
                format!("/events?{query}")
            },
        ));
        self
    }

    pub(super) fn section(mut self, section: &'static str) -> Self {
        self.section = section;
        self
    }
}

/// Answers with a page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        // Only a `Display` of ours could fail, and none does.
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a page was not made"
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: &'a Frame,
    title: &'static str,
    message: String,
}

/// Says why there is no other page.
pub(super) fn refusal(frame: &Frame, refusal: &Refusal) -> Response {
    let (status, message) = refusal.parts();
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::PRECONDITION_FAILED => "Changed in the meantime",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        status if status.is_client_error() => "That did not work",
        _ => "Something went wrong",
    };
    let message = shown(message);
    let mut response = page(
        status,
        &Message {
            frame,
            title,
            message,
        },
    );
    response.headers_mut().extend(refusal.header());
    response
}

/// Puts the headers on every answer that has none of its own, and the log beside it.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::info_span!("page", id, %method, path);
    secured(next.run(request).instrument(span).await)
}

/// The answer with those headers.
pub(super) fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.extend(FIXED);
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
