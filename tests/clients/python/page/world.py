"""What there is to see: clusters, configurations and reports, put through the portal's own APIs."""

import contextlib
import json
import os
import sqlite3
import ssl
import urllib.parse
import urllib.request

URL = os.environ["PORTAL_URL"]
SUBSCRIPTION = os.environ["PORTAL_SUBSCRIPTION"]
COMMIT = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f"
BEFORE = "17c2ab90d4e5f6a7b8c9d0e1f2a3b4c5d6e7f809"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk5cAAyWu2cLkpTt2QJ0bM4d7X8p1s0 gitmoor"

_tls = ssl.create_default_context(cafile=os.environ["PORTAL_CA"])
_agents = json.loads(os.environ["PORTAL_AGENTS"])
_tokens = {}


def ask(method, path, body=None, token=None, form=None):
    """A call of an API, which must succeed."""
    headers = {"User-Agent": "gitmoor/0.1.0"}
    data = None
    if token:
        headers["Authorization"] = "Bearer " + token
    if form:
        data = urllib.parse.urlencode(form).encode()
    elif body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request, context=_tls, timeout=30) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def token(client, secret):
    """A token of a principal, asked for once."""
    if client not in _tokens:
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": secret,
            "scope": URL + "/.default",
        }
        path = "/%s/oauth2/v2.0/token" % os.environ["PORTAL_TENANT"]
        _tokens[client] = ask("POST", path, form=form)["access_token"]
    return _tokens[client]


def owner():
    return token(os.environ["PORTAL_CLIENT"], os.environ["PORTAL_SECRET"])


def cluster_id(group, name):
    return "/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Kubernetes/connectedClusters/%s" % (
        SUBSCRIPTION,
        group,
        name,
    )


def page_of(group, name, *rest):
    """The path of a cluster's page, or of something below it."""
    return "/".join(["/clusters", SUBSCRIPTION, group, "connectedClusters", name, *rest])


def put_cluster(group, name, location, tags):
    ask(
        "PUT",
        "/subscriptions/%s/resourceGroups/%s?api-version=2024-11-01" % (SUBSCRIPTION, group),
        {"location": location},
        owner(),
    )
    body = {
        "location": location,
        "tags": tags,
        "identity": {"type": "SystemAssigned"},
        "properties": {"agentPublicKeyCertificate": "MIIB"},
    }
    ask("PUT", cluster_id(group, name) + "?api-version=2024-01-01", body, owner())


def put(group, cluster, name, **properties):
    properties.setdefault("repositoryUrl", "https://github.com/example/%s.git" % name)
    path = "%s/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/%s?api-version=2023-05-01"
    ask("PUT", path % (cluster_id(group, cluster), name), {"properties": properties}, owner())


def listed(group, cluster, name):
    """A configuration as the cluster's agent reads it."""
    key = cluster_id(group, cluster)
    path, found = "/dataplane/v1%s/configurations" % key, []
    while path:
        page = ask("GET", path, token=token(*_agents[key]))
        found += [one for one in page["value"] if one["name"] == name]
        path = (page.get("nextLink") or "").removeprefix(URL)
    return found[0]


def report(group, cluster, name, **said):
    """Says something as the cluster's agent would."""
    key = cluster_id(group, cluster)
    said.setdefault("messageLevel", "Information")
    said["observedEtag"] = listed(group, cluster, name)["etag"]
    ask("PUT", "/dataplane/v1%s/configurations/%s/status" % (key, name), said, token(*_agents[key]))


def compliant(group, cluster, name, commit=COMMIT, total=48, **said):
    report(
        group,
        cluster,
        name,
        **{
            "complianceState": "Compliant",
            "message": "%d objects are as the commit says" % total,
            "attemptedRevision": commit,
            "appliedRevision": commit,
            "lastConfigApplied": "2026-11-24T05:00:00Z",
            "objects": {"total": total, "changed": 3, "pruned": 0, "healed": 0, "problems": 0},
            **said,
        },
    )


def age(group, name):
    """Has the agent of a cluster last been seen long ago. Of one that never called."""
    with contextlib.closing(sqlite3.connect(os.environ["PORTAL_DATABASE"], timeout=30)) as database, database:
        id = cluster_id(group, name)
        old = "INSERT INTO presence (cluster, id, last_seen) VALUES (?, ?, '2026-01-01T00:00:00Z')"
        database.execute(old, [id.lower(), id])


