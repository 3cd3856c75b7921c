//! Answers that are no success, in ARM's error envelope and with ARM's codes.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use gitmoor_arm::{API_VERSIONS, ConfigurationId, ErrorResponse, FieldError, RESOURCE_TYPE};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use uuid::Uuid;

use super::route::Route;
use crate::{
    StoreError,
    store::{PutError, ReportError},
};

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Box<ErrorResponse>,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Box::new(ErrorResponse::new(code, message)),
            header: None,
        }
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        )
        .with_header(WWW_AUTHENTICATE, "Bearer")
    }

    pub(super) fn bad_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            "The access token is invalid.",
        )
        .with_header(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    pub(super) fn forbidden(name: &str, id: Uuid, route: &Route, method: &Method) -> Self {
        let (action, scope) = match route {
            Route::Operations => ("operations", "/".to_owned()),
            Route::Configurations(cluster) => ("sourceControlConfigurations", cluster.to_string()),
            Route::Configuration(id) => ("sourceControlConfigurations", id.to_string()),
            Route::Desired(cluster) => ("dataPlane", cluster.to_string()),
            Route::Status(id) => ("dataPlane", id.to_string()),
        };
        let verb = match method.as_str() {
            "GET" => "read",
            "DELETE" => "delete",
            _ => "write",
        };
        Self::new(
            StatusCode::FORBIDDEN,
            "AuthorizationFailed",
            format!(
                "The client '{name}' with object id '{id}' does not have authorization to perform \
                 action 'Microsoft.KubernetesConfiguration/{action}/{verb}' over scope '{scope}' or \
                 the scope is invalid."
            ),
        )
    }

    pub(super) fn no_route(why: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "InvalidResourceType",
            format!("There is no resource at this path: {why}."),
        )
    }

    pub(super) fn no_configuration(id: &ConfigurationId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!(
                "SourceControlConfiguration with name '{}' not found.",
                id.name()
            ),
        )
    }

    pub(super) fn method(method: &Method, allowed: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            format!("The HTTP method '{method}' is not supported at this path; try {allowed}."),
        )
        .with_header(ALLOW, allowed)
    }

    pub(super) fn no_host() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidHostHeader",
            "The 'Host' header is missing or is no host.",
        )
    }

    pub(super) fn no_version() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    }

    pub(super) fn version(version: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "NoRegisteredProviderFound",
            format!(
                "No registered resource provider found for API version '{version}' for type \
                 '{RESOURCE_TYPE}'. The supported api-versions are '{}'.",
                API_VERSIONS.join(", ")
            ),
        )
    }

    pub(super) fn invalid(errors: &[FieldError]) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: Box::new(ErrorResponse::invalid(errors)),
            header: None,
        }
    }

    /// The body of a request could not be read, mostly because it is too large.
    pub(super) fn body(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request content is larger than {limit} bytes, or broke off."),
        )
    }

    pub(super) fn header(name: &HeaderName) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidHeaderValue",
            format!("The value of the header '{name}' is not valid."),
        )
    }

    fn condition() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            "The condition of the header 'If-Match' or 'If-None-Match' is not met: read the \
             resource again.",
        )
    }

    pub(super) fn timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            "The request took too long.",
        )
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_busy() {
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "The server is busy; try again later.",
            )
            .with_header(RETRY_AFTER, "5");
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a request failed at the store"
        );
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "The server encountered an error; its log says more.",
        )
    }
}

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Invalid(errors) => Self::invalid(&errors),
            PutError::Condition => Self::condition(),
            PutError::Store(error) => error.into(),
        }
    }
}

impl Refusal {
    /// A report about `id` was not kept.
    pub(super) fn report(error: ReportError, id: &ConfigurationId) -> Self {
        match error {
            ReportError::Gone => Self::no_configuration(id),
            ReportError::Stale => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailed",
                "The configuration was changed since; 'observedEtag' is not its present etag.",
            ),
            ReportError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some((name, value)) = self.header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
