//! The page: what people see of the portal in a browser. It is made on the server, shows and allows
//! exactly what the ARM API would, and writes by the same functions.
//!
//! Words: a *visitor* is a person who is signed in, by a *session*; a *frame* is what is around every
//! page.

mod assets;
mod board;
mod cluster;
mod clusters;
mod commands;
mod configuration;
mod configurations;
mod confirm;
mod events;
mod form;
mod frame;
mod git_host;
mod list;
mod open_id;
mod overview;
mod route;
mod session;
mod sign_in;
mod state;
mod text;
mod write;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::Response,
    routing::{any, get},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::form_urlencoded;

use crate::{
    GitHost, Limits, Settings, Store,
    api::{
        Site,
        bodies::{Bodies, Sent},
        caller::authorise,
        caught,
        refusal::Refusal,
        route::Route as ApiRoute,
        throttle::{Kind, Throttle},
    },
    identity::Provider,
};
use frame::Frame;
use route::Route;
use session::Visitor;

/// Requests at once of those who are not signed in: they must not keep out those who are.
const OPEN_REQUESTS: usize = 64;

/// What every page needs.
struct Pages {
    store: Store,
    limits: Limits,
    site: Site,
    throttle: Arc<Throttle>,
    requests: Semaphore,
    open_requests: Semaphore,
    bodies: Bodies,
    viewers: Arc<events::Viewers>,
    provider: Option<Provider>,
    git_hosts: BTreeMap<String, GitHost>,
    boards: board::Boards,
}

/// All pages.
pub(crate) fn router(
    store: Store,
    settings: &Settings,
    site: Site,
    throttle: Arc<Throttle>,
    provider: Option<Provider>,
) -> Router {
    let pages = Arc::new(Pages {
        boards: board::Boards::new(&store),
        store,
        limits: settings.limits.clone(),
        git_hosts: settings.git_hosts.clone(),
        site,
        throttle,
        requests: Semaphore::new(settings.limits.requests.get() as usize),
        open_requests: Semaphore::new(OPEN_REQUESTS),
        bodies: Bodies::new(),
        viewers: Arc::default(),
        provider,
    });
    let mut router = Router::new();
    for path in route::PATHS {
        router = router.route(path, any(answer));
    }
    router
        .route("/assets/{name}", get(assets::show))
        .with_state(pages)
        .layer(from_fn(frame::headers))
}

/// Answers with a page where a browser asks the API for what it does not have.
pub(crate) async fn unknown(request: Request, next: Next) -> Response {
    let is_html = |value: &HeaderValue| value.as_bytes().starts_with(b"text/html");
    let asks =
        request.method() == Method::GET && request.headers().get(ACCEPT).is_some_and(is_html);
    let response = next.run(request).await;
    let missing = [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&response.status());
    if !asks || !missing || response.headers().get(CONTENT_TYPE).is_some_and(is_html) {
        return response;
    }
    frame::secured(frame::refusal(&Frame::nobody(), &Refusal::no_page()))
}

/// A request, as far as it is needed.
struct Call {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Call {
    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Where it went, as a path of this portal.
    fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl From<Parts> for Call {
    fn from(head: Parts) -> Self {
        Self {
            // What is answered to HEAD is cut off on its way.
            method: if head.method == Method::HEAD {
                Method::GET
            } else {
                head.method
            },
            uri: head.uri,
            headers: head.headers,
        }
    }
}

async fn answer(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let deadline = Instant::now() + Duration::from_secs(pages.limits.request_seconds.get().into());
    timeout_at(deadline, caught(pages.answer(request)))
        .await
        .unwrap_or_else(|_| Err(Refusal::timeout()))
        .unwrap_or_else(|refusal| frame::refusal(&Frame::nobody(), &refusal))
}

impl Pages {
    /// Where the portal is, without a slash at the end, as the API's links say it.
    fn base(&self, call: &Call) -> Result<String, Refusal> {
        self.site.base(&call.uri, &call.headers)
    }

    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let (head, mut body) = request.into_parts();
        let call = Call::from(head);
        let route = Route::parse(call.uri.path())?;
        if !route.methods().contains(&call.method.as_str()) {
            return Err(Refusal::method(&call.method, route.allow()));
        }
        if route.is_open() {
            let form = match call.method {
                Method::POST => self.bodies.of_anyone(&mut body, sign_in::MAX_FORM).await?,
                _ => Sent::default(),
            };
            let _permit = self.open_requests.acquire().await;
            return sign_in::answer(self, route, &call, &form).await;
        }
        let visitor = {
            let _permit = self.requests.acquire().await;
            session::visitor(&self.store, &call.headers).await?
        };
        let Some(visitor) = visitor else {
            // A script is not sent to a page.
            return match route {
                Route::Events => Err(Refusal::no_token()),
                _ => Ok(sign_in::send_there(&call)),
            };
        };
        self.throttle
            .take(visitor.principal.id, Kind::of(&call.method), Moment::now())
            .map_err(Refusal::throttled)?;
        let answered = self.answer_visitor(&visitor, route, &call, &mut body).await;
        Ok(answered.unwrap_or_else(|refusal| frame::refusal(&Frame::of(&visitor), &refusal)))
    }

    async fn answer_visitor(
        &self,
        visitor: &Visitor,
        route: Route,
        call: &Call,
        body: &mut Body,
    ) -> Result<Response, Refusal> {
        let posts = call.method == Method::POST;
        // Read before there is a place for it: who sends slowly keeps nobody out.
        let form = if posts {
            let limit = self.limits.body_bytes;
            self.bodies.of(visitor.principal.id, body, limit).await?
        } else {
            Sent::default()
        };
        let _permit = self.requests.acquire().await;
        match route {
            Route::Overview => overview::show(self, visitor, call).await,
            Route::Clusters => clusters::show(self, visitor, call).await,
            Route::Configurations => configurations::show(self, visitor, call).await,
            Route::Cluster(id) => {
                visitor.may(&ApiRoute::Configurations(id.clone()), &Method::GET)?;
                cluster::show(self, visitor, &id).await
            }
            Route::Configuration(id) => {
                visitor.may(&ApiRoute::Configuration(id.clone()), &Method::GET)?;
                configuration::show(self, visitor, call, &id).await
            }
            Route::Events => events::show(self, visitor, call),
            Route::Create if posts => write::create(self, visitor, call, &form).await,
            Route::Create => write::create_form(self, visitor, call).await,
            Route::Edit(id) if posts => write::edit(self, visitor, call, &id, &form).await,
            Route::Edit(id) => write::edit_form(self, visitor, &id).await,
            Route::Press(id, button) => write::press(self, visitor, call, &id, button, &form).await,
            Route::Confirm(id) if posts => confirm::confirm(self, visitor, call, &id, &form).await,
            Route::Confirm(id) => confirm::form(self, visitor, &id).await,
            Route::Delete(id) if posts => write::delete(self, visitor, call, &id, &form).await,
            Route::Delete(id) => write::delete_form(self, visitor, &id).await,
            Route::SignOut => sign_in::sign_out(self, visitor, call, &form).await,
            Route::SignIn | Route::Link | Route::SignInWith | Route::Callback => {
                unreachable!("they are open")
            }
        }
    }
}

impl Visitor {
    /// Whether the API would let them do this.
    fn may(&self, route: &ApiRoute, method: &Method) -> Result<(), Refusal> {
        authorise(&self.principal, route, method)
    }

    /// Whether there is anything that they may change.
    fn may_write_somewhere(&self) -> bool {
        let assignments = &self.principal.assignments;
        assignments.iter().any(|one| one.role.writes())
    }
}
