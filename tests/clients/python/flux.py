"""azure-mgmt-kubernetesconfiguration-fluxconfigurations, and fluxConfigurations in the package before it: from the first
to the last call, with the pollers that they have."""

import base64

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

import portal

CLUSTER = ("edge", "Microsoft.Kubernetes", "connectedClusters", "edge-07")
URL = "https://git.example.net/blue/deploy.git"


def text(value):
    return base64.b64encode(value.encode()).decode()


def refusal(call, status):
    """The answer to a call that must be refused."""
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code == status, error
        return error
    raise AssertionError("nothing was refused")


def configuration(models, **changes):
    fields = dict(
        scope="namespace",
        namespace="team-blue",
        source_kind="GitRepository",
        git_repository=models.GitRepositoryDefinition(
            url=URL,
            sync_interval_in_seconds=60,
            repository_ref=models.RepositoryRefDefinition(branch="main"),
            https_user="bot",
        ),
        kustomizations={
            "infra": models.KustomizationDefinition(path="./infra", prune=True),
            "apps": models.KustomizationDefinition(path="./apps", depends_on=["infra"]),
        },
        configuration_protected_settings={"httpsKey": text("s3cr3t")},
    )
    return models.FluxConfiguration(**{**fields, **changes})


def journey(client, models):
    operations = client.flux_configurations
    error = refusal(lambda: client.flux_config_operation_status.get(*CLUSTER, "blue", "0a1b"), 404)
    assert "Operation with id '0a1b' not found." in str(error), error
    assert list(operations.list(*CLUSTER)) == []
    try:
        operations.get(*CLUSTER, "blue")
        raise AssertionError("there is none yet")
    except ResourceNotFoundError as error:
        assert error.error.code == "ResourceNotFound", error

    made = operations.begin_create_or_update(*CLUSTER, "blue", configuration(models)).result()
    assert made.name == "blue", made
    assert made.type == "Microsoft.KubernetesConfiguration/fluxConfigurations"
    assert made.provisioning_state == "Succeeded"
    assert made.compliance_state == "Pending"
    assert made.scope == "namespace" and made.namespace == "team-blue"
    assert made.source_kind == "GitRepository" and made.suspend is False
    assert made.git_repository.url == URL
    assert made.git_repository.repository_ref.branch == "main"
    assert made.git_repository.timeout_in_seconds == 600
    assert made.kustomizations["apps"].depends_on == ["infra"]
    assert made.kustomizations["infra"].prune is True
    assert not made.configuration_protected_settings
    assert [one.name for one in made.statuses] == ["blue--apps", "blue--infra"]
    assert made.system_data.created_by == "ann"

    shown = operations.get(*CLUSTER, "BLUE")
    assert shown.as_dict() == made.as_dict()
    again = operations.begin_create_or_update(*CLUSTER, "blue", configuration(models)).result()
    assert again.as_dict() == made.as_dict()

    patch = models.FluxConfigurationPatch(
        suspend=True, kustomizations={"tools": models.KustomizationPatchDefinition(path="tools")}
    )
    patched = operations.begin_update(*CLUSTER, "blue", patch).result()
    assert sorted(patched.kustomizations) == ["apps", "infra", "tools"], patched
    assert patched.compliance_state == "Suspended"
    # The secrets are still there: without them the user would be refused.
    assert patched.git_repository.https_user == "bot"

    for number in range(3):
        operations.begin_create_or_update(*CLUSTER, "more-%d" % number, configuration(models)).result()
    # Four, in pages of two.
    names = [one.name for one in operations.list(*CLUSTER)]
    assert names == ["blue", "more-0", "more-1", "more-2"], names

    wrong = configuration(
        models,
        source_kind="Bucket",
        bucket=models.BucketDefinition(url="https://s3.example.net", bucket_name="blue"),
        git_repository=models.GitRepositoryDefinition(
            url=URL, repository_ref=models.RepositoryRefDefinition(tag="v1")
        ),
    )
    error = refusal(lambda: operations.begin_create_or_update(*CLUSTER, "blue", wrong), 400)
    for field in ["sourceKind", "bucket", "gitRepository.repositoryRef.tag"]:
        assert "properties.%s:" % field in str(error), error

    for name in names:
        operations.begin_delete(*CLUSTER, name).result()
    operations.begin_delete(*CLUSTER, "blue", force_delete=True).result()
    assert list(operations.list(*CLUSTER)) == []


from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
    KubernetesConfigurationFluxConfigurationsMgmtClient,
    models,
)

journey(portal.client(KubernetesConfigurationFluxConfigurationsMgmtClient), models)
print("as it is in 2025-04-01")

from azure.mgmt.kubernetesconfiguration import SourceControlConfigurationClient

for name in ["2022-03-01", "2022-07-01", "2022-11-01", "2023-05-01"]:
    models = SourceControlConfigurationClient.models(name)
    client = portal.client(SourceControlConfigurationClient, api_version=name)
    journey(client, models)
    print("as it was in", name)
print("all is well")
