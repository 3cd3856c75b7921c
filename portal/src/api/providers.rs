//! The resource providers that the portal has, with the types and api-versions of each. All are
//! registered, always.

use axum::response::Response;
use gitmoor_arm::{API_VERSIONS, FLUX_API_VERSIONS};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Call, json,
    refusal::Refusal,
    roles::{self, ASSIGNMENT_VERSIONS, DEFINITION_VERSIONS},
    whole,
};
use crate::identity::Scope;

/// A resource provider.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(super) namespace: &'static str,
    types: &'static [Type],
}

/// A type of resources.
#[derive(Debug, PartialEq, Eq)]
struct Type {
    name: &'static str,
    versions: &'static [&'static str],
    /// Whether it has a place of its own and tags.
    tracked: bool,
}

/// Those of `Microsoft.Kubernetes/connectedClusters`, oldest first.
pub(super) const CLUSTER_VERSIONS: &[&str] = &[
    "2020-01-01-preview",
    "2021-03-01",
    "2021-04-01-preview",
    "2021-10-01",
    "2022-05-01-preview",
    "2022-10-01-preview",
    "2023-11-01-preview",
    "2024-01-01",
    "2024-02-01-preview",
    "2024-06-01-preview",
    "2024-07-01-preview",
    "2024-07-15-preview",
    "2024-12-01-preview",
    "2025-08-01-preview",
    "2025-12-01-preview",
    "2026-05-01",
];

/// Those of `Microsoft.KubernetesConfiguration/extensions`, oldest first.
pub(super) const EXTENSION_VERSIONS: &[&str] = &[
    "2020-07-01-preview",
    "2021-05-01-preview",
    "2021-09-01",
    "2021-11-01-preview",
    "2022-01-01-preview",
    "2022-03-01",
    "2022-04-02-preview",
    "2022-07-01",
    "2022-11-01",
    "2023-05-01",
    "2024-11-01",
    "2025-03-01",
];

/// Those in which `Microsoft.KubernetesConfiguration` says what it can do: all that it has, oldest
/// first. Clients ask in the version of whichever type they know.
const OPERATION_VERSIONS: &[&str] = &[
    "2019-11-01-preview",
    "2020-07-01-preview",
    "2020-10-01-preview",
    "2021-03-01",
    "2021-05-01-preview",
    "2021-09-01",
    "2021-11-01-preview",
    "2022-01-01-preview",
    "2022-03-01",
    "2022-04-02-preview",
    "2022-07-01",
    "2022-11-01",
    "2023-05-01",
    "2024-04-01-preview",
    "2024-11-01",
    "2025-03-01",
    "2025-04-01",
];

/// Those of ARM's own types that the portal names; it answers any.
const RESOURCE_VERSIONS: &[&str] = &["2016-06-01", "2021-04-01", "2022-12-01", "2024-11-01"];

const KUBERNETES_CONFIGURATION: &str = "Microsoft.KubernetesConfiguration";

pub(super) const PROVIDERS: [Provider; 4] = [
    Provider {
        namespace: KUBERNETES_CONFIGURATION,
        types: &[
            Type {
                name: "sourceControlConfigurations",
                versions: &API_VERSIONS,
                tracked: false,
            },
            Type {
                name: "fluxConfigurations",
                versions: &FLUX_API_VERSIONS,
                tracked: false,
            },
            Type {
                name: "extensions",
                versions: EXTENSION_VERSIONS,
                tracked: false,
            },
            Type {
                name: "operations",
                versions: OPERATION_VERSIONS,
                tracked: false,
            },
        ],
    },
    Provider {
        namespace: "Microsoft.Kubernetes",
        types: &[
            Type {
                name: "connectedClusters",
                versions: CLUSTER_VERSIONS,
                tracked: true,
            },
            Type {
                name: "operations",
                versions: CLUSTER_VERSIONS,
                tracked: false,
            },
        ],
    },
    Provider {
        namespace: "Microsoft.Authorization",
        types: &[
            Type {
                name: "roleAssignments",
                versions: ASSIGNMENT_VERSIONS,
                tracked: false,
            },
            Type {
                name: "roleDefinitions",
                versions: DEFINITION_VERSIONS,
                tracked: false,
            },
            Type {
                name: "operations",
                versions: roles::OPERATION_VERSIONS,
                tracked: false,
            },
        ],
    },
    Provider {
        namespace: "Microsoft.Resources",
        types: &[
            Type {
                name: "subscriptions",
                versions: RESOURCE_VERSIONS,
                tracked: false,
            },
            Type {
                name: "resourceGroups",
                versions: RESOURCE_VERSIONS,
                tracked: false,
            },
            Type {
                name: "resources",
                versions: RESOURCE_VERSIONS,
                tracked: false,
            },
        ],
    },
];

