//! Why a role is not given or taken, in ARM's words.

use http::StatusCode;
use uuid::Uuid;

use super::Refusal;

impl Refusal {
    pub(in super::super) fn no_role_assignment(id: Uuid) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "RoleAssignmentNotFound",
            format!("The role assignment '{id}' is not found."),
        )
    }

    pub(in super::super) fn no_role_definition(id: &str) -> Self {
        let id: String = id.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "RoleDefinitionDoesNotExist",
            format!(
                "The specified role definition with ID '{id}' does not exist. There are Owner, \
                 Contributor and Reader; the role of a cluster's agent comes with its enrolment."
            ),
        )
    }

    pub(in super::super) fn no_principal(id: Uuid, tenant: Uuid) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "PrincipalNotFound",
            format!(
                "Principal {id} does not exist in the directory {tenant}. `gitmoor portal principal \
                 create` makes one."
            ),
        )
    }

    pub(in super::super) fn role_exists(id: Uuid) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "RoleAssignmentExists",
            format!(
                "The role assignment already exists. The ID of the existing role assignment is {}.",
                id.simple()
            ),
        )
    }

    pub(in super::super) fn role_fixed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )
    }

    pub(in super::super) fn last_owner() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "CannotDeleteLastRbacAdminAssignment",
            "Cannot delete the last RBAC admin assignment: nobody else owns everything.",
        )
    }
}
