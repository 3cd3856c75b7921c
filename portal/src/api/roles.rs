//! `Microsoft.Authorization`: who has which role in a scope, and the roles that there are. Owners give
//! and take them where they own; everyone who reads a scope sees who else does. The role of an agent
//! is none of ARM's and is neither shown nor given here.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::FieldError;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Api, Call, condition,
    filter::{self, Filter, equal, joined, value},
    json,
    refusal::Refusal,
    route::strip_prefix,
    tracked::error,
    whole,
};
use crate::{
    identity::{Principal, Role, Scope},
    store::{RoleDelete, RoleRecord, RoleWrite},
};

pub(super) const ASSIGNMENT: &str = "Microsoft.Authorization/roleAssignments";
pub(super) const DEFINITION: &str = "Microsoft.Authorization/roleDefinitions";

/// Those of role assignments, oldest first.
pub(super) const ASSIGNMENT_VERSIONS: &[&str] = &[
    "2020-04-01-preview",
    "2020-08-01-preview",
    "2020-10-01-preview",
    "2022-04-01",
];

/// Those of role definitions, oldest first.
pub(super) const DEFINITION_VERSIONS: &[&str] =
    &["2018-01-01-preview", "2022-04-01", "2022-05-01-preview"];

/// Those in which the provider says what it can do: those of both, oldest first.
pub(super) const OPERATION_VERSIONS: &[&str] = &[
    "2018-01-01-preview",
    "2020-04-01-preview",
    "2020-08-01-preview",
    "2020-10-01-preview",
    "2022-04-01",
    "2022-05-01-preview",
];

/// How a role definition's id ends.
pub(super) const DEFINITIONS: &str = "/providers/Microsoft.Authorization/roleDefinitions/";

/// What is looked for among the roles that someone has.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    AtScope,
    Principal(Uuid),
}

/// Lists the roles that hold in a scope: those given there, above and below. With `atScope()` not
/// those below.
pub(super) async fn list(api: &Api, call: &Call, scope: &Scope) -> Result<Response, Refusal> {
    call.version_of(ASSIGNMENT_VERSIONS, ASSIGNMENT)?;
    let filter = call.parameter("$filter").unwrap_or_default();
    let terms = joined(&filter, term).ok_or_else(|| Refusal::filter(&filter))?;
    let matches = |record: &RoleRecord| {
        let near = record.scope.covers(scope) || scope.covers(&record.scope);
        near && terms.iter().all(|term| match term {
            Term::AtScope => record.scope.covers(scope),
            Term::Principal(id) => record.principal == *id,
        })
    };
    let roles = api.store.roles().await?;
    let people = api.store.people(None).await?;
    let roles = roles.iter().filter(|record| matches(record));
    Ok(whole(roles.map(|record| view(record, &people)).collect()))
}

pub(super) async fn show(
    api: &Api,
    call: &Call,
    scope: &Scope,
    id: Uuid,
) -> Result<Response, Refusal> {
    call.version_of(ASSIGNMENT_VERSIONS, ASSIGNMENT)?;
    let found = api.store.role(id).await?;
    let found = found.filter(|one| one.scope.is(scope));
    let found = found.ok_or_else(|| Refusal::no_role_assignment(id))?;
    one(api, StatusCode::OK, &found).await
}

pub(super) async fn put(
    api: &Api,
    call: &Call,
    caller: &Principal,
    (scope, id): (Scope, Uuid),
    body: &[u8],
) -> Result<Response, Refusal> {
    call.version_of(ASSIGNMENT_VERSIONS, ASSIGNMENT)?;
    let condition = condition::read(&call.headers)?;
    let (definition, principal) = read(body).map_err(|errors| Refusal::invalid(&errors))?;
    let role = role(&definition).ok_or_else(|| Refusal::no_role_definition(&definition))?;
    let record = RoleRecord {
        id,
        principal,
        role,
        scope,
    };
    let written = api
        .store
        .put_role(record, &caller.into(), &condition)
        .await?;
    let (status, record) = match written {
        RoleWrite::Created(record) => {
            tracing::info!(
                to = %principal, %role, scope = %record.scope, by = caller.name,
                principal = %caller.id, "a role was given"
            );
            (StatusCode::CREATED, record)
        }
        RoleWrite::Same(record) => (StatusCode::OK, record),
        RoleWrite::Exists(id) => return Err(Refusal::role_exists(id)),
        RoleWrite::Taken => return Err(Refusal::role_fixed()),
        RoleWrite::NoPrincipal => {
            return Err(Refusal::no_principal(principal, api.store.tenant()));
        }
        RoleWrite::Condition => return Err(Refusal::condition()),
    };
    one(api, status, &record).await
}