/// The provider of that namespace, whatever its case.
pub(super) fn find(namespace: &str) -> Option<&'static Provider> {
    static ALL: [Provider; 4] = PROVIDERS;
    ALL.iter()
        .find(|provider| provider.namespace.eq_ignore_ascii_case(namespace))
}

pub(super) fn list(call: &Call, subscription: &Scope) -> Result<Response, Refusal> {
    call.any_version()?;
    let providers = PROVIDERS.iter();
    let views = providers.map(|provider| provider.view(subscription));
    Ok(whole(views.collect()))
}

pub(super) fn show(
    call: &Call,
    subscription: &Scope,
    provider: &Provider,
) -> Result<Response, Refusal> {
    call.any_version()?;
    Ok(json(StatusCode::OK, &provider.view(subscription)))
}

impl Provider {
    /// The api-versions in which it says what it can do.
    pub(super) fn operation_versions(&self) -> &'static [&'static str] {
        let mut types = self.types.iter();
        let own = types.find(|kind| kind.name == "operations");
        own.map_or(RESOURCE_VERSIONS, |kind| kind.versions)
    }

    fn view(&self, subscription: &Scope) -> Value {
        let types: Vec<Value> = self
            .types
            .iter()
            .map(|kind| {
                let newest_first: Vec<&str> = kind.versions.iter().rev().copied().collect();
                json!({
                    "resourceType": kind.name,
                    "locations": [],
                    "apiVersions": newest_first,
                    "defaultApiVersion": newest_first[0],
                    "capabilities": if kind.tracked {
                        "SupportsTags, SupportsLocation"
                    } else {
                        "None"
                    },
                })
            })
            .collect();
        json!({
            "id": format!("{subscription}/providers/{}", self.namespace),
            "namespace": self.namespace,
            "resourceTypes": types,
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationFree",
        })
    }
}

/// What a provider can do, in the words of the roles that Azure gives.
pub(super) fn operations(call: &Call, provider: &Provider) -> Result<Response, Refusal> {
    let resource = format!("{}/operations", provider.namespace);
    call.version_of(provider.operation_versions(), &resource)?;
    let mut value = Vec::new();
    for kind in provider
        .types
        .iter()
        .filter(|kind| kind.name != "operations")
    {
        let verbs: &[&str] = if ["extensions", "roleDefinitions"].contains(&kind.name) {
            &["read"]
        } else {
            &["read", "write", "delete"]
        };
        for verb in verbs {
            let does = match *verb {
                "read" => format!("Gets {}.", kind.name),
                "write" => format!("Creates or updates {}.", kind.name),
                _ => format!("Deletes {}.", kind.name),
            };
            value.push(json!({
                "name": format!("{}/{}/{verb}", provider.namespace, kind.name),
                "display": {
                    "provider": provider.namespace,
                    "resource": kind.name,
                    "operation": does,
                    "description": does,
                },
                "isDataAction": false,
            }));
        }
    }
    Ok(whole(value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_a_provider_can_do_is_told_in_every_version_of_its_types() {
        for provider in &PROVIDERS {
            let types = provider.types.iter();
            let others = types.filter(|kind| kind.name != "operations");
            let all: BTreeSet<&str> = others.flat_map(|kind| kind.versions).copied().collect();
            let all: Vec<&str> = all.into_iter().collect();
            assert_eq!(provider.operation_versions(), all, "{}", provider.namespace);
        }
    }
}
