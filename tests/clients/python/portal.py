"""The portal that a program asks, by what its environment says."""

import os

from azure.identity import ClientSecretCredential

url = os.environ["PORTAL_URL"]
ca = os.environ["PORTAL_CA"]
subscription = os.environ["PORTAL_SUBSCRIPTION"]
scope = url + "/.default"

# By the tenant's id, as in Azure; nobody else is asked whether there is such a directory.
credential = ClientSecretCredential(
    os.environ["PORTAL_TENANT"],
    os.environ["PORTAL_CLIENT"],
    os.environ["PORTAL_SECRET"],
    authority=url,
    disable_instance_discovery=True,
    connection_verify=ca,
)


def client(of, **options):
    """A client of the newer SDKs."""
    return of(
        credential, subscription, base_url=url, credential_scopes=[scope], connection_verify=ca, retry_total=0, **options
    )
