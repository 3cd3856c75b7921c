//! Answers that are no success, in ARM's error envelope and with ARM's codes.

mod role;

use std::{fmt, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use gitmoor_arm::{
    ClusterId, ConfigurationId, ErrorResponse, FLUX_RESOURCE_TYPE, FieldError, FluxConfigurationId,
    RESOURCE_TYPE,
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use uuid::Uuid;

use super::{roles, route::Route};
use crate::{
    StoreError,
    identity::Scope,
    store::{PutError, ReportError},
};

/// What stands for the agents' own paths where ARM names an action.
const DATA_PLANE: &str = "Microsoft.KubernetesConfiguration/dataPlane";

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: Box<ErrorResponse>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Box::new(ErrorResponse::new(code, message)),
            header: None,
        }
    }

    /// The status, and the words for a person.
    pub(crate) fn parts(&self) -> (StatusCode, &str) {
        (self.status, &self.body.error.message)
    }

    /// The header that goes with it.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        self.header.clone()
    }

    pub(crate) fn foreign_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ForeignForm",
            "This form did not come from a page of the portal, or is too old: open the page again.",
        )
    }

    pub(crate) fn no_page() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "InvalidResourceType",
            "There is no page at this address.",
        )
    }

    pub(crate) fn only_reads() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "AuthorizationFailed",
            "You may only read here. Whoever runs this portal can give you a role that writes.",
        )
    }

    pub(crate) fn part(flux: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "PartOfFluxConfiguration",
            format!("It is a part of the fluxConfiguration '{flux}': write that one."),
        )
    }

    pub(crate) fn nothing_guarded() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "NothingGuarded",
            "No deletions wait for a confirmation now: they were confirmed, a commit brought the \
             objects back, or the cluster has not said anything since the last change.",
        )
    }

    pub(crate) fn used_link() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "UsedLink",
            "This link was used before, is older than a day, or was replaced by a newer one. Another \
             one comes from `gitmoor portal link`.",
        )
    }

    pub(crate) fn no_sign_in() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NoProvider",
            "People sign in to this portal by links alone.",
        )
    }

    pub(crate) fn old_sign_in() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "OldSignIn",
            "This sign-in was not begun in this browser, or too long ago: sign in again.",
        )
    }

    pub(crate) fn sign_in_failed() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "SignInFailed",
            "The sign-in did not succeed. Try again; the portal's log says why.",
        )
    }

    pub(crate) fn sign_in_refused(why: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "SignInRefused",
            format!("The sign-in was refused: {why}"),
        )
    }

    pub(crate) fn unknown_person(issuer: &str, subject: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "UnknownPerson",
            format!(
                "{issuer} calls you {subject}, and nobody here is known by that name. Whoever runs \
                 this portal can let you in: tell them that name, which is the `--subject` of \
                 `gitmoor portal principal create`."
            ),
        )
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    pub(crate) fn no_token() -> Self {
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

    pub(super) fn bad_enrolment() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "InvalidEnrolmentToken",
            "The enrolment token is unknown, expired or used; `gitmoor portal enrol` makes another.",
        )
    }

    /// The key of an agent is checked when it comes.
    pub(super) fn unsealable() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "The secrets could not be sealed to the agent's key; enrol it again.",
        )
    }

    pub(super) fn forbidden(name: &str, id: Uuid, route: &Route, method: &Method) -> Self {
        let (action, scope) = match route {
            Route::Operations(_) | Route::Subscriptions | Route::Tenants => {
                ("Microsoft.Resources/tenants", "/".to_owned())
            }
            Route::Subscription(scope)
            | Route::Providers(scope)
            | Route::Provider(scope, _)
            | Route::Registration(scope, _) => {
                ("Microsoft.Resources/subscriptions", scope.to_string())
            }
            Route::Groups(scope) | Route::Group(scope) | Route::Resources(scope) => (
                "Microsoft.Resources/subscriptions/resourceGroups",
                scope.to_string(),
            ),
            Route::Clusters(scope) => ("Microsoft.Kubernetes/connectedClusters", scope.to_string()),
            Route::Cluster(id) => ("Microsoft.Kubernetes/connectedClusters", id.to_string()),
            Route::Extensions(id) | Route::ExtensionUnderWay(id, _) => (
                "Microsoft.KubernetesConfiguration/extensions",
                id.to_string(),
            ),
            Route::UnderWay(id) => (
                "Microsoft.KubernetesConfiguration/operations",
                id.to_string(),
            ),
            Route::Configurations(id) => (RESOURCE_TYPE, id.to_string()),
            Route::Configuration(id) => (RESOURCE_TYPE, id.to_string()),
            Route::FluxConfigurations(id) => (FLUX_RESOURCE_TYPE, id.to_string()),
            Route::FluxConfiguration(id) | Route::FluxUnderWay(id, _) => {
                (FLUX_RESOURCE_TYPE, id.to_string())
            }
            Route::RoleAssignments(scope) | Route::RoleAssignment(scope, _) => {
                (roles::ASSIGNMENT, scope.to_string())
            }
            Route::RoleDefinitions(scope) | Route::RoleDefinition(scope, _) => {
                (roles::DEFINITION, scope.to_string())
            }
            Route::Desired(id) => (DATA_PLANE, id.to_string()),
            Route::Status(id) => (DATA_PLANE, id.to_string()),
        };
        let verb = match method.as_str() {
            "GET" | "HEAD" => "read",
            "DELETE" => "delete",
            _ => "write",
        };
        Self::new(
            StatusCode::FORBIDDEN,
            "AuthorizationFailed",
            format!(
                "The client '{name}' with object id '{id}' does not have authorization to perform \
                 action '{action}/{verb}' over scope '{scope}' or \
                 the scope is invalid."
            ),
        )
    }

    pub(crate) fn no_route(why: &dyn fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "InvalidResourceType",
            format!("There is no resource at this path: {why}."),
        )
    }

    pub(crate) fn no_configuration(id: &ConfigurationId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!(
                "SourceControlConfiguration with name '{}' not found.",
                id.name()
            ),
        )
    }

    pub(super) fn no_flux(id: &FluxConfigurationId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!("FluxConfiguration with name '{}' not found.", id.name()),
        )
    }

    /// Nothing is under way, and what was is not kept.
    pub(super) fn no_operation(id: &str) -> Self {
        let id: String = id.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!("Operation with id '{id}' not found."),
        )
    }

    pub(crate) fn method(method: &Method, allowed: &'static str) -> Self {
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

    pub(super) fn no_provider(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "InvalidResourceNamespace",
            format!("The resource namespace '{name}' is invalid."),
        )
    }

    pub(super) fn no_group(id: &Scope) -> Self {
        let name = id.resource_group().unwrap_or_default();
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceGroupNotFound",
            format!("Resource group '{name}' could not be found."),
        )
    }

    pub(crate) fn no_cluster(id: &ClusterId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!(
                "The Resource '{}/{}/{}' under resource group '{}' was not found.",
                id.provider(),
                id.cluster_type(),
                id.name(),
                id.resource_group()
            ),
        )
    }

    pub(super) fn no_location() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "LocationRequired",
            "The location property is required for this definition.",
        )
    }

    pub(super) fn moved(code: &str, name: &str, location: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            code,
            format!(
                "'{name}' already exists in location '{location}', and cannot be moved to another."
            ),
        )
    }

    pub(super) fn filter(filter: &str) -> Self {
        let filter: String = filter.chars().take(200).collect();
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidFilterInQueryString",
            format!("Invalid $filter '{filter}' specified in the query string."),
        )
    }

    pub(super) fn skip_token() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidSkipToken",
            "The $skipToken is not one of a nextLink.",
        )
    }

    pub(crate) fn throttled(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let mut refusal = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            format!("The request is being throttled. Please try again after {seconds} seconds."),
        );
        refusal.header = Some((RETRY_AFTER, HeaderValue::from(seconds)));
        refusal
    }

    pub(super) fn no_version() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    }

    pub(super) fn version(version: &str, resource_type: &str, known: &[&str]) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "NoRegisteredProviderFound",
            format!(
                "No registered resource provider found for API version '{version}' for type \
                 '{resource_type}'. The supported api-versions are '{}'.",
                known.join(", ")
            ),
        )
    }

    pub(crate) fn invalid(errors: &[FieldError]) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: Box::new(ErrorResponse::invalid(errors)),
            header: None,
        }
    }

    /// The body of a request could not be read, mostly because it is too large.
    pub(crate) fn body(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request content is larger than {limit} bytes, or broke off."),
        )
    }

    pub(super) fn bad_header(name: &HeaderName) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidHeaderValue",
            format!("The value of the header '{name}' is not valid."),
        )
    }

    pub(crate) fn condition() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            "The condition of the header 'If-Match' or 'If-None-Match' is not met: read the \
             resource again.",
        )
    }

    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "The server is busy; try again later.",
        )
        .with_header(RETRY_AFTER, "5")
    }

    /// It is our fault.
    pub(crate) fn fault() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "The server encountered an error; its log says more.",
        )
    }

    pub(crate) fn timeout() -> Self {
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
            return Self::busy();
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a request failed at the store"
        );
        Self::fault()
    }
}

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Invalid(errors) => Self::invalid(&errors),
            PutError::Condition => Self::condition(),
            PutError::Part(flux) => Self::new(
                StatusCode::CONFLICT,
                "Conflict",
                format!("It is a part of the fluxConfiguration '{flux}': write that one."),
            ),
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
            response.headers_mut().insert(name, value);
        }
        response
    }
}
