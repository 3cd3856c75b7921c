//! Sessions: the cookie, and the token that a form must bring back to show that it is ours.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::Secret;
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, ORIGIN},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::{
    Store, StoreError, api::refusal::Refusal, identity::Principal, store::SESSION_LIFETIME,
};

/// With this prefix browsers take it from this host alone, over TLS, and for every path.
const NAME: &str = "__Host-gitmoor";

/// The longest that a cookie of ours is: one of a sign-in names a path as well.
pub(super) const MAX_COOKIE: usize = 1024;

/// A person who is signed in.
pub(super) struct Visitor {
    pub(super) principal: Principal,
    secret: Secret,
}

impl Visitor {
    /// What their forms must bring back: made from the cookie, which no other site can read, and
    /// telling nothing of it.
    pub(super) fn csrf(&self) -> String {
        let digest = Sha256::digest(format!("form {}", self.secret.expose()).as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(digest)
    }

    /// Whether a form that brought this token back is one of ours.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        base: &str,
        token: Option<&str>,
    ) -> Result<(), Refusal> {
        let same = |token: &str| token.as_bytes().ct_eq(self.csrf().as_bytes()).into();
        if token.is_some_and(same) && is_from_here(headers, base) {
            return Ok(());
        }
        Err(Refusal::foreign_form())
    }

    /// What their browser holds.
    pub(super) fn secret(&self) -> Secret {
        self.secret.clone()
    }

    pub(super) async fn leave(&self, store: &Store) -> Result<(), StoreError> {
        store.end_session(self.secret.expose()).await
    }
}

/// Whether a request comes from a page of ours, the portal being at `base`. Older browsers say only where
/// a form comes from, and one that says nothing at all is not one.
pub(super) fn is_from_here(headers: &HeaderMap, base: &str) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => headers.get(ORIGIN).is_some_and(|origin| {
            let base = Url::parse(base).map(|url| url.origin().ascii_serialization());
            base.is_ok_and(|base| origin == base.as_str())
        }),
    }
}

/// Who is signed in, if anyone.
pub(super) async fn visitor(
    store: &Store,
    headers: &HeaderMap,
) -> Result<Option<Visitor>, StoreError> {
    let Some(secret) = secret(headers) else {
        return Ok(None);
    };
    let principal = store.session(secret.expose()).await?;
    Ok(principal.map(|principal| Visitor { principal, secret }))
}

/// What a browser holds of a session.
pub(super) fn secret(headers: &HeaderMap) -> Option<Secret> {
    cookie(headers, NAME).map(Secret::from)
}

/// The value of a cookie.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        .filter(|value| value.len() <= MAX_COOKIE)
        .map(str::to_owned)
}

/// The header that makes a browser keep a session.
pub(super) fn keep(secret: &Secret) -> HeaderValue {
    set(NAME, secret.expose(), SESSION_LIFETIME.as_secs())
}

/// The header that makes it forget one.
pub(super) fn forget() -> HeaderValue {
    set(NAME, "", 0)
}

/// `Lax`, so that a link from elsewhere does not lead to the sign-in; nothing is changed by links.
pub(super) fn set(name: &str, value: &str, seconds: u64) -> HeaderValue {
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    let mut header = HeaderValue::from_str(&text).expect("our cookies are ASCII");
    header.set_sensitive(true);
    header
}
