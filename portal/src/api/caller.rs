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
        | Route::UnderWay(id)
        | Route::ExtensionUnderWay(id, _)
        | Route::Configurations(id)
        | Route::FluxConfigurations(id) => uses(&id.into()),
        Route::Configuration(id) => uses(&(&id.cluster()).into()),
        Route::FluxConfiguration(id) | Route::FluxUnderWay(id, _) => uses(&(&id.cluster()).into()),
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

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, mem::discriminant};

    use gitmoor_arm::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::identity::{Assignment, Role};

    const GROUP: &str = "/subscriptions/s/resourceGroups/g";

    fn cluster(name: &str) -> String {
        format!("{GROUP}/providers/Microsoft.Kubernetes/connectedClusters/{name}")
    }

    /// Everyone who calls, each by a letter: an owner, a contributor and a reader of the subscription,
    /// a contributor of the group, a contributor and a reader of the cluster, a contributor of another
    /// cluster of the group, the owner of another subscription, the agents of both clusters, and one
    /// without a role.
    fn callers() -> Vec<(char, Principal)> {
        let other = cluster("other");
        let roles = [
            ('O', Some((Role::Owner, "/subscriptions/s"))),
            ('C', Some((Role::Contributor, "/subscriptions/s"))),
            ('R', Some((Role::Reader, "/subscriptions/S"))),
            ('G', Some((Role::Contributor, GROUP))),
            ('c', Some((Role::Contributor, &cluster("c")))),
            ('r', Some((Role::Reader, &cluster("C")))),
            ('x', Some((Role::Contributor, &other))),
            ('y', Some((Role::Owner, "/subscriptions/s2"))),
            ('A', Some((Role::Agent, &cluster("c")))),
            ('B', Some((Role::Agent, &other))),
            ('-', None),
        ];
        let principal = |role: Option<(Role, &str)>| Principal {
            id: Uuid::from_u128(7),
            name: "x".to_owned(),
            assignments: role
                .map(|(role, scope)| Assignment {
                    role,
                    scope: scope.parse().unwrap(),
                })
                .into_iter()
                .collect(),
            created_at: Timestamp::NEVER,
        };
        roles
            .map(|(letter, role)| (letter, principal(role)))
            .to_vec()
    }

    /// Who may read and who may write it. A new route is not compiled without.
    fn allowed(route: &Route) -> [&'static str; 2] {
        const EVERYONE: &str = "OCRGcrxyAB-";
        const SEE: &str = "OCRGcrx";
        const READ: &str = "OCRGcr";
        const WRITE: &str = "OCGc";
        match route {
            Route::Subscriptions | Route::Tenants => [EVERYONE, EVERYONE],
            Route::Operations(_) => ["OCRGcrxy", "OCRGcrxy"],
            Route::Subscription(_)
            | Route::Providers(_)
            | Route::Provider(..)
            | Route::Registration(..)
            | Route::Groups(_)
            | Route::Resources(_)
            | Route::Clusters(_) => [SEE, SEE],
            Route::Group(_) => [SEE, "OCG"],
            Route::Cluster(_)
            | Route::Extensions(_)
            | Route::UnderWay(_)
            | Route::ExtensionUnderWay(..)
            | Route::Configurations(_)
            | Route::Configuration(_)
            | Route::FluxConfigurations(_)
            | Route::FluxConfiguration(_)
            | Route::FluxUnderWay(..) => [READ, WRITE],
            Route::RoleAssignments(_) | Route::RoleDefinitions(_) | Route::RoleDefinition(..) => {
                [READ, READ]
            }
            Route::RoleAssignment(..) => [READ, "O"],
            Route::Desired(_) | Route::Status(_) => ["A", "A"],
        }
    }

    #[test]
    fn each_route_is_for_those_alone_who_are_named() {
        let (cluster, own) = (cluster("c"), "Microsoft.KubernetesConfiguration");
        let below = format!("{cluster}/providers/{own}");
        let roles = format!("{cluster}/providers/Microsoft.Authorization/role");
        let name = Uuid::from_u128(7);
        let paths = [
            "/subscriptions".to_owned(),
            "/tenants".to_owned(),
            format!("/providers/{own}/operations"),
            "/subscriptions/s".to_owned(),
            "/subscriptions/s/providers".to_owned(),
            format!("/subscriptions/s/providers/{own}"),
            format!("/subscriptions/s/providers/{own}/register"),
            format!("/subscriptions/s/providers/{own}/unregister"),
            "/subscriptions/s/resourceGroups".to_owned(),
            GROUP.to_owned(),
            "/subscriptions/s/resources".to_owned(),
            format!("{GROUP}/resources"),
            "/subscriptions/s/providers/Microsoft.Kubernetes/connectedClusters".to_owned(),
            format!("{GROUP}/providers/Microsoft.Kubernetes/connectedClusters"),
            cluster.clone(),
            format!("{below}/extensions"),
            format!("{below}/extensions/e/operations/o"),
            format!("{below}/operations"),
            format!("{below}/sourceControlConfigurations"),
            format!("{below}/sourceControlConfigurations/blue"),
            format!("{below}/fluxConfigurations"),
            format!("{below}/fluxConfigurations/blue"),
            format!("{below}/fluxConfigurations/blue/operations/o"),
            format!("{roles}Assignments"),
            format!("{roles}Assignments/{name}"),
            format!("{roles}Definitions"),
            format!("{roles}Definitions/{name}"),
            format!("/dataplane/v1{cluster}/configurations"),
            format!("/dataplane/v1{cluster}/configurations/blue/status"),
        ];
        let mut kinds = HashSet::new();
        for path in paths {
            let route = Route::parse(&path).unwrap();
            kinds.insert(discriminant(&route));
            let [reads, writes] = allowed(&route);
            for (wanted, methods) in [
                (reads, &[Method::GET, Method::HEAD][..]),
                (
                    writes,
                    &[Method::PUT, Method::PATCH, Method::POST, Method::DELETE],
                ),
            ] {
                for method in methods {
                    let found: String = callers()
                        .into_iter()
                        .filter(|(_, caller)| authorise(caller, &route, method).is_ok())
                        .map(|(letter, _)| letter)
                        .collect();
                    assert_eq!(found, wanted, "{method} {path}");
                }
            }
        }
        // As many as `allowed` names: one more there is one more path above.
        assert_eq!(kinds.len(), 26);
    }
}
