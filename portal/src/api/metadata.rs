//! What clients read before they have a token: where things are, in the form that `az cloud register`
//! asks for, and OpenID Connect's description of the directory.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::{Api, Call, json, refusal::Refusal};
use crate::identity::issuer;

/// The tenant's path. A client that finds a path ending so asks no one else whether it is a
/// directory.
const ADFS: &str = "adfs";

pub(super) fn endpoints(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let url = call.base(api)?;
    Ok(json(
        StatusCode::OK,
        &json!({
            "name": "Gitmoor",
            "portal": url,
            "authentication": {
                "loginEndpoint": format!("{url}/{ADFS}"),
                "audiences": [url],
                "tenant": ADFS,
                "identityProvider": "ADFS",
            },
            "resourceManager": url,
            // The command line stops where one of these is missing; nothing answers at them.
            "graphAudience": url,
            "graph": url,
            "microsoftGraphResourceId": url,
            "gallery": url,
            "batch": url,
            "media": url,
            "sqlManagement": url,
            "vmImageAliasDoc": url,
            "activeDirectoryDataLake": url,
            "suffixes": {},
        }),
    ))
}

pub(super) fn open_id(api: &Api, call: &Call, directory: &str) -> Result<Response, Refusal> {
    let url = call.base(api)?;
    let (tenant, version) = directory.split_once('/').unwrap_or((directory, ""));
    let oauth = match version {
        "" => format!("{url}/{tenant}/oauth2"),
        version => format!("{url}/{tenant}/oauth2/{version}"),
    };
    Ok(json(
        StatusCode::OK,
        &json!({
            "issuer": format!("{url}/{directory}"),
            "access_token_issuer": issuer(api.store.tenant()),
            "authorization_endpoint": format!("{oauth}/authorize"),
            "token_endpoint": format!("{oauth}/token"),
            "device_authorization_endpoint": format!("{oauth}/devicecode"),
            "jwks_uri": format!("{url}/{tenant}/discovery/keys"),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        }),
    ))
}

pub(super) fn keys(api: &Api) -> Response {
    json(StatusCode::OK, &api.store.keys().key_set())
}
