//! The bodies of what is open to anyone.

use serde_json::{Value, json};

use super::{object, text};
use crate::api::login::AUDIENCES;

/// The portal is at this address.
pub(super) fn all(url: &str) -> Value {
    let audiences = AUDIENCES.into_iter().chain([url]);
    let scopes: Vec<String> = audiences
        .map(|audience| format!("{audience}/.default"))
        .collect();
    let addresses = [
        "portal",
        "resourceManager",
        "graphAudience",
        "graph",
        "microsoftGraphResourceId",
        "gallery",
        "batch",
        "media",
        "sqlManagement",
        "vmImageAliasDoc",
        "activeDirectoryDataLake",
    ];
    let mut metadata = json!({
        "name": text(),
        "authentication": object(json!({
            "loginEndpoint": text(),
            "audiences": {"type": "array", "items": text()},
            "tenant": text(),
            "identityProvider": text(),
        })),
        "suffixes": {"type": "object"},
    });
    for address in addresses {
        metadata[address] = json!({"type": "string", "format": "uri"});
    }
    let texts = || json!({"type": "array", "items": text()});
    json!({
        "Document": object(json!({
            "openapi": {"type": "string", "const": "3.1.0"},
            "info": {"type": "object"},
            "paths": {"type": "object"},
            "components": {"type": "object"},
        })),
        "Metadata": object(metadata),
        "OpenIdConfiguration": object(json!({
            "issuer": text(),
            "access_token_issuer": text(),
            "authorization_endpoint": text(),
            "token_endpoint": text(),
            "device_authorization_endpoint": text(),
            "jwks_uri": text(),
            "grant_types_supported": texts(),
            "response_types_supported": texts(),
            "subject_types_supported": texts(),
            "id_token_signing_alg_values_supported": texts(),
            "token_endpoint_auth_methods_supported": texts(),
            "token_endpoint_auth_signing_alg_values_supported": texts(),
        })),
        "KeySet": object(json!({
            "keys": {"type": "array", "minItems": 1, "items": object(json!({
                "kty": text(), "crv": text(), "alg": text(), "use": text(), "kid": text(),
                "x": text(), "y": text(),
            }))},
        })),
        "TokenRequest": {
            "type": "object",
            "required": ["grant_type", "client_id", "scope", "client_secret"],
            "description": "In the place of `client_secret` there may be `client_assertion` and \
                `client_assertion_type`, and in that of `scope` a `resource`.",
            "properties": {
                "grant_type": {"type": "string", "const": "client_credentials"},
                "client_id": {"type": "string", "format": "uuid"},
                "client_secret": {"type": "string", "minLength": 1},
                "scope": {"type": "string", "enum": scopes},
            },
        },
        "Token": object(json!({
            "token_type": {"type": "string", "const": "Bearer"},
            "expires_in": {"type": "integer", "minimum": 1},
            "ext_expires_in": {"type": "integer"},
            "access_token": text(),
        })),
    })
}
