//! What stands in paths, queries and headers.

use gitmoor_arm::{CLUSTER_TYPES, MAX_NAME, MAX_RESOURCE_GROUP};
use serde_json::{Value, json};
use uuid::Uuid;

use super::schemas::{FLUX_NAME, NAME};
use crate::{
    api::{filter, providers::PROVIDERS},
    identity::Role,
};

/// A part of an ARM id: nothing that a URL would have to escape, and not only dots.
const SEGMENT: &str = "^[.]*[A-Za-z0-9_()-][A-Za-z0-9._()-]*$";

/// ARM's own dates, of which little depends.
const ANY_VERSION: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(-(preview|privatepreview|alpha|beta|rc))?$";

/// A GUID as ARM writes it.
const GUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/// All of them, by their names in the document.
pub(super) fn all(tenant: Uuid) -> Value {
    let path = |name: &str, schema: Value| json!({"name": name, "in": "path", "required": true, "schema": schema});
    let segment = || json!({"type": "string", "pattern": SEGMENT, "minLength": 1});
    let condition = |name: &str, description: &str, example: &str| {
        json!({
            "name": name,
            "in": "header",
            "description": description,
            // ASCII, and not blank.
            "schema": {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$"},
            "example": example,
        })
    };
    let providers: Vec<&str> = CLUSTER_TYPES
        .iter()
        .map(|(provider, _)| *provider)
        .collect();
    let types: Vec<&str> = CLUSTER_TYPES.iter().map(|(_, kind)| *kind).collect();
    let definitions: Vec<Uuid> = Role::ALL.into_iter().filter_map(Role::definition).collect();
    let namespaces: Vec<&str> = PROVIDERS.iter().map(|one| one.namespace).collect();
    json!({
        "subscriptionId": path("subscriptionId", segment()),
        "resourceGroupName": path(
            "resourceGroupName",
            json!({"type": "string", "pattern": SEGMENT, "minLength": 1, "maxLength": MAX_RESOURCE_GROUP}),
        ),
        "namespace": path("namespace", json!({"type": "string", "enum": namespaces})),
        "clusterRp": path("clusterRp", json!({"type": "string", "enum": providers})),
        "clusterResourceName": path(
            "clusterResourceName",
            json!({"type": "string", "enum": types}),
        ),
        "clusterName": path("clusterName", segment()),
        "sourceControlConfigurationName": path("sourceControlConfigurationName", segment()),
        "newSourceControlConfigurationName": path(
            "sourceControlConfigurationName",
            json!({"type": "string", "pattern": NAME, "minLength": 1, "maxLength": MAX_NAME}),
        ),
        "extensionName": path("extensionName", segment()),
        "operationId": path("operationId", segment()),
        "fluxConfigurationName": path("fluxConfigurationName", segment()),
        "newFluxConfigurationName": path(
            "fluxConfigurationName",
            json!({"type": "string", "pattern": FLUX_NAME, "minLength": 1, "maxLength": MAX_NAME}),
        ),
        "roleAssignmentName": path("roleAssignmentName", json!({"type": "string", "format": "uuid", "pattern": format!("^{GUID}$")})),
        "roleDefinitionId": path("roleDefinitionId", json!({"type": "string", "enum": definitions})),
        "roleAssignmentFilter": {
            "name": "$filter",
            "in": "query",
            "description": "Such as `atScope()`, for what is given there and above.",
            "schema": {"type": "string", "pattern": format!("^(atScope\\(\\)|principalId eq '{GUID}'|assignedTo\\('{GUID}'\\))?$")},
        },
        "roleDefinitionFilter": {
            "name": "$filter",
            "in": "query",
            "description": "Such as `roleName eq 'Reader'`.",
            "schema": {"type": "string", "pattern": "^((roleName|type) eq '[A-Za-z ]+')?$"},
        },
        "tenant": path("tenant", json!({"type": "string", "enum": ["adfs", tenant]})),
        "anyVersion": version(&json!({"type": "string", "pattern": ANY_VERSION})),
        "skipToken": {
            "name": "$skipToken",
            "in": "query",
            "description": "Where the page begins; only `nextLink` says so.",
            "schema": {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$"},
        },
        "filter": {
            "name": "$filter",
            "in": "query",
            "description": "Such as `resourceType eq 'Microsoft.Kubernetes/connectedClusters' and tagName eq 'env'`.",
            "schema": {"type": "string", "pattern": pattern(&filter::RESOURCES)},
        },
        "groupFilter": {
            "name": "$filter",
            "in": "query",
            "description": "Such as `tagName eq 'env' and tagValue eq 'prod'`.",
            "schema": {"type": "string", "pattern": pattern(&filter::GROUPS)},
        },
        "forceDelete": {
            "name": "forceDelete",
            "in": "query",
            "description": "Makes no difference: what is deleted is gone at once.",
            "schema": {"type": "string"},
        },
        "expand": {
            "name": "$expand",
            "in": "query",
            "description": "Makes no difference.",
            "schema": {"type": "string"},
        },
        "ifMatch": condition("If-Match", "The `ETag` that the resource must have; `*` for any.", "*"),
        "ifNoneMatch": condition("If-None-Match", "An `ETag` that it must not have; `*` for none.", "\"other\""),
    })
}

/// The query parameter that every call of ARM has.
pub(super) fn version(schema: &Value) -> Value {
    json!({"name": "api-version", "in": "query", "required": true, "schema": schema})
}

fn pattern(names: &[&str]) -> String {
    let names = names.join("|");
    let term = format!("({names}) eq '([^']|'')*'");
    format!("^({term}( and {term})*)?$")
}
