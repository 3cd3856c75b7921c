//! The bodies: what may be sent, and what comes back. Of what is sent only the known fields are
//! named; others are ignored.

mod configurations;
mod directory;
mod flux;
mod roles;

use serde_json::{Map, Value, json};

use super::component;
use crate::api::{
    clusters::{self, Kind},
    tracked::{LOCATION, MAX_LOCATION, MAX_TAG_NAME, MAX_TAG_VALUE, MAX_TAGS},
};

/// The names of configurations, of their operators and their namespaces.
pub(super) const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// The same, without two hyphens in a row.
pub(super) const FLUX_NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// Base64, as command lines wrap it.
const BASE64: &str = "^[A-Za-z0-9+/=\\s]*$";

/// All of them, by their names in the document; the portal is at this address.
pub(super) fn all(url: &str) -> Map<String, Value> {
    let groups = [
        errors(),
        directory::all(url),
        arm(),
        connected_clusters(),
        configurations::all(),
        flux::all(),
        roles::all(),
    ];
    let mut all = Map::new();
    for group in groups {
        let Value::Object(group) = group else {
            unreachable!("each is written as an object")
        };
        all.extend(group);
    }
    all
}

fn schema(name: &str) -> Value {
    component("schemas", name)
}

/// An object that has all of these.
fn object(properties: Value) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<String> = names.cloned().collect();
    let mut schema = json!({"type": "object", "required": required});
    schema["properties"] = properties;
    schema
}

/// A page of a list.
fn list(item: &str) -> Value {
    object(json!({
        "value": {"type": "array", "items": schema(item)},
        "nextLink": {"type": ["string", "null"], "format": "uri"},
    }))
}

fn text() -> Value {
    json!({"type": "string"})
}

/// What may be left out or be null.
fn optional_text() -> Value {
    json!({"type": ["string", "null"]})
}

fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn errors() -> Value {
    let detail = object(json!({
        "code": {"type": "string", "minLength": 1},
        "message": {"type": "string", "minLength": 1},
        "target": {"type": ["string", "null"]},
        "details": {"type": "array", "items": schema("ErrorDetail")},
        "additionalInfo": {
            "type": "array",
            "items": object(json!({"type": text(), "info": {}})),
        },
    }));
    json!({
        "ErrorDetail": detail,
        "ErrorResponse": object(json!({"error": schema("ErrorDetail")})),
        "TokenError": object(json!({
            "error": words(&["invalid_request", "unsupported_grant_type", "invalid_client", "invalid_scope"]),
            "error_description": text(),
            "error_codes": {"type": "array", "items": {"type": "integer"}},
        })),
    })
}

