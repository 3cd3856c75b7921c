//! What is answered. Each request goes the same way: who calls, what for, may they, and only then
//! its body; the whole of it within a time limit and a number of requests at once.

mod arm;
pub(crate) mod bodies;
pub(crate) mod caller;
mod clusters;
mod condition;
mod data_plane;
mod enrolment;
mod filter;
mod flux;
mod flux_status;
mod headers;
mod login;
mod metadata;
mod openapi;
mod providers;
pub(crate) mod refusal;
mod roles;
pub(crate) mod route;
mod shares;
mod subscriptions;
pub(crate) mod throttle;
mod tracked;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{Request, State},
    middleware::from_fn,
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures::{FutureExt as _, StreamExt as _};
use gitmoor_arm::ListPage;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri, header::HOST, request::Parts, uri::Authority,
};
use serde_json::Value;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

use crate::{Limits, Store, identity::Principal};
use bodies::{Bodies, Sent};
use caller::{authenticate, authorise};
use refusal::Refusal;
use route::{Public, Route};
use shares::Shares;
use throttle::{Kind, Throttle};

/// The query parameter that says where a page begins: the name before it.
const SKIP_TOKEN: &str = "$skipToken";

const API_VERSION: &str = "api-version";

/// What may follow the date of an api-version of ARM itself.
const STAGES: [&str; 5] = ["preview", "privatepreview", "alpha", "beta", "rc"];

/// Requests at once of callers without a token: they must not keep out those who have one.
const OPEN_REQUESTS: usize = 32;

/// How many callers of one principal may wait for news at once; who is one more does not wait.
const WAITS: usize = 8;

/// Of a body that was not asked for, so much is read, and for so long.
const LEFT_OVER_BYTES: usize = 64 * 1024;
const LEFT_OVER_TIME: Duration = Duration::from_secs(5);

/// What every request needs.
struct Api {
    store: Store,
    limits: Limits,
    site: Site,
    throttle: Arc<Throttle>,
    requests: Semaphore,
    open_requests: Semaphore,
    bodies: Bodies,
    waits: Shares,
}

/// What the portal is to those who call it.
#[derive(Clone)]
pub(crate) struct Site {
    /// Where callers are known to reach it.
    pub(crate) addresses: Vec<Url>,
    /// Where links lead, when the settings say so.
    pub(crate) url: Option<Url>,
    /// Ends those who wait for something when the portal ends.
    pub(crate) cancel: CancellationToken,
}

impl Site {
    /// Where the portal is, without a slash at the end: where the settings or else a request say.
    pub(crate) fn base(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, Refusal> {
        if let Some(url) = &self.url {
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        // HTTP/2 has the authority in the URI, HTTP/1 in a header.
        let authority = uri.authority().cloned().or_else(|| {
            let host = headers.get(HOST)?;
            Authority::try_from(host.as_bytes()).ok()
        });
        let authority = authority.ok_or_else(Refusal::no_host)?;
        Ok(format!("https://{authority}"))
    }
}

/// All that the portal answers.
pub(crate) fn router(store: Store, limits: &Limits, site: Site, throttle: Arc<Throttle>) -> Router {
    let api = Api {
        store,
        limits: limits.clone(),
        site,
        throttle,
        requests: Semaphore::new(limits.requests.get() as usize),
        open_requests: Semaphore::new(OPEN_REQUESTS),
        bodies: Bodies::new(),
        waits: Shares::new(WAITS),
    };
    Router::new()
        .fallback(answer)
        .with_state(Arc::new(api))
        .layer(from_fn(headers::add))
        // For load balancers: that it answers, and nothing else.
        .route("/healthz", get(|| async {}))
}

/// A request, as far as it is needed.
struct Call {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Call {
    /// A parameter of the query; its name is matched without regard to case, as ARM does.
    fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into_owned())
    }

    /// The api-version, which must be one of those of the resource.
    fn version_of(
        &self,
        known: &[&'static str],
        resource_type: &str,
    ) -> Result<&'static str, Refusal> {
        let version = self
            .parameter(API_VERSION)
            .ok_or_else(Refusal::no_version)?;
        known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(&version))
            .copied()
            .ok_or_else(|| Refusal::version(&version, resource_type, known))
    }

