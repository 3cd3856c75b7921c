//! The paths that the portal answers, matched as ARM does: without regard to case, and by the form
//! of the ids in them.

use gitmoor_arm::{
    API_VERSIONS, ClusterId, ConfigurationId, DATA_PLANE_PREFIX, ENROLMENT_PATH, FLUX_API_VERSIONS,
    FluxConfigurationId,
};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::{
    providers::{self, CLUSTER_VERSIONS, EXTENSION_VERSIONS, Provider},
    refusal::Refusal,
    roles::{ASSIGNMENT_VERSIONS, DEFINITION_VERSIONS},
};
use crate::identity::Scope;

const CONFIGURATIONS: &str =
    "/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations";

/// The providers in patterns, which stand in small letters.
const AUTHORIZATION: &str = "microsoft.authorization";
const KUBERNETES_CONFIGURATION: &str = "microsoft.kubernetesconfiguration";
const KUBERNETES: &str = "microsoft.kubernetes";

/// What the path of a tenant is when it is not its id: what a client takes for a directory of the
/// caller's own, and then asks no one else.
const ADFS: &str = "adfs";

/// What a path means to anyone, with or without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Public {
    /// What there is, in OpenAPI.
    Document,
    /// Where everything is, for `az cloud register`.
    Metadata,
    /// OpenID Connect's description of the directory, whose path begins with this segment.
    OpenId(String),
    /// The keys that tokens are signed with.
    Keys,
    /// Where tokens are given.
    Token,
    /// Where an agent gets its credential.
    Enrolment,
}

