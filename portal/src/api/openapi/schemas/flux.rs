//! The bodies of `fluxConfigurations`. What is not followed may only say that it is not asked for.

use gitmoor_arm::{
    FLUX_RESOURCE_TYPE, GIT_REPOSITORY, MAX_KNOWN_HOSTS, MAX_NAME, MAX_NAMESPACE,
    MAX_REPOSITORY_URL, MAX_SECRET, POLL_INTERVAL_RANGE, ProtectedSettings,
};
use serde_json::{Value, json};

use super::{BASE64, FLUX_NAME, NAME, list, object, optional_text, schema, text, words};

const STATES: [&str; 5] = [
    "Compliant",
    "Non-Compliant",
    "Pending",
    "Suspended",
    "Unknown",
];

pub(super) fn all() -> Value {
    let state = || words(&STATES);
    let time = || json!({"type": ["string", "null"], "format": "date-time"});
    json!({
        "FluxConfiguration": object(json!({
            "id": text(),
            "name": {"type": "string", "pattern": FLUX_NAME, "maxLength": MAX_NAME},
            "type": {"type": "string", "const": FLUX_RESOURCE_TYPE},
            "etag": text(),
            "systemData": schema("SystemData"),
            "properties": schema("FluxConfigurationProperties"),
        })),
        "FluxConfigurationList": list("FluxConfiguration"),
        "FluxConfigurationProperties": object(json!({
            "scope": words(&["cluster", "namespace"]),
            "namespace": text(),
            "sourceKind": {"type": "string", "const": GIT_REPOSITORY},
            "suspend": {"type": "boolean"},
            "gitRepository": object(json!({
                "url": text(),
                "timeoutInSeconds": {"type": "integer"},
                "syncIntervalInSeconds": {"type": "integer"},
                "repositoryRef": {
                    "type": ["object", "null"], "properties": {"branch": optional_text()},
                },
                "sshKnownHosts": optional_text(),
                "httpsUser": optional_text(),
                "httpsCACert": optional_text(),
            })),
            "kustomizations": {"type": "object", "additionalProperties": object(json!({
                "name": text(),
                "path": text(),
                "dependsOn": {"type": "array", "items": text()},
                "timeoutInSeconds": {"type": "integer"},
                "syncIntervalInSeconds": {"type": "integer"},
                "retryIntervalInSeconds": {"type": ["integer", "null"]},
                "prune": {"type": "boolean"},
                "force": {"type": "boolean", "const": false},
                "wait": {"type": "boolean", "const": true},
            }))},
            "configurationProtectedSettings": {
                "type": "object",
                "description": "Always empty: secrets are never given back.",
                "maxProperties": 0,
            },
            "waitForReconciliation": {"type": "boolean", "const": false},
            "provisioningState": {"type": "string", "const": "Succeeded"},
            "errorMessage": text(),
            "complianceState": state(),
            "statuses": {"type": "array", "items": {
                "type": "object",
                "required": ["name", "namespace", "kind", "complianceState", "statusConditions"],
                "properties": {
                    "name": text(),
                    "namespace": optional_text(),
                    "kind": text(),
                    "complianceState": state(),
                    "appliedBy": object(json!({"name": text(), "namespace": text()})),
                    "statusConditions": {"type": "array", "items": {
                        "type": "object",
                        "required": ["type", "status", "reason", "message"],
                        "properties": {
                            "type": text(),
                            "status": words(&["True", "False", "Unknown"]),
                            "reason": text(),
                            "message": text(),
                            "lastTransitionTime": time(),
                        },
                    }},
                },
            }},
            "repositoryPublicKey": text(),
            "sourceSyncedCommitId": optional_text(),
            "sourceUpdatedAt": time(),
            "statusUpdatedAt": time(),
        })),
        "FluxConfigurationPut": {
            "type": "object",
            "required": ["properties"],
            "properties": {"properties": desired(true)},
        },
        "FluxConfigurationPatch": {
            "type": "object",
            "description": "A merge patch (RFC 7396): null takes a field or a kustomization away.",
            "properties": {"properties": desired(false)},
        },
    })
}

/// A field that may only be what it is when it is left out.
fn nothing(why: &str) -> Value {
    json!({"type": "null", "description": why})
}

