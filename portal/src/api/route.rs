//! The paths that the portal answers, matched as ARM does: without regard to case, and by the form
//! of the ids in them.

use gitmoor_arm::{ClusterId, ConfigurationId, DATA_PLANE_PREFIX};
use percent_encoding::percent_decode_str;

use super::refusal::Refusal;

const OPERATIONS: &str = "/providers/Microsoft.KubernetesConfiguration/operations";
const CONFIGURATIONS: &str =
    "/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations";

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// What ARM's provider can do.
    Operations,
    /// The configurations of a cluster, for principals.
    Configurations(ClusterId),
    /// One of them.
    Configuration(ConfigurationId),
    /// The configurations of a cluster, for its agent.
    Desired(ClusterId),
    /// The status of one of them, from the agent.
    Status(ConfigurationId),
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        // Clients escape what need not be, such as the parentheses of a resource group.
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::no_route("the path is no UTF-8"))?;
        if path.eq_ignore_ascii_case(OPERATIONS) {
            return Ok(Self::Operations);
        }
        if let Some(rest) = strip_prefix(&path, DATA_PLANE_PREFIX) {
            return data_plane(rest);
        }
        match strip_suffix(&path, CONFIGURATIONS) {
            Some(cluster) => cluster.parse().map(Self::Configurations),
            None => path.parse().map(Self::Configuration),
        }
        .map_err(|error| Refusal::no_route(&error.to_string()))
    }

    /// The methods that it answers.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Operations | Self::Configurations(_) | Self::Desired(_) => "GET",
            Self::Configuration(_) => "GET, PUT, DELETE",
            Self::Status(_) => "PUT",
        }
    }
}

fn data_plane(path: &str) -> Result<Route, Refusal> {
    let no_route = |error: &dyn std::error::Error| Refusal::no_route(&error.to_string());
    if let Some(cluster) = strip_suffix(path, "/configurations") {
        return cluster
            .parse()
            .map(Route::Desired)
            .map_err(|error| no_route(&error));
    }
    let (cluster, name) = strip_suffix(path, "/status")
        .and_then(|path| path.rsplit_once('/'))
        .and_then(|(path, name)| Some((strip_suffix(path, "/configurations")?, name)))
        .ok_or_else(|| Refusal::no_route("the data plane has no such path"))?;
    cluster
        .parse::<ClusterId>()
        .and_then(|cluster| cluster.configuration(name))
        .map(Route::Status)
        .map_err(|error| no_route(&error))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
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

    #[test]
    fn paths_are_matched_without_regard_to_case() {
        let cluster: ClusterId = CLUSTER.parse().unwrap();
        let one = cluster.configuration("blue").unwrap();
        let table = [
            (OPERATIONS.to_owned(), Route::Operations),
            (
                cluster.configurations_path(),
                Route::Configurations(cluster.clone()),
            ),
            (one.as_str().to_owned(), Route::Configuration(one.clone())),
            (cluster.data_plane_path(), Route::Desired(cluster.clone())),
            (cluster.status_path("blue"), Route::Status(one)),
        ];
        for (path, route) in table {
            for path in [
                path.clone(),
                path.to_lowercase(),
                path.to_uppercase(),
                path.replace('(', "%28").replace(')', "%29"),
            ] {
                let found = Route::parse(&path).map_err(|_| "no route");
                assert_eq!(found.as_ref(), Ok(&route), "{path}");
            }
        }
    }

    #[test]
    fn other_paths_are_no_route() {
        for path in [
            "",
            "/",
            "/subscriptions",
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
            &format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/extensions"),
            CLUSTER,
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }
}