pub(super) async fn delete(
    api: &Api,
    call: &Call,
    caller: &Principal,
    scope: &Scope,
    id: Uuid,
) -> Result<Response, Refusal> {
    call.version_of(ASSIGNMENT_VERSIONS, ASSIGNMENT)?;
    let condition = condition::read(&call.headers)?;
    let deleted = api
        .store
        .delete_role(scope, id, &caller.into(), &condition)
        .await?;
    match deleted {
        RoleDelete::Deleted(record) => {
            tracing::info!(
                from = %record.principal, role = %record.role, %scope, by = caller.name,
                principal = %caller.id, "a role was taken away"
            );
            let people = api.store.people(Some(record.principal)).await?;
            Ok(json(StatusCode::OK, &view(&record, &people)))
        }
        RoleDelete::Gone => Ok(StatusCode::NO_CONTENT.into_response()),
        RoleDelete::LastOwner => Err(Refusal::last_owner()),
        RoleDelete::Condition => Err(Refusal::condition()),
    }
}

/// The roles that there are.
pub(super) fn definitions(call: &Call, scope: &Scope) -> Result<Response, Refusal> {
    call.version_of(DEFINITION_VERSIONS, DEFINITION)?;
    let filter = Filter::read(call, &filter::DEFINITIONS)?;
    let matches = |view: &Value| {
        filter.holds(&BTreeMap::new(), |name, wanted| {
            let value = view["properties"][name].as_str().unwrap_or_default();
            value.eq_ignore_ascii_case(wanted)
        })
    };
    let all = Role::ALL
        .into_iter()
        .filter_map(|role| definition_view(role, scope));
    Ok(whole(all.filter(matches).collect()))
}

pub(super) fn definition(call: &Call, scope: &Scope, id: Uuid) -> Result<Response, Refusal> {
    call.version_of(DEFINITION_VERSIONS, DEFINITION)?;
    let found = Role::of_definition(id).and_then(|role| definition_view(role, scope));
    let found = found.ok_or_else(|| Refusal::no_role_definition(&id.to_string()))?;
    Ok(json(StatusCode::OK, &found))
}

/// The id of a role definition and that of a principal.
fn read(body: &[u8]) -> Result<(String, Uuid), Vec<FieldError>> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(properties) = body["properties"].as_object() else {
        return Err(vec![error("properties", "an object is needed")]);
    };
    let text = |name: &str| properties.get(name).and_then(Value::as_str);
    let mut errors = Vec::new();
    let definition = text("roleDefinitionId").unwrap_or_default();
    if definition.is_empty() {
        let message = "the id of a role definition is needed";
        errors.push(error("properties.roleDefinitionId", message));
    }
    let principal = text("principalId").and_then(|id| id.parse().ok());
    if principal.is_none() {
        let message = "the id of a principal is needed";
        errors.push(error("properties.principalId", message));
    }
    // A role without it would be wider than was asked for.
    if properties
        .get("condition")
        .is_some_and(|one| !one.is_null())
    {
        let message = "roles have no conditions here: give the role in a smaller scope";
        errors.push(error("properties.condition", message));
    }
    match principal {
        Some(principal) if errors.is_empty() => Ok((definition.to_owned(), principal)),
        _ => Err(errors),
    }
}

/// The role that the id of a definition names, of whichever subscription.
fn role(definition: &str) -> Option<Role> {
    let lower = definition.to_ascii_lowercase();
    let (_, id) = lower.rsplit_once(&DEFINITIONS.to_ascii_lowercase())?;
    Role::of_definition(id.parse().ok()?)
}

/// A term of ARM's filters as clients write it, and what follows.
fn term(text: &str) -> Option<(Term, &str)> {
    if let Some(after) = strip_prefix(text, "atScope()") {
        return Some((Term::AtScope, after));
    }
    let (id, after) = if let Some(quoted) = strip_prefix(text, "assignedTo('") {
        let (id, after) = value(quoted)?;
        (id, after.strip_prefix(')')?)
    } else {
        let (name, quoted) = equal(text)?;
        name.eq_ignore_ascii_case("principalId")
            .then(|| value(quoted))??
    };
    Some((Term::Principal(id.parse().ok()?), after))
}