/// What may be sent; a PUT must name the repository.
fn desired(whole: bool) -> Value {
    let seconds = |least: u64, most: u64| json!({"type": ["integer", "null"], "minimum": least, "maximum": most});
    let day = POLL_INTERVAL_RANGE.end().as_secs();
    let git = "Only Git repositories are read.";
    let repository = json!({
        "type": "object",
        "properties": {
            "url": {
                "type": "string",
                "description": "https://host/path, ssh://user@host/path or user@host:path.",
                "minLength": 1,
                "maxLength": MAX_REPOSITORY_URL,
                "examples": ["https://git.example.net/blue/deploy.git"],
            },
            "timeoutInSeconds": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "Makes no difference: operators bound their fetches by their own settings.",
            },
            "syncIntervalInSeconds": seconds(POLL_INTERVAL_RANGE.start().as_secs(), day),
            "repositoryRef": {"type": ["object", "null"], "properties": {
                "branch": {"type": ["string", "null"], "maxLength": 255, "examples": ["main"]},
                "tag": nothing("A branch is followed."),
                "semver": nothing("A branch is followed."),
                "commit": nothing("A branch is followed."),
            }},
            "sshKnownHosts": {
                "type": ["string", "null"], "pattern": BASE64, "maxLength": MAX_KNOWN_HOSTS,
            },
            "httpsUser": {
                "type": ["string", "null"],
                "description": "In clear; its key is the protected setting httpsKey.",
            },
            "httpsCACert": {"type": ["string", "null"], "pattern": BASE64, "maxLength": MAX_SECRET},
            "localAuthRef": nothing("No Secret of the cluster can be named."),
            "provider": {"type": ["string", "null"], "enum": ["Generic", "", null]},
        },
    });
    let kustomization = json!({
        "type": ["object", "null"],
        "properties": {
            "path": {
                "type": ["string", "null"],
                "description": "From the root of the repository; no comma, and no `..`.",
                "examples": ["apps"],
            },
            "dependsOn": {
                "type": ["array", "null"],
                "description": "Other kustomizations of this configuration.",
                "items": {"type": "string"},
            },
            "timeoutInSeconds": seconds(1, day),
            "syncIntervalInSeconds": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "Makes no difference: drift is seen at once.",
            },
            "retryIntervalInSeconds": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "Makes no difference: operators have a measure of their own.",
            },
            "prune": {"type": ["boolean", "null"]},
            "force": {"enum": [false, null], "description": "Objects say so themselves, by an annotation."},
            "wait": {"enum": [true, null], "description": "Objects are always waited for."},
            "postBuild": nothing("Nothing is substituted."),
        },
    });
    let secret = || json!({"type": ["string", "null"], "pattern": BASE64, "maxLength": MAX_SECRET});
    let mut properties = json!({
        "type": "object",
        "properties": {
            "scope": {"type": ["string", "null"], "enum": ["cluster", "namespace", "", null]},
            "namespace": {
                "type": ["string", "null"],
                "pattern": format!("{NAME}|^$"),
                "maxLength": MAX_NAMESPACE,
            },
            "sourceKind": {"type": ["string", "null"], "enum": [GIT_REPOSITORY, "", null]},
            "suspend": {"type": ["boolean", "null"]},
            "gitRepository": repository,
            "bucket": nothing(git),
            "azureBlob": nothing(git),
            "ociRepository": nothing(git),
            "kustomizations": {
                "type": ["object", "null"],
                "maxProperties": 64,
                "propertyNames": {"type": "string", "pattern": FLUX_NAME, "maxLength": MAX_NAME},
                "additionalProperties": kustomization,
            },
            "configurationProtectedSettings": {
                "type": ["object", "null"],
                "description": "Absent keeps what is there; an empty object or null takes it away. The values are in base64.",
                "properties": {
                    ProtectedSettings::SSH_PRIVATE_KEY: secret(),
                    ProtectedSettings::HTTPS_KEY: secret(),
                },
                "additionalProperties": false,
            },
            "waitForReconciliation": {"enum": [false, null], "description": "Nothing is waited for."},
            "reconciliationWaitDuration": nothing("Nothing is waited for."),
        },
    });
    if whole {
        properties["required"] = json!(["gitRepository"]);
        properties["properties"]["gitRepository"]["required"] = json!(["url"]);
    }
    properties
}