/// What ARM itself has.
fn arm() -> Value {
    let tags = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let resource = json!({
        "id": text(),
        "name": text(),
        "type": text(),
        "location": text(),
        "tags": tags,
    });
    let with = |more: Value| {
        let mut fields = resource.as_object().cloned().unwrap_or_default();
        fields.extend(more.as_object().cloned().unwrap_or_default());
        object(Value::Object(fields))
    };
    let location = json!({
        "type": "string", "pattern": LOCATION, "minLength": 1, "maxLength": MAX_LOCATION,
    });
    json!({
        "Subscription": object(json!({
            "id": text(),
            "subscriptionId": text(),
            "tenantId": {"type": "string", "format": "uuid"},
            "displayName": text(),
            "state": {"type": "string", "const": "Enabled"},
            "authorizationSource": text(),
            "managedByTenants": {"type": "array"},
            "subscriptionPolicies": {"type": "object"},
        })),
        "SubscriptionList": list("Subscription"),
        "Tenant": object(json!({
            "id": text(), "tenantId": {"type": "string", "format": "uuid"}, "displayName": text(),
            "tenantCategory": text(),
        })),
        "TenantList": list("Tenant"),
        "Provider": object(json!({
            "id": text(),
            "namespace": text(),
            "registrationState": {"type": "string", "const": "Registered"},
            "registrationPolicy": text(),
            "resourceTypes": {"type": "array", "items": object(json!({
                "resourceType": text(),
                "locations": {"type": "array", "items": text()},
                "apiVersions": {"type": "array", "items": text(), "minItems": 1},
                "defaultApiVersion": text(),
                "capabilities": text(),
            }))},
        })),
        "ProviderList": list("Provider"),
        "Operation": object(json!({
            "name": text(),
            "display": object(json!({
                "provider": text(), "resource": text(), "operation": text(), "description": text(),
            })),
            "isDataAction": {"type": "boolean"},
        })),
        "OperationList": list("Operation"),
        "ResourceGroup": with(json!({
            "properties": object(json!({"provisioningState": {"type": "string", "const": "Succeeded"}})),
        })),
        "ResourceGroupList": list("ResourceGroup"),
        "ResourceGroupPut": {
            "type": "object",
            "required": ["location"],
            "properties": {"location": location, "tags": schema("Tags")},
        },
        "Resource": with(json!({
            "provisioningState": text(),
            "createdTime": {"type": "string", "format": "date-time"},
            "changedTime": {"type": "string", "format": "date-time"},
        })),
        "ResourceList": list("Resource"),
        "EmptyList": object(json!({
            "value": {"type": "array", "maxItems": 0},
            "nextLink": {"type": "null"},
        })),
        "Tags": {
            "type": ["object", "null"],
            "maxProperties": MAX_TAGS,
            "propertyNames": {
                "type": "string",
                "pattern": "^[^<>%&\\\\?/\\x00-\\x1f\\x7f-\\x9f]+$",
                "minLength": 1,
                "maxLength": MAX_TAG_NAME,
            },
            "additionalProperties": {"type": ["string", "null"], "maxLength": MAX_TAG_VALUE},
        },
        "TagsPatch": {"type": "object", "properties": {"tags": schema("Tags")}},
        "SystemData": object(json!({
            "createdBy": optional_text(),
            "createdByType": optional_text(),
            "createdAt": {"type": "string", "format": "date-time"},
            "lastModifiedBy": optional_text(),
            "lastModifiedByType": optional_text(),
            "lastModifiedAt": {"type": "string", "format": "date-time"},
        })),
    })
}

fn connected_clusters() -> Value {
    let mut writable = Map::new();
    for (name, kind) in clusters::PROPERTIES {
        let kind = match kind {
            Kind::Text => "string",
            Kind::Object => "object",
            Kind::List => "array",
        };
        writable.insert(name.to_owned(), json!({"type": [kind, "null"]}));
    }
    let identity = json!({"type": words(&["None", "SystemAssigned"])});
    json!({
        "ConnectedCluster": {
            "type": "object",
            "required": ["id", "name", "type", "etag", "location", "tags", "identity", "properties", "systemData"],
            "properties": {
                "id": text(),
                "name": text(),
                "type": {"type": "string", "const": clusters::TYPE},
                "etag": text(),
                "location": text(),
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "kind": text(),
                "identity": {
                    "type": "object",
                    "required": ["type"],
                    "properties": identity,
                },
                "properties": {
                    "type": "object",
                    "required": ["agentPublicKeyCertificate", "provisioningState", "connectivityStatus"],
                    "properties": {
                        "agentPublicKeyCertificate": text(),
                        "provisioningState": {"type": "string", "const": "Succeeded"},
                        "connectivityStatus": words(&["Connecting", "Connected", "Offline"]),
                        "lastConnectivityTime": {"type": "string", "format": "date-time"},
                        "agentVersion": text(),
                        "kubernetesVersion": text(),
                        "totalNodeCount": {"type": "integer", "minimum": 0},
                    },
                },
                "systemData": schema("SystemData"),
            },
        },
        "ConnectedClusterList": list("ConnectedCluster"),
        "ConnectedClusterPut": {
            "type": "object",
            "description": format!(
                "`identity`, `kind` and `properties` together have at most {} bytes.", clusters::MAX_BODY
            ),
            "required": ["location", "properties"],
            "properties": {
                "location": {
                    "type": "string", "pattern": LOCATION, "minLength": 1, "maxLength": MAX_LOCATION,
                },
                "tags": schema("Tags"),
                "kind": optional_text(),
                "identity": {
                    "type": ["object", "null"],
                    "required": ["type"],
                    "properties": identity,
                },
                "properties": {"type": "object", "properties": writable},
            },
        },
    })
}