/// ARM has no etag among the fields of a role assignment.
async fn one(api: &Api, status: StatusCode, record: &RoleRecord) -> Result<Response, Refusal> {
    let people = api.store.people(Some(record.principal)).await?;
    let etag = condition::etag(&record.etag());
    Ok((etag, json(status, &view(record, &people))).into_response())
}

fn view(record: &RoleRecord, people: &BTreeSet<Uuid>) -> Value {
    let definition = record.role.definition();
    let kind = if people.contains(&record.principal) {
        "User"
    } else {
        "ServicePrincipal"
    };
    json!({
        "id": record.resource(),
        "name": record.id,
        "type": ASSIGNMENT,
        "properties": {
            "roleDefinitionId": definition.map(|id| definition_id(id, &record.scope)),
            "principalId": record.principal,
            "principalType": kind,
            "scope": record.scope.as_str(),
            "condition": null,
            "conditionVersion": null,
        },
    })
}

/// ARM names a definition by the subscription in which it is asked for.
fn definition_id(id: Uuid, scope: &Scope) -> String {
    match scope.subscription() {
        "" => format!("{DEFINITIONS}{id}"),
        subscription => format!("/subscriptions/{subscription}{DEFINITIONS}{id}"),
    }
}

fn definition_view(role: Role, scope: &Scope) -> Option<Value> {
    let id = role.definition()?;
    let (name, description, actions, not): (_, _, _, &[&str]) = match role {
        Role::Owner => (
            "Owner",
            "Reads and writes all resources, and gives and takes roles.",
            "*",
            &[],
        ),
        Role::Contributor => (
            "Contributor",
            "Reads and writes all resources, and gives no roles.",
            "*",
            &[
                "Microsoft.Authorization/*/Delete",
                "Microsoft.Authorization/*/Write",
            ],
        ),
        Role::Reader => ("Reader", "Reads all resources.", "*/read", &[]),
        Role::Agent => return None,
    };
    Some(json!({
        "id": definition_id(id, scope),
        "name": id,
        "type": DEFINITION,
        "properties": {
            "roleName": name,
            "type": "BuiltInRole",
            "description": description,
            "assignableScopes": ["/"],
            "permissions": [{
                "actions": [actions], "notActions": not, "dataActions": [], "notDataActions": [],
            }],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    #[test]
    fn filters_are_read_as_clients_write_them() {
        let principal = || Term::Principal(ID);
        let table = [
            (String::new(), Some(vec![])),
            ("atScope()".to_owned(), Some(vec![Term::AtScope])),
            (format!("principalId eq '{ID}'"), Some(vec![principal()])),
            (
                format!("atScope() and assignedTo('{ID}')"),
                Some(vec![Term::AtScope, principal()]),
            ),
            (
                format!("PRINCIPALID eq '{ID}' and ATSCOPE()"),
                Some(vec![principal(), Term::AtScope]),
            ),
            ("principalId eq 'ann'".to_owned(), None),
            (format!("principalId eq '{ID}''"), None),
            (format!("principalId eq '{ID}'' and atScope()"), None),
            (format!("assignedTo('{ID}'"), None),
            (format!("assignedTo('{ID}''')"), None),
            (format!("atScope()assignedTo('{ID}')"), None),
            ("roleName eq 'Reader'".to_owned(), None),
            ("atScope() and type eq 'BuiltInRole'".to_owned(), None),
            ("name eq 'a and atScope()'".to_owned(), None),
            (format!("principalId ne '{ID}'"), None),
            (format!("principalId eq {ID}"), None),
            ("atScope() and ".to_owned(), None),
            ("atScope() or roleName eq 'x'".to_owned(), None),
        ];
        for (text, wanted) in table {
            assert_eq!(joined(&text, term), wanted, "{text}");
        }
    }

    #[test]
    fn a_definition_is_named_from_any_subscription_and_an_agents_is_none() {
        let owner = Role::Owner.definition().unwrap();
        for prefix in ["", "/subscriptions/s"] {
            let id = format!("{prefix}{DEFINITIONS}{owner}");
            for id in [id.clone(), id.to_uppercase()] {
                assert_eq!(role(&id), Some(Role::Owner), "{id}");
            }
        }
        for id in ["", "agent", "Owner", &owner.to_string(), DEFINITIONS] {
            assert_eq!(role(id), None, "{id}");
        }
        assert_eq!(role(&format!("{DEFINITIONS}{ID}")), None);
    }
}
