"""azure-mgmt-hybridkubernetes: connected clusters, from the first to the last call."""

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.hybridkubernetes import ConnectedKubernetesClient
from azure.mgmt.hybridkubernetes import models

import portal

client = portal.client(ConnectedKubernetesClient)
clusters = client.connected_cluster
# The package has no resource groups; another one has, and it is the same call for all of them.
from azure.core.rest import HttpRequest

group = "/subscriptions/%s/resourceGroups/edge" % portal.subscription
request = HttpRequest(
    "PUT", portal.url + group, params={"api-version": "2024-11-01"}, json={"location": "westeurope"}
)
assert client.send_request(request).status_code == 201


def cluster():
    return models.ConnectedCluster(
        location="westeurope",
        tags={"env": "prod"},
        identity=models.ConnectedClusterIdentity(type="SystemAssigned"),
        properties=models.ConnectedClusterProperties(agent_public_key_certificate="MIIB", distribution="k3s"),
    )


try:
    clusters.get("edge", "edge-07")
    raise AssertionError("there is none yet")
except ResourceNotFoundError as error:
    assert error.error.code == "ResourceNotFound", error

made = clusters.begin_create_or_replace("edge", "edge-07", cluster()).result()
assert made.name == "edge-07" and made.location == "westeurope", made
assert made.properties.provisioning_state == "Succeeded"
assert made.properties.connectivity_status == "Connecting"
assert made.identity.type == "SystemAssigned"
assert made.system_data.created_by == "ann"

patched = clusters.begin_update_async(
    "edge", "edge-07", models.ConnectedClusterPatch(tags={"env": "test"})
).result()
assert patched.tags == {"env": "test"}, patched
shown = clusters.get("edge", "edge-07")
assert shown.as_dict() == patched.as_dict()

# As the cluster's agent does.
said = {"User-Agent": "gitmoor/0.1.0", "gitmoor-kubernetes-version": "1.34.1", "gitmoor-nodes": "3"}
configurations = "/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations"
request = HttpRequest(
    "GET", portal.url + shown.id + configurations, params={"api-version": "2023-05-01"}, headers=said
)
assert client.send_request(request).status_code == 200
seen = clusters.get("edge", "edge-07").properties
assert seen.connectivity_status == "Connected", seen
assert seen.agent_version == "0.1.0" and seen.kubernetes_version == "1.34.1", seen
assert seen.total_node_count == 3 and seen.last_connectivity_time is not None, seen

for number in range(4):
    clusters.begin_create_or_replace("edge", "more-%d" % number, cluster()).result()
names = [one.name for one in clusters.list_by_subscription()]
assert names == ["edge-07", "more-0", "more-1", "more-2", "more-3"], names
assert [one.name for one in clusters.list_by_resource_group("edge")] == names
assert any("connectedClusters" in one.name for one in client.operations.get())

for name in names:
    clusters.begin_delete("edge", name).result()
clusters.begin_delete("edge", "edge-07").result()
assert list(clusters.list_by_resource_group("edge")) == []
print("all is well")