    /// The api-version of what ARM itself answers: any, since little of it has changed.
    fn any_version(&self) -> Result<(), Refusal> {
        let version = self.parameter(API_VERSION);
        let version = version.ok_or_else(Refusal::no_version)?;
        let (date, stage) = version.split_at_checked(10).unwrap_or((&version, ""));
        let is_date = date.len() == 10
            && date.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let known = |stage: &str| STAGES.iter().any(|one| one.eq_ignore_ascii_case(stage));
        let well_formed =
            is_date && (stage.is_empty() || stage.strip_prefix('-').is_some_and(known));
        well_formed
            .then_some(())
            .ok_or_else(|| Refusal::version(&version, "Microsoft.Resources", &["2022-12-01"]))
    }

    /// The name that a page begins after; empty on the first one.
    fn skip_token(&self) -> Result<String, Refusal> {
        let token = self.parameter(SKIP_TOKEN).unwrap_or_default();
        // No name holds any, and PostgreSQL takes no zero.
        if token.contains(char::is_control) {
            return Err(Refusal::skip_token());
        }
        Ok(token)
    }

    /// Where the portal is, without a slash at the end.
    fn base(&self, api: &Api) -> Result<String, Refusal> {
        // Without it a page cannot be answered at all: without a link it would look like the last.
        api.site.base(&self.uri, &self.headers)
    }

    /// The URL of the page that begins after `name`; `query` holds the other parameters.
    fn next_link(&self, api: &Api, query: &[(&str, &str)], name: &str) -> Result<String, Refusal> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .append_pair(SKIP_TOKEN, name)
            .finish();
        Ok(format!("{}{}?{query}", self.base(api)?, self.uri.path()))
    }
}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let answer = async {
        let waited = api.wait(&head).await?;
        // What waits for news takes no room for what comes after it.
        let work = Box::pin(api.answer(head, &mut body, waited));
        let mut response = api.in_time(work).await?;
        if waited.is_some() {
            let applied = HeaderValue::from_static("wait");
            let headers = response.headers_mut();
            headers.insert(data_plane::PREFERENCE_APPLIED, applied);
        }
        Ok(response)
    };
    let response = caught(Box::pin(answer)).await;
    let response = response.unwrap_or_else(Refusal::into_response);
    if !body.is_end_stream() {
        tokio::spawn(timeout(LEFT_OVER_TIME, pass_over(body)));
    }
    response
}

/// What becomes of `work`, also when it panics: that is our fault, and the caller is told so.
pub(crate) async fn caught<T>(
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Refusal::fault()))
}

/// Reads on what was answered without, so that the connection can be used again: a caller that sends
/// its body after the head would otherwise find it closed.
async fn pass_over(body: Body) {
    let mut parts = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(part)) = parts.next().await {
        bytes += part.len();
        if bytes > LEFT_OVER_BYTES {
            return;
        }
    }
}

