//! The token endpoint: a principal proves itself, by a secret or by an assertion that the key of its
//! certificate signed, and gets a token of an hour.

use std::collections::HashSet;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::{Api, Call, refusal::Refusal};

/// The largest body that is read: an assertion with a chain of certificates has some 10 KiB.
pub(super) const MAX_BODY: usize = 64 * 1024;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whom clients ask tokens for when nobody has told them of the portal: Azure's own ARM.
pub(super) const AUDIENCES: [&str; 2] = [
    "https://management.azure.com",
    "https://management.core.windows.net",
];

/// Why there is no token, in OAuth's words.
enum Denial {
    Request(&'static str),
    Grant,
    Client,
    Scope(String),
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let (status, error, number, text) = match self {
            Self::Request(what) => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                900_144,
                format!("The request body must contain the parameter '{what}'."),
            ),
            Self::Grant => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                70_003,
                "The grant type must be 'client_credentials'.".to_owned(),
            ),
            // The same whether there is such a client or not.
            Self::Client => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                7_000_215,
                "Invalid client id, client secret or client assertion provided.".to_owned(),
            ),
            Self::Scope(scope) => (
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                70_011,
                format!("Tokens for the scope '{scope}' are not given here."),
            ),
        };
        let body = json!({
            "error": error,
            "error_description": format!("AADSTS{number}: {text}"),
            "error_codes": [number],
        });
        (status, Json(body)).into_response()
    }
}

pub(super) async fn token(api: &Api, call: &Call, body: &[u8]) -> Result<Response, Refusal> {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    Ok(match give(api, call, &form).await? {
        Ok(answer) => Json(answer).into_response(),
        Err(denial) => denial.into_response(),
    })
}

async fn give(
    api: &Api,
    call: &Call,
    form: &[(String, String)],
) -> Result<Result<Value, Denial>, Refusal> {
    let field = |name: &str| {
        let mut found = form.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str())?;
        // Which of two is meant must not be a matter of who reads them.
        found.next().is_none().then_some(value)
    };
    if field("grant_type") != Some("client_credentials") {
        return Ok(Err(Denial::Grant));
    }
    let Some(client) = field("client_id") else {
        return Ok(Err(Denial::Request("client_id")));
    };
    let Ok(client) = client.parse::<Uuid>() else {
        return Ok(Err(Denial::Client));
    };
    let Some(scope) = field("scope").or_else(|| field("resource")) else {
        return Ok(Err(Denial::Request("scope")));
    };
    if !is_ours(api, call, scope)? {
        let scope: String = scope.chars().take(200).collect();
        return Ok(Err(Denial::Scope(scope)));
    }
    let proven = match (field("client_secret"), field("client_assertion")) {
        (Some(secret), None) => api.store.has_secret(client, secret).await?,
        (None, Some(assertion)) if field("client_assertion_type") == Some(ASSERTION_TYPE) => {
            let audiences = assertion_audiences(api, call);
            let certificates = api.store.certificates(client).await?;
            certificates
                .iter()
                .any(|one| one.vouches(assertion, client, &audiences))
        }
        (None, None) => return Ok(Err(Denial::Request("client_secret"))),
        _ => false,
    };
    let token = if proven {
        api.store.give_token(client).await?
    } else {
        None
    };
    let Some(token) = token else {
        tracing::warn!(%client, "a client that did not prove itself was given no token");
        return Ok(Err(Denial::Client));
    };
    tracing::info!(%client, "a token was given");
    let seconds = token.lifetime().whole_seconds();
    Ok(Ok(json!({
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": token.expose(),
    })))
}

/// Whether tokens for this scope, or resource, are given here: all are for the portal.
fn is_ours(api: &Api, call: &Call, scope: &str) -> Result<bool, Refusal> {
    let resource = scope.strip_suffix(".default").unwrap_or(scope);
    let resource = resource.trim_end_matches('/');
    let own = call.base(api)?;
    let same = |known: &str| known.eq_ignore_ascii_case(resource);
    Ok(same(&own) || AUDIENCES.into_iter().any(same))
}

/// For whom an assertion must be: this endpoint, by an address that the portal is known to have, and
/// not by one that only the request names. One that was made for another server is no proof here.
fn assertion_audiences(api: &Api, call: &Call) -> HashSet<String> {
    let path = call.uri.path();
    let urls = api.site.addresses.iter().map(Url::as_str);
    urls.map(|url| format!("{}{path}", url.trim_end_matches('/')))
        .collect()
}
