//! The paths of the page. A cluster's is short: its type names its resource provider.

use gitmoor_arm::{ClusterId, ConfigurationId, IdError};
use percent_encoding::percent_decode_str;

use super::write::Button;
use crate::api::refusal::Refusal;

/// The paths, for the router; all else is the API's.
pub(super) const PATHS: [&str; 11] = [
    "/",
    "/clusters",
    "/configurations",
    "/clusters/{*rest}",
    "/create",
    "/events",
    "/sign-in",
    "/sign-in/link",
    "/sign-in/with",
    "/sign-in/callback",
    "/sign-out",
];

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// What is wrong now.
    Overview,
    Clusters,
    Configurations,
    Cluster(ClusterId),
    Configuration(ConfigurationId),
    /// That something changed.
    Events,
    Create,
    Edit(ConfigurationId),
    Press(ConfigurationId, Button),
    /// The deletions that wait.
    Confirm(ConfigurationId),
    Delete(ConfigurationId),
    SignIn,
    /// A link that signs someone in once.
    Link,
    /// To the OpenID provider.
    SignInWith,
    /// Back from it.
    Callback,
    SignOut,
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::no_route(&"the path is no UTF-8"))?;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let wrong = |error: IdError| Refusal::no_route(&error);
        match parts[..] {
            [""] => Ok(Self::Overview),
            ["clusters"] => Ok(Self::Clusters),
            ["configurations"] => Ok(Self::Configurations),
            ["clusters", subscription, group, kind, name] => {
                let cluster = ClusterId::new(subscription, group, kind, name);
                cluster.map(Self::Cluster).map_err(wrong)
            }
            ["clusters", subscription, group, kind, cluster, name] => {
                ClusterId::new(subscription, group, kind, cluster)
                    .and_then(|cluster| cluster.configuration(name))
                    .map(Self::Configuration)
                    .map_err(wrong)
            }
            ["clusters", subscription, group, kind, cluster, name, action] => {
                let id = ClusterId::new(subscription, group, kind, cluster)
                    .and_then(|cluster| cluster.configuration(name))
                    .map_err(wrong)?;
                match action {
                    "edit" => Ok(Self::Edit(id)),
                    "suspend" => Ok(Self::Press(id, Button::Suspend)),
                    "resume" => Ok(Self::Press(id, Button::Resume)),
                    "sync" => Ok(Self::Press(id, Button::Sync)),
                    "confirm" => Ok(Self::Confirm(id)),
                    "delete" => Ok(Self::Delete(id)),
                    _ => Err(Refusal::no_route(&"the page has no such action")),
                }
            }
            ["events"] => Ok(Self::Events),
            ["create"] => Ok(Self::Create),
            ["sign-in"] => Ok(Self::SignIn),
            ["sign-in", "link"] => Ok(Self::Link),
            ["sign-in", "with"] => Ok(Self::SignInWith),
            ["sign-in", "callback"] => Ok(Self::Callback),
            ["sign-out"] => Ok(Self::SignOut),
            _ => Err(Refusal::no_route(&"the page has no such path")),
        }
    }

    /// The methods that it answers.
    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Link | Self::Create | Self::Edit(_) | Self::Confirm(_) | Self::Delete(_) => {
                &["GET", "POST"]
            }
            Self::SignOut | Self::Press(..) => &["POST"],
            _ => &["GET"],
        }
    }

    /// The same for a header.
    pub(super) fn allow(&self) -> &'static str {
        match self.methods() {
            ["GET", "POST"] => "GET, POST",
            ["POST"] => "POST",
            _ => "GET",
        }
    }

    /// Whether anyone may go there.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            self,
            Self::SignIn | Self::Link | Self::SignInWith | Self::Callback
        )
    }
}

/// The page of a cluster.
pub(super) fn of_cluster(id: &ClusterId) -> String {
    format!(
        "/clusters/{}/{}/{}/{}",
        id.subscription(),
        id.resource_group(),
        id.cluster_type(),
        id.name()
    )
}

/// The page of a configuration.
pub(super) fn of_configuration(id: &ConfigurationId) -> String {
    format!("{}/{}", of_cluster(&id.cluster()), id.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_found_at_its_path() {
        for kind in [
            "Microsoft.Kubernetes/connectedClusters",
            "Microsoft.ContainerService/managedClusters",
        ] {
            let id = format!("/subscriptions/s/resourceGroups/g(1)/providers/{kind}/c");
            let cluster: ClusterId = id.parse().unwrap();
            let configuration = cluster.configuration("shop").unwrap();
            let path = of_cluster(&cluster).replace('(', "%28");
            assert_eq!(Route::parse(&path).unwrap(), Route::Cluster(cluster));
            let path = of_configuration(&configuration);
            let found = Route::parse(&path).unwrap();
            assert_eq!(found, Route::Configuration(configuration));
        }
        for path in [
            "/clusters/",
            "/clusters/s/g/virtualMachines/c",
            "/clusters/s/g/connectedClusters/..",
            "/clusters/s/g/connectedClusters/%2e%2e",
            "/clusters/s/g/connectedClusters/a%2fb%2fc",
            "/clusters/s/g/connectedClusters/<script>",
            "/clusters/%ff",
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }
}
