//! Connected clusters, and what belongs to a cluster of any kind.

use gitmoor_arm::{API_VERSIONS, FLUX_API_VERSIONS, FLUX_RESOURCE_TYPE, RESOURCE_TYPE};

use super::{CLUSTER, GROUP, Operation, SUBSCRIPTION, operation};
use crate::api::providers::{CLUSTER_VERSIONS, EXTENSION_VERSIONS};

pub(super) fn clusters() -> Vec<Operation> {
    let list = |path: &str, id| {
        operation(
            "get",
            format!("{path}/providers/Microsoft.Kubernetes/connectedClusters"),
            id,
            "Lists connected clusters.",
        )
        .of(CLUSTER_VERSIONS)
        .with(&["skipToken"])
        .json(200, "A page of clusters.", "ConnectedClusterList")
    };
    let one = |method, id, summary| {
        let path =
            format!("{GROUP}/providers/Microsoft.Kubernetes/connectedClusters/{{clusterName}}");
        operation(method, path, id, summary).of(CLUSTER_VERSIONS)
    };
    vec![
        list(SUBSCRIPTION, "ConnectedCluster_ListBySubscription"),
        list(GROUP, "ConnectedCluster_ListByResourceGroup"),
        one("get", "ConnectedCluster_Get", "Shows a connected cluster.").versioned(
            200,
            "The cluster.",
            "ConnectedCluster",
        ),
        one(
            "put",
            "ConnectedCluster_Create",
            "Makes or replaces a connected cluster.",
        )
        .conditional()
        .body("ConnectedClusterPut")
        .or(409)
        .versioned(200, "The cluster, which was there.", "ConnectedCluster")
        .versioned(201, "The new cluster.", "ConnectedCluster"),
        one(
            "patch",
            "ConnectedCluster_Update",
            "Changes the tags of a connected cluster.",
        )
        .conditional()
        .body("TagsPatch")
        .versioned(200, "The cluster.", "ConnectedCluster"),
        one(
            "delete",
            "ConnectedCluster_Delete",
            "Deletes a connected cluster with its configurations.",
        )
        .conditional()
        .empty(200, "It is gone.")
        .empty(204, "It was not there."),
    ]
}

/// What belongs to a cluster of any kind.
fn below(kind: &str) -> String {
    format!("{CLUSTER}/providers/{kind}")
}

pub(super) fn configurations() -> Vec<Operation> {
    let list = below(RESOURCE_TYPE);
    let one = |method, id, summary| {
        let path = format!("{list}/{{sourceControlConfigurationName}}");
        operation(method, path, id, summary).of(&API_VERSIONS)
    };
    vec![
        operation(
            "get",
            below("Microsoft.KubernetesConfiguration/extensions"),
            "Extensions_List",
            "Lists the extensions of a cluster: none.",
        )
        .of(EXTENSION_VERSIONS)
        .json(200, "Nothing.", "EmptyList"),
        operation(
            "get",
            below("Microsoft.KubernetesConfiguration/operations"),
            "OperationStatus_List",
            "Lists what takes its time: nothing.",
        )
        .of(EXTENSION_VERSIONS)
        .json(200, "Nothing.", "EmptyList"),
        operation(
            "get",
            below(
                "Microsoft.KubernetesConfiguration/extensions/{extensionName}/operations/{operationId}",
            ),
            "OperationStatus_Get",
            "Finds nothing: all is done when it is answered.",
        )
        .of(EXTENSION_VERSIONS),
        operation(
            "get",
            list.clone(),
            "SourceControlConfigurations_List",
            "Lists the configurations of a cluster.",
        )
        .of(&API_VERSIONS)
        .with(&["skipToken"])
        .json(
            200,
            "A page of configurations.",
            "SourceControlConfigurationList",
        ),
        one(
            "get",
            "SourceControlConfigurations_Get",
            "Shows a configuration.",
        )
        .versioned(200, "The configuration.", "SourceControlConfiguration"),
        one(
            "put",
            "SourceControlConfigurations_CreateOrUpdate",
            "Makes or replaces a configuration.",
        )
        .named(
            "sourceControlConfigurationName",
            "newSourceControlConfigurationName",
        )
        .conditional()
        .body("SourceControlConfigurationPut")
        .or(409)
        .versioned(
            200,
            "The configuration, which was there.",
            "SourceControlConfiguration",
        )
        .versioned(201, "The new configuration.", "SourceControlConfiguration"),
        one(
            "delete",
            "SourceControlConfigurations_Delete",
            "Deletes a configuration.",
        )
        .conditional()
        .or(409)
        .empty(200, "It is gone.")
        .empty(204, "It was not there."),
    ]
}

pub(super) fn flux() -> Vec<Operation> {
    let list = below(FLUX_RESOURCE_TYPE);
    let one = |method, id, summary| {
        let path = format!("{list}/{{fluxConfigurationName}}");
        operation(method, path, id, summary).of(&FLUX_API_VERSIONS)
    };
    vec![
        operation(
            "get",
            list.clone(),
            "FluxConfigurations_List",
            "Lists the Flux configurations of a cluster.",
        )
        .of(&FLUX_API_VERSIONS)
        .with(&["skipToken"])
        .json(
            200,
            "A page of Flux configurations.",
            "FluxConfigurationList",
        ),
        operation(
            "get",
            format!("{list}/{{fluxConfigurationName}}/operations/{{operationId}}"),
            "FluxConfigOperationStatus_Get",
            "Finds nothing: all is done when it is answered.",
        )
        .of(&FLUX_API_VERSIONS),
        one(
            "get",
            "FluxConfigurations_Get",
            "Shows a Flux configuration.",
        )
        .versioned(200, "The Flux configuration.", "FluxConfiguration"),
        one(
            "put",
            "FluxConfigurations_CreateOrUpdate",
            "Makes or replaces a Flux configuration.",
        )
        .named("fluxConfigurationName", "newFluxConfigurationName")
        .conditional()
        .body("FluxConfigurationPut")
        .versioned(
            200,
            "The Flux configuration, which was there.",
            "FluxConfiguration",
        )
        .versioned(201, "The new Flux configuration.", "FluxConfiguration"),
        one(
            "patch",
            "FluxConfigurations_Update",
            "Changes what the body names.",
        )
        .conditional()
        .body("FluxConfigurationPatch")
        .versioned(200, "The Flux configuration.", "FluxConfiguration"),
        one(
            "delete",
            "FluxConfigurations_Delete",
            "Deletes a Flux configuration.",
        )
        .with(&["forceDelete"])
        .conditional()
        .empty(200, "It is gone.")
        .empty(204, "It was not there."),
    ]
}