/// What a path means to those with a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The subscriptions that the caller sees.
    Subscriptions,
    /// One of them.
    Subscription(Scope),
    /// The directories that the caller is in: one.
    Tenants,
    /// The resource providers, in a subscription.
    Providers(Scope),
    /// One of them.
    Provider(Scope, &'static Provider),
    /// Its registration, which all have.
    Registration(Scope, &'static Provider),
    /// What a provider can do.
    Operations(&'static Provider),
    /// The resource groups of a subscription.
    Groups(Scope),
    /// One of them.
    Group(Scope),
    /// All that has a place, of a subscription or a group.
    Resources(Scope),
    /// The connected clusters of a subscription or a group.
    Clusters(Scope),
    /// One of them.
    Cluster(ClusterId),
    /// The extensions of a cluster, of which there are none.
    Extensions(ClusterId),
    /// What takes its time in a cluster, which is nothing: all is done when it is answered.
    UnderWay(ClusterId),
    /// One of those of an extension, by its id.
    ExtensionUnderWay(ClusterId, String),
    /// One of those of a Flux configuration.
    FluxUnderWay(FluxConfigurationId, String),
    /// The configurations of a cluster, for principals.
    Configurations(ClusterId),
    /// One of them.
    Configuration(ConfigurationId),
    /// The Flux configurations of a cluster.
    FluxConfigurations(ClusterId),
    /// One of them.
    FluxConfiguration(FluxConfigurationId),
    /// Who has which role in a scope.
    RoleAssignments(Scope),
    /// One of them.
    RoleAssignment(Scope, Uuid),
    /// The roles that can be had in a scope.
    RoleDefinitions(Scope),
    /// One of them.
    RoleDefinition(Scope, Uuid),
    /// The configurations of a cluster, for its agent.
    Desired(ClusterId),
    /// The status of one of them, from the agent.
    Status(ConfigurationId),
}

impl Public {
    pub(super) fn parse(path: &str, tenant: &str) -> Option<Self> {
        let path = folded(path).to_ascii_lowercase();
        if path == ENROLMENT_PATH {
            return Some(Self::Enrolment);
        }
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let open = match parts[..] {
            ["openapi.json"] => return Some(Self::Document),
            ["metadata", "endpoints"] => return Some(Self::Metadata),
            [_, ".well-known", "openid-configuration"] => Self::OpenId(parts[0].to_owned()),
            [_, "v2.0", ".well-known", "openid-configuration"] => {
                Self::OpenId(format!("{}/v2.0", parts[0]))
            }
            // How `az login --tenant adfs` finds the tenant's id: it puts the name behind the address
            // that it was given, which ends in one.
            [ADFS, name, "v2.0", ".well-known", "openid-configuration"]
                if name == ADFS || name == tenant =>
            {
                Self::OpenId(format!("{tenant}/v2.0"))
            }
            [_, "discovery", "keys"] => Self::Keys,
            [_, "oauth2", "token"] | [_, "oauth2", "v2.0", "token"] => Self::Token,
            _ => return None,
        };
        (parts[0] == ADFS || parts[0] == tenant).then_some(open)
    }

    /// The method that it answers.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Token | Self::Enrolment => "POST",
            Self::Document | Self::Metadata | Self::OpenId(_) | Self::Keys => "GET",
        }
    }
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        // Clients escape what need not be, such as the parentheses of a resource group.
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::no_route(&"the path is no UTF-8"))?;
        let path = folded(&path);
        if let Some(rest) = strip_prefix(&path, DATA_PLANE_PREFIX) {
            return data_plane(rest);
        }
        let lower = path.to_ascii_lowercase();
        let words: Vec<&str> = lower.split('/').skip(1).collect();
        match words[..] {
            [.., "providers", AUTHORIZATION, "roleassignments"] => {
                above(&path, 3).map(Self::RoleAssignments)
            }
            [.., "providers", AUTHORIZATION, "roleassignments", id] => {
                Ok(Self::RoleAssignment(above(&path, 4)?, guid(id)?))
            }
            [.., "providers", AUTHORIZATION, "roledefinitions"] => {
                above(&path, 3).map(Self::RoleDefinitions)
            }
            [.., "providers", AUTHORIZATION, "roledefinitions", id] => {
                Ok(Self::RoleDefinition(above(&path, 4)?, guid(id)?))
            }
            ["subscriptions"] => Ok(Self::Subscriptions),
            ["tenants"] => Ok(Self::Tenants),
            ["providers", name, "operations"] => provider(name).map(Self::Operations),
            ["subscriptions", _] => scope(&path, 2).map(Self::Subscription),
            ["subscriptions", _, "providers"] => scope(&path, 2).map(Self::Providers),
            ["subscriptions", _, "providers", name] => {
                Ok(Self::Provider(scope(&path, 2)?, provider(name)?))
            }
            [
                "subscriptions",
                _,
                "providers",
                name,
                "register" | "unregister",
            ] => Ok(Self::Registration(scope(&path, 2)?, provider(name)?)),
            ["subscriptions", _, "resourcegroups"] => scope(&path, 2).map(Self::Groups),
            ["subscriptions", _, "resourcegroups", _] => scope(&path, 4).map(Self::Group),
            ["subscriptions", _, "resources"] => scope(&path, 2).map(Self::Resources),
            ["subscriptions", _, "resourcegroups", _, "resources"] => {
                scope(&path, 4).map(Self::Resources)
            }
            [
                "subscriptions",
                _,
                "providers",
                KUBERNETES,
                "connectedclusters",
            ] => scope(&path, 2).map(Self::Clusters),
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                KUBERNETES,
                "connectedclusters",
            ] => scope(&path, 4).map(Self::Clusters),
            [_, _, _, _, _, KUBERNETES, _, _] => cluster(&path).map(Self::Cluster),
            [.., "providers", KUBERNETES_CONFIGURATION, "extensions"] => {
                cluster(before(&path, 3)).map(Self::Extensions)
            }
            [.., "providers", KUBERNETES_CONFIGURATION, "operations"] => {
                cluster(before(&path, 3)).map(Self::UnderWay)
            }
            [
                ..,
                "providers",
                KUBERNETES_CONFIGURATION,
                "extensions",
                _,
                "operations",
                id,
            ] => cluster(before(&path, 6)).map(|of| Self::ExtensionUnderWay(of, id.to_owned())),
            [
                ..,
                "providers",
                KUBERNETES_CONFIGURATION,
                "fluxconfigurations",
                _,
                "operations",
                id,
            ] => before(&path, 2)
                .parse()
                .map(|of| Self::FluxUnderWay(of, id.to_owned()))
                .map_err(|error| Refusal::no_route(&error)),
            [
                ..,
                "providers",
                KUBERNETES_CONFIGURATION,
                "fluxconfigurations",
            ] => cluster(before(&path, 3)).map(Self::FluxConfigurations),
            [
                ..,
                "providers",
                KUBERNETES_CONFIGURATION,
                "fluxconfigurations",
                _,
            ] => path
                .parse()
                .map(Self::FluxConfiguration)
                .map_err(|error| Refusal::no_route(&error)),
            _ => match strip_suffix(&path, CONFIGURATIONS) {
                Some(id) => cluster(id).map(Self::Configurations),
                None => path
                    .parse()
                    .map(Self::Configuration)
                    .map_err(|error| Refusal::no_route(&error)),
            },
        }
    }

    /// The api-versions that it is answered in; none where it makes no difference.
    pub(super) fn versions(&self) -> &'static [&'static str] {
        match self {
            Self::Configurations(_) | Self::Configuration(_) => &API_VERSIONS,
            Self::FluxConfigurations(_) | Self::FluxConfiguration(_) | Self::FluxUnderWay(..) => {
                &FLUX_API_VERSIONS
            }
            Self::Clusters(_) | Self::Cluster(_) => CLUSTER_VERSIONS,
            Self::Extensions(_) | Self::UnderWay(_) | Self::ExtensionUnderWay(..) => {
                EXTENSION_VERSIONS
            }
            Self::RoleAssignments(_) | Self::RoleAssignment(..) => ASSIGNMENT_VERSIONS,
            Self::RoleDefinitions(_) | Self::RoleDefinition(..) => DEFINITION_VERSIONS,
            Self::Operations(provider) => provider.operation_versions(),
            Self::Subscriptions
            | Self::Subscription(_)
            | Self::Tenants
            | Self::Providers(_)
            | Self::Provider(..)
            | Self::Registration(..)
            | Self::Groups(_)
            | Self::Group(_)
            | Self::Resources(_)
            | Self::Desired(_)
            | Self::Status(_) => &[],
        }
    }

    /// The methods that it answers.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Configuration(_) | Self::RoleAssignment(..) => "GET, PUT, DELETE",
            Self::FluxConfiguration(_) | Self::Cluster(_) => "GET, PUT, PATCH, DELETE",
            Self::Group(_) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Registration(..) => "POST",
            Self::Status(_) => "PUT",
            _ => "GET",
        }
    }
}