impl Api {
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let limit = Duration::from_secs(self.limits.request_seconds.get().into());
        timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Refusal::timeout()))
    }

    /// Lets a caller wait who asks for that and may: before the time begins that its request may
    /// take, and without a place among those at once. How many calls it had left, if it did.
    async fn wait(&self, head: &Parts) -> Result<Option<u32>, Refusal> {
        let Some(wait) = data_plane::wait(&head.headers) else {
            return Ok(None);
        };
        let Ok(Route::Desired(cluster)) = Route::parse(head.uri.path()) else {
            return Ok(None);
        };
        let known = async {
            let caller = authenticate(&self.store, &head.headers).await?;
            authorise(&caller, &Route::Desired(cluster.clone()), &head.method)?;
            Ok(caller)
        };
        let caller = self.in_time(known).await?;
        let Some(_place) = self.waits.try_take(caller.id) else {
            return Ok(None);
        };
        // Who calls too often is not told so after a wait.
        let Ok(left) = self.take(&caller, &head.method) else {
            return Ok(None);
        };
        let changed = data_plane::changed(self, &head.headers, &cluster, wait);
        tokio::select! {
            changed = changed => changed?,
            () = self.site.cancel.cancelled() => {}
        }
        Ok(Some(left))
    }

    /// Takes one call of those that the caller has left: how many are, or how long to wait.
    fn take(&self, caller: &Principal, method: &Method) -> Result<u32, Duration> {
        let now = Moment::now();
        self.throttle.take(caller.id, Kind::of(method), now)
    }

    /// Answers a call, which was taken already where it waited.
    async fn answer(
        &self,
        head: Parts,
        body: &mut Body,
        waited: Option<u32>,
    ) -> Result<Response, Refusal> {
        let tenant = self.store.tenant().to_string();
        if let Some(open) = Public::parse(head.uri.path(), &tenant) {
            return self.answer_anyone(open, head.into(), body).await;
        }
        let caller = authenticate(&self.store, &head.headers).await?;
        let kind = Kind::of(&head.method);
        let left = waited.map_or_else(|| self.take(&caller, &head.method), Ok);
        let answered = match left {
            Ok(_) => self.answer_caller(&caller, head.into(), body).await,
            Err(wait) => Err(Refusal::throttled(wait)),
        };
        let mut response = answered.unwrap_or_else(Refusal::into_response);
        response
            .headers_mut()
            .insert(kind.header(), HeaderValue::from(left.unwrap_or(0)));
        Ok(response)
    }

    /// Answers what needs no token.
    async fn answer_anyone(
        &self,
        open: Public,
        call: Call,
        body: &mut Body,
    ) -> Result<Response, Refusal> {
        if call.method != *open.method() {
            return Err(Refusal::method(&call.method, open.method()));
        }
        let sent = match open {
            Public::Token => self.bodies.of_anyone(body, login::MAX_BODY).await?,
            Public::Enrolment => self.bodies.of_anyone(body, enrolment::MAX_BODY).await?,
            _ => Sent::default(),
        };
        let _permit = self.open_requests.acquire().await;
        match open {
            Public::Document => openapi::show(self, &call),
            Public::Metadata => metadata::endpoints(self, &call),
            Public::OpenId(directory) => metadata::open_id(self, &call, &directory),
            Public::Keys => Ok(metadata::keys(self)),
            Public::Token => login::token(self, &call, &sent).await,
            Public::Enrolment => enrolment::enrol(self, &sent).await,
        }
    }

    /// Answers a caller with a token.
    async fn answer_caller(
        &self,
        caller: &Principal,
        call: Call,
        body: &mut Body,
    ) -> Result<Response, Refusal> {
        let route = Route::parse(call.uri.path())?;
        authorise(caller, &route, &call.method)?;
        let methods = route.methods();
        if !methods.split(", ").any(|one| call.method == one) {
            return Err(Refusal::method(&call.method, methods));
        }
        let limit = match route {
            Route::Status(_) => self.limits.status_bytes,
            _ => self.limits.body_bytes,
        };
        let body = match call.method {
            Method::PUT | Method::PATCH => self.bodies.of(caller.id, body, limit).await?,
            _ => Sent::default(),
        };
        let _permit = self.requests.acquire().await;
        match (route, call.method.as_str()) {
            (Route::Subscriptions, "GET") => subscriptions::list(self, &call, caller).await,
            (Route::Subscription(scope), "GET") => subscriptions::show(self, &call, &scope),
            (Route::Tenants, "GET") => subscriptions::tenants(self, &call),
            (Route::Providers(scope), "GET") => providers::list(&call, &scope),
            (Route::Provider(scope, provider), "GET")
            | (Route::Registration(scope, provider), "POST") => {
                providers::show(&call, &scope, provider)
            }
            (Route::Operations(provider), "GET") => providers::operations(&call, provider),
            (Route::Groups(scope), "GET") => {
                subscriptions::groups(self, &call, caller, &scope).await
            }
            (Route::Group(id), "GET" | "HEAD") => subscriptions::group(self, &call, &id).await,
            (Route::Group(id), "PUT") => {
                subscriptions::put_group(self, &call, caller, &id, &body).await
            }
            (Route::Group(id), "PATCH") => {
                subscriptions::patch_group(self, &call, caller, &id, &body).await
            }
            (Route::Group(id), "DELETE") => {
                subscriptions::delete_group(self, &call, caller, &id).await
            }
            (Route::Resources(scope), "GET") => {
                clusters::resources(self, &call, caller, &scope).await
            }
            (Route::Clusters(scope), "GET") => clusters::list(self, &call, caller, &scope).await,
            (Route::Cluster(id), "GET") => clusters::show(self, &call, &id).await,
            (Route::Cluster(id), "PUT") => clusters::put(self, &call, caller, &id, &body).await,
            (Route::Cluster(id), "PATCH") => clusters::patch(self, &call, caller, &id, &body).await,
            (Route::Cluster(id), "DELETE") => clusters::delete(self, &call, caller, &id).await,
            (Route::Extensions(_), "GET") => clusters::extensions(&call),
            (Route::UnderWay(_), "GET") => clusters::under_way(&call),
            (Route::ExtensionUnderWay(_, operation), "GET") => {
                clusters::extensions(&call)?;
                Err(Refusal::no_operation(&operation))
            }
            (Route::FluxUnderWay(_, operation), "GET") => {
                flux::version(&call)?;
                Err(Refusal::no_operation(&operation))
            }
            (Route::Configurations(cluster), "GET") => arm::list(self, &call, &cluster).await,
            (Route::Configuration(id), "GET") => arm::show(self, &call, &id).await,
            (Route::Configuration(id), "PUT") => arm::put(self, &call, caller, &id, &body).await,
            (Route::Configuration(id), "DELETE") => arm::delete(self, &call, caller, &id).await,
            (Route::FluxConfigurations(cluster), "GET") => flux::list(self, &call, &cluster).await,
            (Route::FluxConfiguration(id), "GET") => flux::show(self, &call, &id).await,
            (Route::FluxConfiguration(id), "PUT") => {
                flux::put(self, &call, caller, &id, &body).await
            }
            (Route::FluxConfiguration(id), "PATCH") => {
                flux::patch(self, &call, caller, &id, &body).await
            }
            (Route::FluxConfiguration(id), "DELETE") => {
                flux::delete(self, &call, caller, &id).await
            }
            (Route::RoleAssignments(scope), "GET") => roles::list(self, &call, &scope).await,
            (Route::RoleAssignment(scope, id), "GET") => roles::show(self, &call, &scope, id).await,
            (Route::RoleAssignment(scope, id), "PUT") => {
                roles::put(self, &call, caller, (scope, id), &body).await
            }
            (Route::RoleAssignment(scope, id), "DELETE") => {
                roles::delete(self, &call, caller, &scope, id).await
            }
            (Route::RoleDefinitions(scope), "GET") => roles::definitions(&call, &scope),
            (Route::RoleDefinition(scope, id), "GET") => roles::definition(&call, &scope, id),
            (Route::Desired(cluster), "GET") => {
                data_plane::list(self, &call, caller, &cluster).await
            }
            (Route::Status(id), "PUT") => data_plane::report(self, &id, &body).await,
            (route, _) => Err(Refusal::method(&call.method, route.methods())),
        }
    }
}

impl From<Parts> for Call {
    fn from(head: Parts) -> Self {
        Self {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
        }
    }
}

/// A success with a JSON body.
fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    (status, axum::Json(body)).into_response()
}

/// A list that has no further page.
fn whole(value: Vec<Value>) -> Response {
    let page = ListPage {
        value,
        next_link: None,
    };
    json(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_as_our_fault() {
        let refused = caught::<()>(async { panic!("as a bug does") }).await;
        let (status, _) = refused.as_ref().unwrap_err().parts();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
