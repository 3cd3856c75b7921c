//! ARM ids.

use std::collections::HashSet;

use gitmoor_arm::{ArmId, ClusterId, ConfigurationId};

const CLUSTER: &str = "/subscriptions/3f1c/resourceGroups/Edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07";

#[test]
fn an_id_keeps_its_case_and_is_equal_in_any() {
    let written: ClusterId = CLUSTER.parse().unwrap();
    let shouted: ClusterId = CLUSTER.to_uppercase().parse().unwrap();
    assert_eq!(written, shouted);
    assert_eq!(written.cmp(&shouted), std::cmp::Ordering::Equal);
    assert_eq!(HashSet::from([written.clone(), shouted]).len(), 1);
    assert_eq!(written.to_string(), CLUSTER);
    assert_eq!(written.resource_group(), "Edge");
    assert_ne!(
        written,
        CLUSTER.replace("edge-07", "edge-08").parse().unwrap()
    );
}

#[test]
fn a_configuration_knows_its_cluster_and_its_paths() {
    let cluster: ClusterId = CLUSTER.parse().unwrap();
    let id = cluster.configuration("team-blue").unwrap();
    assert_eq!(id.name(), "team-blue");
    assert_eq!(id.cluster(), cluster);
    assert_eq!(
        id.as_str(),
        format!(
            "{CLUSTER}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/team-blue"
        )
    );
    assert_eq!(
        id.as_str()
            .to_lowercase()
            .parse::<ConfigurationId>()
            .unwrap(),
        id
    );
    assert_eq!(
        cluster.status_path("team-blue"),
        format!("/dataplane/v1{CLUSTER}/configurations/team-blue/status")
    );
    cluster.configuration("a/b").unwrap_err();
    cluster.configuration("..").unwrap_err();
}

#[test]
fn what_is_no_id_is_told_why() {
    let cluster = |text: &str| text.parse::<ClusterId>().unwrap_err().to_string();
    let cases = [
        ("", "must begin with /subscriptions/"),
        (
            "subscriptions/s/resourceGroups/g",
            "must begin with /subscriptions/",
        ),
        ("/tenants/s", "must begin with /subscriptions/"),
        ("/subscriptions//resourceGroups/g", "part 2 of it is empty"),
        ("/subscriptions/s/", "part 3 of it is empty"),
        ("/subscriptions/s/resourceGroups", "a type without a name"),
        ("/subscriptions/s/resourceGroups/../x/y", "may only hold"),
        ("/subscriptions/s/resourceGroups/a?b", "may only hold"),
        ("/subscriptions/s/resourceGroups/a%2fb", "may only hold"),
        (
            "/subscriptions/s/resourceGroups/g",
            "write /subscriptions/{id}/",
        ),
    ];
    for (text, expected) in cases {
        let error = cluster(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = cluster(&CLUSTER.replace("connectedClusters", "connectedCluster"));
    assert!(
        error.contains("Microsoft.Kubernetes/connectedClusters"),
        "{error}"
    );
    let error = cluster(&CLUSTER.replace(
        "resourceGroups/Edge",
        &format!("resourceGroups/{}", "g".repeat(91)),
    ));
    assert!(error.contains("more than 90 characters"), "{error}");
    let error = cluster(&format!("/subscriptions/{}", "s".repeat(2000)));
    assert!(error.contains("longer than 1024"), "{error}");
}

#[test]
fn every_kind_of_cluster_is_known() {
    for kind in [
        "Microsoft.Kubernetes/connectedClusters",
        "microsoft.kubernetes/connectedclusters",
        "Microsoft.ContainerService/managedClusters",
        "Microsoft.HybridContainerService/provisionedClusters",
        "Microsoft.ResourceConnector/appliances",
    ] {
        let id: ClusterId = format!("/subscriptions/s/resourceGroups/g/providers/{kind}/c")
            .parse()
            .unwrap();
        assert_eq!(format!("{}/{}", id.provider(), id.cluster_type()), kind);
        assert_eq!((id.subscription(), id.name()), ("s", "c"));
    }
}

#[test]
fn any_resource_has_an_id() {
    let id: ArmId = "/subscriptions/s/resourceGroups/g".parse().unwrap();
    assert_eq!(
        id.segments().collect::<Vec<_>>(),
        ["subscriptions", "s", "resourceGroups", "g"]
    );
}