/// `az resource` puts a parent that is not there between two slashes, and some clients join an address
/// that ends in one with a path that begins with one.
fn folded(path: &str) -> String {
    path.replace("//", "/")
}

fn data_plane(path: &str) -> Result<Route, Refusal> {
    if let Some(id) = strip_suffix(path, "/configurations") {
        return cluster(id).map(Route::Desired);
    }
    let (id, name) = strip_suffix(path, "/status")
        .and_then(|path| path.rsplit_once('/'))
        .and_then(|(path, name)| Some((strip_suffix(path, "/configurations")?, name)))
        .ok_or_else(|| Refusal::no_route(&"the data plane has no such path"))?;
    cluster(id)?
        .configuration(name)
        .map(Route::Status)
        .map_err(|error| Refusal::no_route(&error))
}

fn cluster(path: &str) -> Result<ClusterId, Refusal> {
    path.parse().map_err(|error| Refusal::no_route(&error))
}

/// The subscription or the group that a path begins with.
fn scope(path: &str, parts: usize) -> Result<Scope, Refusal> {
    first(path, parts)
        .parse()
        .map_err(|error| Refusal::no_route(&error))
}

/// The scope that a path names before its last parts.
fn above(path: &str, parts: usize) -> Result<Scope, Refusal> {
    let scope = match before(path, parts) {
        "" => "/",
        scope => scope,
    };
    scope.parse().map_err(|error| Refusal::no_route(&error))
}

/// A name that must be a GUID, as ARM writes them.
fn guid(text: &str) -> Result<Uuid, Refusal> {
    let id = text.parse::<Uuid>().ok();
    id.filter(|id| id.to_string() == text)
        .ok_or_else(|| Refusal::no_route(&"the name of a role is a GUID"))
}

fn provider(name: &str) -> Result<&'static Provider, Refusal> {
    providers::find(name).ok_or_else(|| Refusal::no_provider(name))
}

/// A path's first parts.
fn first(path: &str, parts: usize) -> &str {
    let end = path.match_indices('/').nth(parts);
    end.map_or(path, |(end, _)| &path[..end])
}

/// What a path has before its last parts.
fn before(path: &str, parts: usize) -> &str {
    let start = path.rmatch_indices('/').nth(parts - 1);
    start.map_or("", |(start, _)| &path[..start])
}

