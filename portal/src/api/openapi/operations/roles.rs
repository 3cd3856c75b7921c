//! Who has which role, in each kind of scope.

use super::{CLUSTER, GROUP, Operation, SUBSCRIPTION, operation};
use crate::api::roles::{ASSIGNMENT, ASSIGNMENT_VERSIONS, DEFINITION, DEFINITION_VERSIONS};

pub(super) fn roles() -> Vec<Operation> {
    [
        ("", "ForTenant"),
        (SUBSCRIPTION, "ForSubscription"),
        (GROUP, "ForResourceGroup"),
        (CLUSTER, "ForResource"),
    ]
    .into_iter()
    .flat_map(|(scope, word)| of(scope, word))
    .collect()
}

fn of(scope: &str, word: &str) -> [Operation; 6] {
    let assignments = format!("{scope}/providers/{ASSIGNMENT}");
    let definitions = format!("{scope}/providers/{DEFINITION}");
    let one = |method, verb: &str, summary| {
        let path = format!("{assignments}/{{roleAssignmentName}}");
        let id = format!("RoleAssignments_{verb}{word}");
        operation(method, path, id, summary).of(ASSIGNMENT_VERSIONS)
    };
    [
        operation(
            "get",
            assignments.clone(),
            format!("RoleAssignments_List{word}"),
            "Lists the roles that people and programs have in a scope, above and below it.",
        )
        .of(ASSIGNMENT_VERSIONS)
        .with(&["roleAssignmentFilter"])
        .json(200, "The roles.", "RoleAssignmentList"),
        one("get", "Get", "Shows a role that someone has.").versioned(
            200,
            "The role.",
            "RoleAssignment",
        ),
        one(
            "put",
            "Create",
            "Gives someone a role; owners of the scope may.",
        )
        .conditional()
        .body("RoleAssignmentPut")
        .or(409)
        .versioned(200, "The role, which they had.", "RoleAssignment")
        .versioned(201, "The new role.", "RoleAssignment"),
        one(
            "delete",
            "Delete",
            "Takes a role away; owners of the scope may.",
        )
        .conditional()
        .json(200, "What it was.", "RoleAssignment")
        .empty(204, "It was not there."),
        operation(
            "get",
            definitions.clone(),
            format!("RoleDefinitions_List{word}"),
            "Lists the roles that there are.",
        )
        .of(DEFINITION_VERSIONS)
        .with(&["roleDefinitionFilter"])
        .json(200, "The roles.", "RoleDefinitionList"),
        operation(
            "get",
            format!("{definitions}/{{roleDefinitionId}}"),
            format!("RoleDefinitions_Get{word}"),
            "Shows a role.",
        )
        .of(DEFINITION_VERSIONS)
        .json(200, "The role.", "RoleDefinition"),
    ]
}
