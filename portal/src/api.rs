//! What is answered. Each request goes the same way: who calls, what for, may they, and only then
//! its body; the whole of it within a time limit and a number of requests at once.

mod arm;
mod caller;
mod condition;
mod data_plane;
mod headers;
mod refusal;
mod route;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    middleware::from_fn,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, Method, StatusCode, Uri, header::HOST, uri::Authority};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::form_urlencoded;

use crate::{Limits, Store};
use caller::authenticate;
use refusal::Refusal;
use route::Route;

/// The query parameter that says where a page begins: the name before it.
const SKIP_TOKEN: &str = "$skipToken";

/// What every request needs.
struct Api {
    store: Store,
    limits: Limits,
    requests: Semaphore,
}

/// All that the portal answers.
pub(crate) fn router(store: Store, limits: &Limits) -> Router {
    let api = Api {
        store,
        limits: limits.clone(),
        requests: Semaphore::new(limits.requests.get() as usize),
    };
    Router::new()
        .fallback(answer)
        .with_state(Arc::new(api))
        .layer(from_fn(headers::add))
        // For load balancers: that it answers, and nothing else.
        .route("/healthz", get(|| async {}))
}

/// A request of a caller with a token, as far as it is needed.
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

    /// The URL of the page that begins after `name`; `query` holds the other parameters.
    fn next_link(&self, query: &[(&str, &str)], name: &str) -> Result<String, Refusal> {
        // HTTP/2 has the authority in the URI, HTTP/1 in a header. Without it the page cannot be
        // answered at all: without a link it would look like the last one.
        let authority = self.uri.authority().cloned().or_else(|| {
            let host = self.headers.get(HOST)?;
            Authority::try_from(host.as_bytes()).ok()
        });
        let authority = authority.ok_or_else(Refusal::no_host)?;
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .append_pair(SKIP_TOKEN, name)
            .finish();
        Ok(format!("https://{authority}{}?{query}", self.uri.path()))
    }
}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let deadline = Instant::now() + Duration::from_secs(api.limits.request_seconds.get().into());
    timeout_at(deadline, api.answer(request))
        .await
        .unwrap_or_else(|_| Err(Refusal::timeout()))
        .unwrap_or_else(Refusal::into_response)
}

impl Api {
    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        let caller = authenticate(&self.store, &head.headers).await?;
        let _permit = self.requests.acquire().await;
        let route = Route::parse(head.uri.path())?;
        caller.authorise(&route, &head.method)?;
        let limit = match route {
            Route::Status(_) => self.limits.status_bytes,
            _ => self.limits.body_bytes,
        };
        let call = Call {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
        };
        let body = async {
            to_bytes(body, limit)
                .await
                .map_err(|_| Refusal::body(limit))
        };
        match (route, call.method.as_str()) {
            (Route::Operations, "GET") => arm::operations(&call),
            (Route::Configurations(cluster), "GET") => arm::list(self, &call, &cluster).await,
            (Route::Configuration(id), "GET") => arm::show(self, &call, &id).await,
            (Route::Configuration(id), "PUT") => {
                // Before the body: it is read in the words of that version.
                arm::version(&call)?;
                arm::put(self, &call, &caller, &id, &body.await?).await
            }
            (Route::Configuration(id), "DELETE") => arm::delete(self, &call, &caller, &id).await,
            (Route::Desired(cluster), "GET") => data_plane::list(self, &call, &cluster).await,
            (Route::Status(id), "PUT") => data_plane::report(self, &id, &body.await?).await,
            (route, _) => Err(Refusal::method(&call.method, route.methods())),
        }
    }
}

/// A success with a JSON body.
fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    (status, axum::Json(body)).into_response()
}
