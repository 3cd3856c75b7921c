//! Signing in and out.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::Secret;
use http::{
    HeaderValue, Method, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    Call, Pages, Route,
    frame::{Frame, page},
    open_id,
    session::{self, Visitor},
    text::shown,
};
use crate::{api::refusal::Refusal, store::LinkFor};

/// The largest form that is read of someone who is not signed in.
pub(super) const MAX_FORM: usize = 4096;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    /// Where one signs in, and who asks there.
    with: Option<(String, String)>,
    /// Whether something was sent that nobody took.
    lost: bool,
}

#[derive(Template)]
#[template(path = "link.html")]
struct Link {
    frame: Frame,
    code: String,
    /// Whom it signs in; nothing when it makes the first owner.
    whose: Option<String>,
    /// Who is signed in in this browser.
    now: Option<String>,
}

/// Answers what is open to anyone.
pub(super) async fn answer(
    pages: &Pages,
    route: Route,
    call: &Call,
    body: &[u8],
) -> Result<Response, Refusal> {
    let frame = Frame::nobody();
    match route {
        Route::Link if call.method == Method::POST => redeem(pages, call, body).await,
        Route::Link => {
            let code = call.parameter("code").unwrap_or_default();
            let link = pages.store.sign_in_link(&code).await?;
            let link = link.ok_or_else(Refusal::used_link)?;
            let visitor = session::visitor(&pages.store, &call.headers).await?;
            let link = Link {
                frame,
                code,
                whose: match link {
                    LinkFor::Principal(name) => Some(shown(&name)),
                    LinkFor::FirstOne => None,
                },
                now: visitor.map(|visitor| shown(&visitor.principal.name)),
            };
            // Not used up yet: what looks at links before people do must not take it from them.
            Ok(page(StatusCode::OK, &link))
        }
        Route::SignInWith => open_id::begin(pages, call).await,
        Route::Callback => open_id::finish(pages, call).await,
        _ => {
            let with = open_id::entrance(pages, call);
            let lost = call.parameter("lost").is_some();
            Ok(page(StatusCode::OK, &SignIn { frame, with, lost }))
        }
    }
}

async fn redeem(pages: &Pages, call: &Call, body: &[u8]) -> Result<Response, Refusal> {
    if !session::is_from_here(&call.headers, &pages.base(call)?) {
        return Err(Refusal::foreign_form());
    }
    let form = read(body);
    let code = field(&form, "code").unwrap_or_default();
    let principal = pages.store.redeem_sign_in_link(code).await?;
    let principal = principal.ok_or_else(Refusal::used_link)?;
    begin(pages, call, principal, "a sign-in link", "/").await
}

/// Signs someone in, and sends them on.
pub(super) async fn begin(
    pages: &Pages,
    call: &Call,
    principal: Uuid,
    with: &str,
    then: &str,
) -> Result<Response, Refusal> {
    let until_now = session::secret(&call.headers);
    let until_now = until_now.as_ref().map(Secret::expose);
    let begun = pages.store.begin_session(principal, with, until_now);
    let secret = begun.await?.ok_or_else(Refusal::old_sign_in)?;
    tracing::info!(%principal, "someone has signed in");
    let mut response = see_other(then);
    response
        .headers_mut()
        .append(SET_COOKIE, session::keep(&secret));
    Ok(response)
}

pub(super) async fn sign_out(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    body: &[u8],
) -> Result<Response, Refusal> {
    let form = read(body);
    visitor.check(&call.headers, &pages.base(call)?, field(&form, "csrf"))?;
    visitor.leave(&pages.store).await?;
    let mut response = see_other("/sign-in");
    response.headers_mut().append(SET_COOKIE, session::forget());
    Ok(response)
}

/// Sends someone who is not signed in there.
pub(super) fn send_there(call: &Call) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if call.method != Method::GET {
        // What a form would have written is not written later, and they are told so.
        query.append_pair("lost", "yes");
    } else if call.path() != "/" {
        query.append_pair("then", call.path());
    }
    match query.finish() {
        query if query.is_empty() => see_other("/sign-in"),
        query => see_other(&format!("/sign-in?{query}")),
    }
}

/// Sends a browser to a path of ours, to be read.
pub(super) fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Reads a form.
pub(super) fn read(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// A field of a form.
pub(super) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = form.iter().filter(|(key, _)| key == name);
    found.next().map(|(_, value)| value.as_str())
}
