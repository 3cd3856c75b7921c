"""azure-mgmt-kubernetesconfiguration: everything that it can do with sourceControlConfigurations, in its own default
api-version and in all others that it knows."""

import base64
import json
from importlib.metadata import version

from azure.mgmt.kubernetesconfiguration import SourceControlConfigurationClient

import portal

CLUSTER = ("edge", "Microsoft.Kubernetes", "connectedClusters", "edge-07")
URL = "https://git.example.net/blue/deploy.git"
PACKAGE = version("azure-mgmt-kubernetesconfiguration")[:3]
OLD = PACKAGE == "0.3"


def text(value):
    return base64.b64encode(value.encode()).decode()


def connect(**options):
    if not OLD:
        return portal.client(SourceControlConfigurationClient, **options)
    # Before there was a common way to prove oneself.
    from msrest.authentication import BasicTokenAuthentication

    token = portal.credential.get_token(portal.scope).token
    client = SourceControlConfigurationClient(
        BasicTokenAuthentication({"access_token": token}), portal.subscription, base_url=portal.url
    )
    client.config.connection.verify = portal.ca
    return client


def refusal(call, status):
    """The answer to a call that must be refused."""
    try:
        call()
    except Exception as error:
        found = getattr(error, "status_code", None) or error.response.status_code
        assert found == status, error
        return error
    raise AssertionError("nothing was refused")


def delete(operations, name):
    if OLD:
        operations.delete(*CLUSTER, name).result()
    else:
        operations.begin_delete(*CLUSTER, name).result()


def surroundings(client):
    """What the provider can do, and what is under way, which nothing ever is. Whether this version can ask for that."""
    names = [one.name for one in client.operations.list()]
    assert "Microsoft.KubernetesConfiguration/sourceControlConfigurations/write" in names, names
    try:
        status = client.operation_status
    except (AttributeError, ValueError):
        return False
    assert list(status.list(*CLUSTER)) == []
    error = refusal(lambda: status.get(*CLUSTER, "any", "0a1b"), 404)
    assert "Operation with id '0a1b' not found." in str(error), error
    return True


def journey(client, models):
    operations = client.source_control_configurations
    new = models.SourceControlConfiguration
    assert list(operations.list(*CLUSTER)) == []
    error = refusal(lambda: operations.get(*CLUSTER, "blue"), 404)
    assert "SourceControlConfiguration with name 'blue' not found." in str(error), error

    made = operations.create_or_update(
        *CLUSTER,
        "blue",
        new(
            repository_url=URL,
            operator_namespace="team-blue",
            operator_instance_name="blue-op",
            operator_type="flux",
            operator_params="--git-branch=main --git-path=prod ",
            operator_scope="namespace",
            configuration_protected_settings={"httpsUser": text("bot"), "httpsKey": text("s3cr3t")},
            enable_helm_operator=False,
        ),
    )
    assert made.name == "blue", made
    assert made.type == "Microsoft.KubernetesConfiguration/sourceControlConfigurations"
    assert made.operator_type == "Flux"
    assert made.operator_params == "--git-readonly --git-branch=main --git-path=prod"
    assert made.configuration_protected_settings == {}, made.configuration_protected_settings
    assert made.provisioning_state == "Succeeded"
    assert made.enable_helm_operator is False
    assert made.repository_public_key == ""
    status = made.compliance_status
    assert status.compliance_state == "Pending"
    assert status.message_level == "Information"
    assert status.last_config_applied.year == 1
    assert json.loads(status.message) == {"OperatorMessage": None, "ClusterState": None}
    if made.system_data is not None:
        assert made.system_data.created_by == "ann"
        assert made.system_data.created_at is not None

    shown = operations.get(*CLUSTER, "BLUE")
    assert shown.as_dict() == made.as_dict()
    again = operations.create_or_update(*CLUSTER, "blue", shown)
    # That takes the secrets away, and is a change.
    unchanged = lambda one: {key: value for key, value in one.as_dict().items() if key != "system_data"}
    assert unchanged(again) == unchanged(made), (again, made)

    least = operations.create_or_update(*CLUSTER, "green", new(repository_url=URL))
    assert (least.operator_namespace, least.operator_scope) == ("default", "cluster")
    for number in range(3):
        operations.create_or_update(*CLUSTER, "more-%d" % number, new(repository_url=URL))
    # Five, in pages of two.
    names = [one.name for one in operations.list(*CLUSTER)]
    assert names == ["blue", "green", "more-0", "more-1", "more-2"], names

    error = refusal(
        lambda: operations.create_or_update(
            *CLUSTER, "blue", new(repository_url="nonsense", operator_namespace="Team")
        ),
        400,
    )
    for field in ["properties.repositoryUrl", "properties.operatorNamespace"]:
        assert field in str(error), error

    for name in names:
        delete(operations, name)
    delete(operations, "blue")
    assert list(operations.list(*CLUSTER)) == []


from azure.mgmt.kubernetesconfiguration import models

client = connect()
surroundings(client)
if OLD:
    journey(client, models)
else:
    journey(client, client.models("2021-03-01") if hasattr(client, "models") else models)

# The versions of a package are folders of it.
VERSIONS = [
    "2020-07-01-preview",
    "2020-10-01-preview",
    "2021-03-01",
    "2021-05-01-preview",
    "2021-11-01-preview",
    "2022-01-01-preview",
    "2022-03-01",
    "2022-07-01",
    "2022-11-01",
    "2023-05-01",
]
# How many of them a package has, and in how many of these it can ask what is under way.
WANTED = {"0.3": (0, 0), "1.0": (6, 3), "2.0": (7, 4), "3.1": (10, 7)}
found = asked = 0
for name in [] if OLD else VERSIONS:
    try:
        models = SourceControlConfigurationClient.models(name)
    except ValueError:
        continue
    client = connect(api_version=name)
    asked += surroundings(client)
    journey(client, models)
    found += 1
    print("as it was in", name)
assert (found, asked) == WANTED[PACKAGE], (PACKAGE, found, asked)
print("all is well")