/// What follows a text, whatever its case.
pub(super) fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str =
        "/subscriptions/s/resourceGroups/g(1)/providers/Microsoft.Kubernetes/connectedClusters/c";

    const OWN: &str = "/providers/Microsoft.KubernetesConfiguration";
    const ROLES: &str = "/providers/Microsoft.Authorization/role";
    const NAME: Uuid = Uuid::from_u128(0xabcdef);

    #[test]
    fn paths_are_matched_without_regard_to_case() {
        let cluster: ClusterId = CLUSTER.parse().unwrap();
        let one = cluster.configuration("blue").unwrap();
        let flux: FluxConfigurationId = one
            .as_str()
            .replace("sourceControl", "flux")
            .parse()
            .unwrap();
        let subscription: Scope = "/subscriptions/s".parse().unwrap();
        let group: Scope = "/subscriptions/s/resourceGroups/g(1)".parse().unwrap();
        let kubernetes = providers::find("Microsoft.Kubernetes").unwrap();
        let own = providers::find("Microsoft.KubernetesConfiguration").unwrap();
        let table = [
            ("/subscriptions".to_owned(), Route::Subscriptions),
            (
                cluster.to_string().replace("/connected", "//connected"),
                Route::Cluster(cluster.clone()),
            ),
            (
                subscription.to_string(),
                Route::Subscription(subscription.clone()),
            ),
            (
                format!("{subscription}/providers"),
                Route::Providers(subscription.clone()),
            ),
            (
                format!("{subscription}/providers/Microsoft.Kubernetes"),
                Route::Provider(subscription.clone(), kubernetes),
            ),
            (
                format!("{subscription}/providers/Microsoft.Kubernetes/register"),
                Route::Registration(subscription.clone(), kubernetes),
            ),
            (
                format!("{subscription}/resourceGroups"),
                Route::Groups(subscription.clone()),
            ),
            (group.to_string(), Route::Group(group.clone())),
            (
                format!("{group}/resources"),
                Route::Resources(group.clone()),
            ),
            (
                format!("{subscription}/providers/Microsoft.Kubernetes/connectedClusters"),
                Route::Clusters(subscription.clone()),
            ),
            (
                format!("{group}/providers/Microsoft.Kubernetes/connectedClusters"),
                Route::Clusters(group),
            ),
            (CLUSTER.to_owned(), Route::Cluster(cluster.clone())),
            (
                format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/extensions"),
                Route::Extensions(cluster.clone()),
            ),
            (
                "/providers/Microsoft.KubernetesConfiguration/operations".to_owned(),
                Route::Operations(own),
            ),
            (
                cluster.configurations_path(),
                Route::Configurations(cluster.clone()),
            ),
            (one.as_str().to_owned(), Route::Configuration(one.clone())),
            (
                cluster
                    .configurations_path()
                    .replace("sourceControl", "flux"),
                Route::FluxConfigurations(cluster.clone()),
            ),
            (
                flux.as_str().to_owned(),
                Route::FluxConfiguration(flux.clone()),
            ),
            (
                format!("{flux}/operations/7f"),
                Route::FluxUnderWay(flux, "7f".to_owned()),
            ),
            (
                format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/operations"),
                Route::UnderWay(cluster.clone()),
            ),
            (
                format!(
                    "{CLUSTER}/providers/Microsoft.KubernetesConfiguration/extensions/e/operations/7f"
                ),
                Route::ExtensionUnderWay(cluster.clone(), "7f".to_owned()),
            ),
            (
                format!("{CLUSTER}{ROLES}Assignments"),
                Route::RoleAssignments((&cluster).into()),
            ),
            (
                format!("{subscription}{ROLES}Assignments/{NAME}"),
                Route::RoleAssignment(subscription.clone(), NAME),
            ),
            (
                format!("{ROLES}Definitions"),
                Route::RoleDefinitions(Scope::EVERYWHERE),
            ),
            (
                format!("{ROLES}Definitions/{NAME}"),
                Route::RoleDefinition(Scope::EVERYWHERE, NAME),
            ),
            (cluster.data_plane_path(), Route::Desired(cluster.clone())),
            (cluster.status_path("blue"), Route::Status(one)),
        ];
        for (path, route) in table {
            for path in [path.clone(), path.to_lowercase(), path.to_uppercase()] {
                let escaped = path.replace('(', "%28").replace(')', "%29");
                let found = Route::parse(&escaped).map_err(|_| "no route");
                // Scopes are compared as they are written.
                let found = format!("{found:?}").to_lowercase();
                assert_eq!(found, format!("Ok({route:?})").to_lowercase(), "{path}");
            }
        }
    }

    #[test]
    fn other_paths_are_no_route() {
        for path in [
            "",
            "/",
            "//",
            "/subscriptions/",
            "/subscriptions/s/",
            "/subscriptions/%2e%2e",
            "/subscriptions/s/providers/Microsoft.Storage",
            "/subscriptions/s/resourceGroups/",
            "/dataplane/v1",
            "/dataplane/v1/status",
            "/dataplane/v2/configurations",
            "/dataplane/v1/configurations/x/status",
            &format!("/dataplane/v1{CLUSTER}"),
            &format!("/dataplane/v1{CLUSTER}/configurations/x"),
            &format!("/dataplane/v1{CLUSTER}/configurations/../status"),
            &format!("/dataplane/v1{CLUSTER}/configurations/%2e%2e/status"),
            &format!("/dataplane/v1{CLUSTER}/configurations/a%2fb/status"),
            &format!("{CLUSTER}{CONFIGURATIONS}/a/b"),
            &format!("{CLUSTER}{CONFIGURATIONS}/"),
            &format!("{CLUSTER}{CONFIGURATIONS}/%ff"),
            &format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/privateLinkScopes"),
            &format!("{CLUSTER}/a/b{ROLES}Assignments"),
            &format!("{CLUSTER}/a/b{OWN}/extensions"),
            &format!("{CLUSTER}/a/b{OWN}/operations"),
            &format!("{CLUSTER}/a/b{OWN}/extensions/x/operations/y"),
            &format!("{CLUSTER}/a/b{OWN}/fluxConfigurations"),
            &format!("{CLUSTER}/a/b{OWN}/fluxConfigurations/x"),
            &format!("{CLUSTER}/a/b{OWN}/fluxConfigurations/x/operations/y"),
            &format!(
                "{CLUSTER}{OWN}/fluxConfigurations/x/a/b{OWN}/fluxConfigurations/y/operations/z"
            ),
            &format!("{OWN}/extensions"),
            &format!("/subscriptions{ROLES}Assignments/{NAME}"),
            &format!("{CLUSTER}{ROLES}Assignments/{}", NAME.simple()),
            &format!("{CLUSTER}{ROLES}Assignments/x"),
            &format!("{ROLES}Assignments/{NAME}/x"),
            &format!("//{ROLES}s"),
            &CLUSTER.replace("connectedClusters", "virtualMachines"),
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_is_open_to_anyone_is_named_here() {
        const TENANT: &str = "0a1b";
        let table = [
            ("/openapi.json", Some(Public::Document)),
            ("/metadata/endpoints", Some(Public::Metadata)),
            ("//metadata/endpoints", Some(Public::Metadata)),
            ("//adfs//oauth2/token", Some(Public::Token)),
            (
                "/ADFS/.well-known/openid-configuration",
                Some(Public::OpenId("adfs".to_owned())),
            ),
            (
                "/0a1b/v2.0/.well-known/openid-configuration",
                Some(Public::OpenId("0a1b/v2.0".to_owned())),
            ),
            (
                "/adfs/adfs/v2.0/.well-known/openid-configuration",
                Some(Public::OpenId("0a1b/v2.0".to_owned())),
            ),
            ("/adfs/other/v2.0/.well-known/openid-configuration", None),
            ("/adfs/discovery/keys", Some(Public::Keys)),
            ("/adfs/oauth2/token", Some(Public::Token)),
            ("/0a1b/oauth2/v2.0/token", Some(Public::Token)),
            ("/other/oauth2/v2.0/token", None),
            ("/other/.well-known/openid-configuration", None),
            ("/.well-known/openid-configuration", None),
            ("/dataplane/v1/enrolments", Some(Public::Enrolment)),
            ("/dataplane/v1/enrolments/", None),
            ("/metadata/endpoints/", None),
            ("/subscriptions", None),
            ("", None),
        ];
        for (path, open) in table {
            assert_eq!(Public::parse(path, TENANT), open, "{path}");
        }
    }
}