def build():
    """All of it: one of every state."""
    put_cluster("edge", "edge-07", "westeurope", {"env": "prod", "team": "blue"})
    put_cluster("edge", "edge-08", "westeurope", {"env": "prod", "team": "green"})
    put_cluster("lab", "bench-01", "northeurope", {"env": "test"})
    put_cluster("lab", "bench-02", "northeurope", {})

    flags = "--git-branch=main --git-path=prod,shared --git-poll-interval=90s --sync-garbage-collection"
    put("edge", "edge-07", "shop", operatorNamespace="shop", operatorScope="namespace", operatorParams=flags)
    compliant("edge", "edge-07", "shop", BEFORE, 46)
    compliant("edge", "edge-07", "shop", BEFORE, 46, objects=counts(46, healed=2), message="2 drifts were put right")
    report(
        "edge",
        "edge-07",
        "shop",
        complianceState="Noncompliant",
        messageLevel="Error",
        message="2 of 48 objects are not as the commit says",
        attemptedRevision=COMMIT,
        appliedRevision=BEFORE,
        lastConfigApplied="2026-11-24T04:58:00Z",
        objects=counts(48, changed=5, pruned=1, healed=2, problems=4),
        problems=[
            problem("prod/web/deployment.yaml", 17, "Deployment.apps shop/web", "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
            problem("prod/web/ingress.yaml", 4, "Ingress.networking.k8s.io shop/web", "no kind `Ingress` in version `networking.k8s.io/v1beta1`: write `networking.k8s.io/v1`"),
            problem("shared/limits.yaml", 31, None, "mapping values are not allowed here: a quote is missing before column 18"),
            problem("prod/web/settings.yaml", 1, "ConfigMap shop/settings", "not as it was applied, and left so, since heal is detect: it has been deleted", "Drift"),
        ],
        drifts=[
            {"object": "ConfigMap shop/settings-of-the-shop-with-a-name-that-is-rather-long", "time": "2026-11-24T05:02:00Z", "manager": "kubectl-edit"},
            {"object": "Service shop/web", "time": "2026-11-24T05:01:00Z", "deleted": True},
        ],
        repositoryPublicKey=KEY,
        appliedCommit={
            "author": "Ada Lovelace",
            "authoredAt": "2026-11-23T16:20:00Z",
            "title": "The shop answers on port 8080",
        },
        inventory=[
            object_state("Deployment.apps shop/web", "Failed", "web-7d9f: ImagePullBackOff: no such image registry.example.net/shop/web:2.4.1"),
            object_state("StatefulSet.apps shop/orders", "InProgress", "2 of 3 replicas are ready"),
            object_state("ConfigMap shop/settings-of-the-shop-with-a-name-that-is-rather-long", "Current"),
            object_state("Service shop/web", "Current"),
        ],
    )
    put("edge", "edge-07", "archive", operatorNamespace="archive", operatorScope="namespace", operatorParams=flags)
    report(
        "edge",
        "edge-07",
        "archive",
        complianceState="Noncompliant",
        messageLevel="Error",
        message="1 problem; the first: 41 of 80 objects are no longer declared",
        attemptedRevision=COMMIT,
        appliedRevision=BEFORE,
        objects=counts(80, problems=1),
        problems=[
            problem(
                "",
                None,
                None,
                "this commit would delete 41 of 80 objects, which is more than half: ConfigMap archive/words, "
                "Deployment.apps archive/web, Service archive/web and 38 more. Nothing was deleted. To confirm it, "
                "annotate the configuration with gitmoor.io/confirm-prune: " + COMMIT,
                "Guarded",
            )
        ],
    )
    put("edge", "edge-07", "monitoring", repositoryUrl="git@github.com:example/monitoring.git", operatorNamespace="monitoring")
    compliant("edge", "edge-07", "monitoring", total=131)
    put("edge", "edge-08", "shop", operatorNamespace="shop", operatorScope="namespace", operatorParams=flags + " --gitmoor-suspend")
    compliant("edge", "edge-08", "shop")
    put("lab", "bench-01", "billing", repositoryUrl="https://git.example.net/blue/billing.git")
    report(
        "lab",
        "bench-01",
        "billing",
        complianceState="Failed",
        messageLevel="Error",
        message="the repository refuses the credentials: HTTP 401 from git.example.net",
    )
    put("lab", "bench-02", "empty")


def object_state(name, health, message=""):
    return {"object": name, "health": health, "message": message}


def counts(total, changed=0, pruned=0, healed=0, problems=0):
    return {"total": total, "changed": changed, "pruned": pruned, "healed": healed, "problems": problems}


def problem(path, line, object, message, reason="Invalid"):
    return {"path": path, "line": line, "object": object, "reason": reason, "message": message}
