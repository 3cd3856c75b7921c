//! Who calls, by the bearer token, and what they may do.

use http::{HeaderMap, Method, header::AUTHORIZATION};

use super::{refusal::Refusal, route::Route};
use crate::{
    Store,
    identity::{Principal, Scope},
};

/// Recognises the caller.
pub(super) async fn authenticate(store: &Store, headers: &HeaderMap) -> Result<Principal, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(Refusal::no_token());
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(Refusal::bad_token)?;
    store
        .authenticate(token)
        .await?
        .ok_or_else(Refusal::bad_token)
}

/// Whether the caller may do this at all; nothing is said of whether it is there.
pub(crate) fn authorise(caller: &Principal, route: &Route, method: &Method) -> Result<(), Refusal> {
    let writes = method != Method::GET && method != Method::HEAD;
    let uses = |scope: &Scope| {
        if writes {
            caller.writes(scope)
        } else {
            caller.reads(scope)
        }
    };
    let allowed = match route {
        // What is listed there is what the caller sees.
        Route::Subscriptions | Route::Tenants => true,
        // What a provider can do is no secret, but only ARM's callers ask.
        Route::Operations(_) => caller.assignments.iter().any(|one| one.role.reads()),
        Route::Subscription(scope)
        | Route::Providers(scope)
        | Route::Provider(scope, _)
        | Route::Groups(scope)
        | Route::Resources(scope)
        | Route::Clusters(scope) => caller.sees(scope),
        // Nothing changes by it.
        Route::Registration(scope, _) => caller.sees(scope),
        Route::Group(scope) if !writes => caller.sees(scope),
        Route::Group(scope) => caller.writes(scope),
        Route::Cluster(id)
        | Route::Extensions(id)
        | Route::Configurations(id)
        | Route::FluxConfigurations(id) => uses(&id.into()),
        Route::Configuration(id) => uses(&(&id.cluster()).into()),
        Route::FluxConfiguration(id) => uses(&(&id.cluster()).into()),
        Route::RoleAssignment(scope, _) if writes => caller.owns(scope),
        Route::RoleAssignments(scope) | Route::RoleAssignment(scope, _) => caller.reads(scope),
        Route::RoleDefinitions(scope) | Route::RoleDefinition(scope, _) => caller.sees(scope),
        Route::Desired(id) => caller.is_agent_of(&id.into()),
        Route::Status(id) => caller.is_agent_of(&(&id.cluster()).into()),
    };
    if allowed {
        return Ok(());
    }
    Err(Refusal::forbidden(&caller.name, caller.id, route, method))
}
