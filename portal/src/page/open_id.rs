//! To the OpenID provider and back. What a browser needs on its way is in a cookie that lasts for
//! some minutes; the portal keeps nothing, so any other portal of the database may see the end.

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::Secret;
use http::{
    HeaderValue, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use subtle::ConstantTimeEq as _;
use url::{Url, form_urlencoded};

use super::{Call, Pages, session, sign_in, text::shown};
use crate::{
    api::refusal::Refusal,
    identity::{Attempt, Provider, SignInError},
};

/// A cookie of its own, beside the one of a session.
const NAME: &str = "__Host-gitmoor-sign-in";

/// How long someone may take to sign in at the provider, in seconds.
const LIFETIME: u64 = 10 * 60;

/// The longest path that is gone to afterwards, escaped as it is in the cookie, beside 43 characters
/// and a dot.
const MAX_PATH: usize = 960;
const _: () = assert!(MAX_PATH + 44 <= session::MAX_COOKIE);

/// The most of a provider's words that is shown.
const MAX_WORDS: usize = 200;

/// Where one begins, and who asks there, for the page of the sign-in.
pub(super) fn entrance(pages: &Pages, call: &Call) -> Option<(String, String)> {
    let provider = pages.provider.as_ref()?;
    let then = call.parameter("then").unwrap_or_default();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("then", own_path(&then))
        .finish();
    let issuer = provider.settings().issuer.host_str().map(shown);
    Some((format!("/sign-in/with?{query}"), issuer.unwrap_or_default()))
}

pub(super) async fn begin(pages: &Pages, call: &Call) -> Result<Response, Refusal> {
    let provider = provider(pages)?;
    let attempt = Attempt::begin().map_err(|error| told(&error))?;
    let back = back(pages, call)?;
    let url = provider.entrance(&attempt, &back).await;
    let url = url.map_err(|error| failed(&error))?;
    let then = call.parameter("then").unwrap_or_default();
    let then = escaped(own_path(&then));
    let kept = format!("{}.{then}", attempt.secret().expose());
    let location = HeaderValue::from_str(url.as_str()).map_err(|error| told(&error))?;
    let cookie = session::set(NAME, &kept, LIFETIME);
    let headers = [(LOCATION, location), (SET_COOKIE, cookie)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

pub(super) async fn finish(pages: &Pages, call: &Call) -> Result<Response, Refusal> {
    let provider = provider(pages)?;
    let kept = session::cookie(&call.headers, NAME).map(Secret::from);
    let (secret, then) = kept
        .as_ref()
        .and_then(|kept| kept.expose().split_once('.'))
        .ok_or_else(Refusal::old_sign_in)?;
    let attempt = Attempt::of(secret);
    let state = call.parameter("state").unwrap_or_default();
    let same: bool = state.as_bytes().ct_eq(attempt.state().as_bytes()).into();
    if !same || !provider.is_issuer(call.parameter("iss").as_deref()) {
        return Err(Refusal::old_sign_in());
    }
    if let Some(error) = call.parameter("error") {
        let words = call.parameter("error_description").unwrap_or(error);
        let words: String = words.chars().take(MAX_WORDS).collect();
        return Err(Refusal::sign_in_refused(&words));
    }
    let code = call.parameter("code").unwrap_or_default();
    let back = back(pages, call)?;
    let person = provider.person(&attempt, &back, &code).await;
    let subject = person.map_err(|error| failed(&error))?.subject;
    let digest = provider.settings().digest(&subject);
    let issuer = provider.settings().issuer.as_str();
    let Some(principal) = pages.store.person(&digest).await? else {
        tracing::warn!(subject, "someone signed in whom no principal is for");
        return Err(Refusal::unknown_person(issuer, &subject));
    };
    let then = percent_decode_str(then).decode_utf8_lossy();
    let mut response = sign_in::begin(pages, call, principal, issuer, own_path(&then)).await?;
    // It is good for one sign-in.
    let forget = session::set(NAME, "", 0);
    response.headers_mut().append(SET_COOKIE, forget);
    Ok(response)
}

fn provider(pages: &Pages) -> Result<&Provider, Refusal> {
    pages.provider.as_ref().ok_or_else(Refusal::no_sign_in)
}

/// Where the provider sends browsers back to.
fn back(pages: &Pages, call: &Call) -> Result<String, Refusal> {
    Ok(format!("{}/sign-in/callback", pages.base(call)?))
}

/// A path of ours, whatever was asked for: never another host's, nor the sign-in itself.
fn own_path(path: &str) -> &str {
    let here = Url::parse("https://here.invalid/").expect("it is a URL");
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && escaped(path).len() <= MAX_PATH;
    let stays = path.starts_with('/')
        && !path.starts_with("/sign-")
        && here
            .join(path)
            .is_ok_and(|url| url.origin() == here.origin());
    if plain && stays && !path.contains('\\') {
        path
    } else {
        "/"
    }
}

/// A path for a cookie: three characters for each that is no letter and no digit.
fn escaped(path: &str) -> String {
    utf8_percent_encode(path, NON_ALPHANUMERIC).to_string()
}

fn failed(error: &SignInError) -> Refusal {
    told(error)
}

fn told(error: &(dyn std::error::Error + 'static)) -> Refusal {
    tracing::warn!(error, "a sign-in did not succeed");
    Refusal::sign_in_failed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_to_paths_of_the_portal_alone() {
        for path in ["/", "/clusters", "/clusters?q=a%20b", "/clusters/s/g/k/c/n"] {
            assert_eq!(own_path(path), path);
        }
        let longest = "/a-".repeat(MAX_PATH / 7);
        assert_eq!(own_path(&longest), longest);
        for path in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "clusters",
            "/clusters\r\nSet-Cookie: a=b",
            "/sign-out",
            "/sign-in/with",
            &format!("/{}", "a".repeat(MAX_PATH)),
            &"/a-".repeat(MAX_PATH / 7 + 1),
        ] {
            assert_eq!(own_path(path), "/", "{path}");
        }
    }
}
