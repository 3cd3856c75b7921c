//! The bodies of `sourceControlConfigurations`.

use gitmoor_arm::{
    MAX_KNOWN_HOSTS, MAX_NAME, MAX_NAMESPACE, MAX_OPERATOR_NAME, MAX_REPOSITORY_URL, MAX_SECRET,
    MAX_TEXT, ProtectedSettings, RESOURCE_TYPE,
};
use serde_json::{Map, Value, json};

use super::{BASE64, NAME, list, object, schema, text, words};

pub(super) fn all() -> Value {
    let name = |max: usize| {
        json!({
            "type": ["string", "null"], "pattern": format!("{NAME}|^$"), "maxLength": max,
        })
    };
    let bounded = |max: usize| json!({"type": ["string", "null"], "maxLength": max});
    let secret = json!({"type": ["string", "null"], "pattern": BASE64, "maxLength": MAX_SECRET});
    let mut secrets = Map::new();
    for name in [
        ProtectedSettings::SSH_PRIVATE_KEY,
        ProtectedSettings::HTTPS_USER,
        ProtectedSettings::HTTPS_KEY,
        ProtectedSettings::HTTPS_CA_CERT,
    ] {
        secrets.insert(name.to_owned(), secret.clone());
    }
    json!({
        "SourceControlConfiguration": {
            "type": "object",
            "required": ["id", "name", "type", "etag", "properties"],
            "properties": {
                "id": text(),
                "name": {"type": "string", "pattern": NAME, "maxLength": MAX_NAME},
                "type": {"type": "string", "const": RESOURCE_TYPE},
                "etag": text(),
                "systemData": schema("SystemData"),
                "properties": schema("SourceControlConfigurationProperties"),
            },
        },
        "SourceControlConfigurationProperties": {
            "type": "object",
            "required": [
                "repositoryUrl", "operatorNamespace", "operatorType", "operatorParams",
                "operatorScope", "enableHelmOperator", "helmOperatorProperties",
                "repositoryPublicKey", "provisioningState", "complianceStatus",
            ],
            "properties": {
                "repositoryUrl": text(),
                "operatorNamespace": text(),
                "operatorInstanceName": text(),
                "operatorType": {"type": "string", "const": "Flux"},
                "operatorParams": text(),
                "operatorScope": words(&["cluster", "namespace"]),
                "sshKnownHostsContents": text(),
                "configurationProtectedSettings": {
                    "type": "object",
                    "description": "Always empty: secrets are never given back.",
                    "maxProperties": 0,
                },
                "enableHelmOperator": {
                    "type": ["boolean", "string"],
                    "description": "A text in 2019-11-01-preview.",
                },
                "helmOperatorProperties": object(json!({"chartVersion": text(), "chartValues": text()})),
                "repositoryPublicKey": text(),
                "provisioningState": {"type": "string", "const": "Succeeded"},
                "complianceStatus": object(json!({
                    "complianceState": words(&["Pending", "Compliant", "Noncompliant", "Installed", "Failed"]),
                    "lastConfigApplied": {"type": "string", "format": "date-time"},
                    "message": {"type": "string", "contentMediaType": "application/json"},
                    "messageLevel": words(&["Error", "Warning", "Information"]),
                })),
            },
        },
        "SourceControlConfigurationList": list("SourceControlConfiguration"),
        "SourceControlConfigurationPut": {
            "type": "object",
            "required": ["properties"],
            "properties": {"properties": {
                "type": "object",
                "required": ["repositoryUrl"],
                "properties": {
                    "repositoryUrl": {
                        "type": "string",
                        "description": "https://host/path, ssh://user@host/path or user@host:path.",
                        "minLength": 1,
                        "maxLength": MAX_REPOSITORY_URL,
                        "examples": ["https://git.example.net/blue/deploy.git"],
                    },
                    "operatorNamespace": name(MAX_NAMESPACE),
                    "operatorInstanceName": name(MAX_OPERATOR_NAME),
                    "operatorType": {"type": ["string", "null"], "enum": ["Flux", "flux", "", null]},
                    "operatorParams": {
                        "type": ["string", "null"],
                        "description": "Flags of Flux v1. Those that would make a difference and are not followed are refused by name.",
                        "maxLength": MAX_TEXT,
                        "examples": ["--git-branch=main --git-path=prod --sync-garbage-collection"],
                    },
                    "operatorScope": {
                        "type": ["string", "null"], "enum": ["cluster", "namespace", "", null],
                    },
                    "sshKnownHostsContents": {
                        "type": ["string", "null"],
                        "description": "A known_hosts file in base64.",
                        "pattern": BASE64,
                        "maxLength": MAX_KNOWN_HOSTS,
                    },
                    "configurationProtectedSettings": {
                        "type": ["object", "null"],
                        "description": "Absent keeps what is there; an empty object or null takes it away. The values are in base64.",
                        "properties": secrets,
                        "additionalProperties": false,
                    },
                    "enableHelmOperator": {
                        "type": ["boolean", "null"],
                        "description": "Also a text in 2019-11-01-preview.",
                    },
                    "helmOperatorProperties": {
                        "type": ["object", "null"],
                        "properties": {
                            "chartVersion": bounded(MAX_TEXT), "chartValues": bounded(MAX_TEXT),
                        },
                    },
                },
            }},
        },
    })
}
