//! The bodies of roles.

use serde_json::{Value, json};

use super::{list, object, text};
use crate::{
    api::roles::{ASSIGNMENT, DEFINITION, DEFINITIONS},
    identity::Role,
};

pub(super) fn all() -> Value {
    let uuid = || json!({"type": "string", "format": "uuid"});
    let texts = || json!({"type": "array", "items": text()});
    let given = Role::ALL.into_iter().filter_map(Role::definition);
    let given: Vec<String> = given.map(|id| id.to_string()).collect();
    let start = DEFINITIONS.replace('.', "\\.");
    let definition = format!("^{start}({})$", given.join("|"));
    json!({
        "RoleAssignment": object(json!({
            "id": text(),
            "name": uuid(),
            "type": {"type": "string", "const": ASSIGNMENT},
            "properties": object(json!({
                "roleDefinitionId": text(),
                "principalId": uuid(),
                "principalType": text(),
                "scope": text(),
                "condition": {"type": "null"},
                "conditionVersion": {"type": "null"},
            })),
        })),
        "RoleAssignmentList": list("RoleAssignment"),
        "RoleAssignmentPut": {
            "type": "object",
            "required": ["properties"],
            "properties": {"properties": {
                "type": "object",
                "required": ["roleDefinitionId", "principalId"],
                "properties": {
                    "roleDefinitionId": {"type": "string", "pattern": definition},
                    "principalId": uuid(),
                    "condition": {"type": "null"},
                },
            }},
        },
        "RoleDefinition": object(json!({
            "id": text(),
            "name": uuid(),
            "type": {"type": "string", "const": DEFINITION},
            "properties": object(json!({
                "roleName": text(),
                "type": {"type": "string", "const": "BuiltInRole"},
                "description": text(),
                "assignableScopes": texts(),
                "permissions": {"type": "array", "items": object(json!({
                    "actions": texts(),
                    "notActions": texts(),
                    "dataActions": texts(),
                    "notDataActions": texts(),
                }))},
            })),
        })),
        "RoleDefinitionList": list("RoleDefinition"),
    })
}
