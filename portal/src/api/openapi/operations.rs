//! What can be called: by path and method, in which api-versions, with what body and what answers.

use gitmoor_arm::{API_VERSIONS, RESOURCE_TYPE};
use serde_json::{Map, Value, json};

use super::{answers::refusal, component, parameters};
use crate::api::providers::{CLUSTER_VERSIONS, EXTENSION_VERSIONS, PROVIDERS};

/// What every call with a token may be answered.
const ALWAYS: [u16; 8] = [400, 401, 403, 404, 408, 429, 500, 503];

/// One method of a path.
pub(super) struct Operation {
    pub(super) path: String,
    pub(super) method: &'static str,
    /// As ARM's own documents call it, which is what clients call it too.
    pub(super) id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    open: bool,
}

fn operation(
    method: &'static str,
    path: impl Into<String>,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let path = path.into();
    let places = path.split('/').filter_map(|part| part.strip_prefix('{'));
    let parameters = places
        .map(|name| parameter(name.trim_end_matches('}')))
        .collect();
    Operation {
        path,
        method,
        id,
        summary,
        parameters,
        body: None,
        answers: ALWAYS
            .iter()
            .map(|status| (status.to_string(), refusal(*status)))
            .collect(),
        open: false,
    }
}

fn parameter(name: &str) -> Value {
    component("parameters", name)
}

impl Operation {
    pub(super) fn view(&self) -> Value {
        let mut view = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": self.parameters,
            "responses": self.answers,
        });
        if let Some(body) = &self.body {
            view["requestBody"] = json!({"required": true, "content": body});
        }
        if self.open {
            view["security"] = json!([]);
        }
        view
    }

    /// Of a resource type, in these versions.
    fn of(mut self, versions: &[&str]) -> Self {
        let version = json!({"type": "string", "enum": versions});
        self.parameters.push(parameters::version(&version));
        self
    }

    /// Of ARM itself.
    fn of_arm(mut self) -> Self {
        self.parameters.push(parameter("anyVersion"));
        self
    }

    fn with(mut self, names: &[&str]) -> Self {
        self.parameters
            .extend(names.iter().map(|name| parameter(name)));
        self
    }

    /// A resource that is made has a stricter name than one that may be there.
    fn named(mut self, old: &str, new: &str) -> Self {
        self.parameters.retain(|one| *one != parameter(old));
        self.with(&[new])
    }

    fn body(mut self, schema: &str) -> Self {
        self.body = Some(json!({"application/json": {"schema": component("schemas", schema)}}));
        self.or(413)
    }

    fn conditional(self) -> Self {
        self.with(&["ifMatch", "ifNoneMatch"]).or(412)
    }

    fn or(mut self, status: u16) -> Self {
        self.answers.insert(status.to_string(), refusal(status));
        self
    }

    fn json(self, status: u16, description: &str, schema: &str) -> Self {
        let content = json!({"application/json": {"schema": component("schemas", schema)}});
        self.answer(
            status,
            json!({"description": description, "content": content}),
        )
    }

    /// The same, with the resource's version in a header.
    fn versioned(mut self, status: u16, description: &str, schema: &str) -> Self {
        self = self.json(status, description, schema);
        self.answers[&status.to_string()]["headers"] = json!({
            "ETag": {"required": true, "schema": {"type": "string", "pattern": "^\".+\"$"}},
        });
        self
    }

    fn empty(self, status: u16, description: &str) -> Self {
        self.answer(status, json!({"description": description}))
    }

    fn answer(mut self, status: u16, answer: Value) -> Self {
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// For anyone: answered by these alone.
    fn open(mut self, refusals: &[u16]) -> Self {
        self.open = true;
        self.answers = refusals
            .iter()
            .map(|status| (status.to_string(), refusal(*status)))
            .collect();
        self
    }
}

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    [open(), arm(), clusters(), configurations()]
        .into_iter()
        .flatten()
        .collect()
}

fn open() -> Vec<Operation> {
    let directory = "/{tenant}/.well-known/openid-configuration";
    let open_id = |path: &str, id| {
        // Of no tenant of the portal's, it is a path as any other.
        operation("get", path, id, "Describes the directory.")
            .open(&[400, 401, 404, 408])
            .json(
                200,
                "The directory, as OpenID Connect describes one.",
                "OpenIdConfiguration",
            )
    };
    let token = |path: &str, id| {
        let content = |schema: Value| json!({"application/json": {"schema": schema}});
        let denial = component("schemas", "TokenError");
        let envelope = component("schemas", "ErrorResponse");
        let either = json!({"anyOf": [denial, envelope]});
        let mut token = operation(
            "post",
            path,
            id,
            "Gives a token for a secret or an assertion.",
        )
        .open(&[404, 408, 413, 500, 503])
        .json(200, "The token.", "Token")
        .answer(
            400,
            json!({"description": "The request is wrong.", "content": content(either.clone())}),
        )
        .answer(
            401,
            json!({"description": "The client did not prove itself.", "content": content(either)}),
        );
        token.body = Some(json!({
            "application/x-www-form-urlencoded": {"schema": component("schemas", "TokenRequest")},
        }));
        token
    };
    vec![
        operation("get", "/openapi.json", "OpenApi_Get", "This document.")
            .open(&[400, 408])
            .json(200, "The document.", "Document"),
        operation(
            "get",
            "/metadata/endpoints",
            "Metadata_Get",
            "Says where everything is, to `az cloud register`.",
        )
        .open(&[400, 408])
        .json(200, "The addresses.", "Metadata"),
        open_id(directory, "OpenId_Get"),
        open_id(&directory.replace("/.", "/v2.0/."), "OpenId_GetV2"),
        operation(
            "get",
            "/{tenant}/discovery/keys",
            "Keys_Get",
            "The keys that tokens are signed with.",
        )
        .open(&[400, 401, 404, 408])
        .json(200, "The keys.", "KeySet"),
        token("/{tenant}/oauth2/token", "Token_Give"),
        token("/{tenant}/oauth2/v2.0/token", "Token_GiveV2"),
    ]
}

const SUBSCRIPTION: &str = "/subscriptions/{subscriptionId}";
const GROUP: &str = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";

fn arm() -> Vec<Operation> {
    let get = |path: &str, id, summary| operation("get", path, id, summary).of_arm();
    let provider = format!("{SUBSCRIPTION}/providers/{{namespace}}");
    let registration = |word: &str, id| {
        operation(
            "post",
            format!("{provider}/{word}"),
            id,
            "Changes nothing: all providers are registered.",
        )
        .of_arm()
        .json(200, "The provider.", "Provider")
    };
    let resources = |path: &str, id| {
        get(
            &format!("{path}/resources"),
            id,
            "Lists what has a location: clusters.",
        )
        .with(&["filter", "expand", "skipToken"])
        .json(200, "A page of resources.", "ResourceList")
    };
    let mut found = vec![
        get(
            "/subscriptions",
            "Subscriptions_List",
            "Lists the subscriptions that the caller has a role in.",
        )
        .json(200, "The subscriptions.", "SubscriptionList"),
        get(SUBSCRIPTION, "Subscriptions_Get", "Shows a subscription.").json(
            200,
            "The subscription.",
            "Subscription",
        ),
        get("/tenants", "Tenants_List", "Lists the one directory.").json(
            200,
            "The directory.",
            "TenantList",
        ),
        get(
            &format!("{SUBSCRIPTION}/providers"),
            "Providers_List",
            "Lists the resource providers.",
        )
        .json(200, "The providers.", "ProviderList"),
        get(&provider, "Providers_Get", "Shows a resource provider.").json(
            200,
            "The provider.",
            "Provider",
        ),
        registration("register", "Providers_Register"),
        registration("unregister", "Providers_Unregister"),
        get(
            &format!("{SUBSCRIPTION}/resourceGroups"),
            "ResourceGroups_List",
            "Lists the resource groups.",
        )
        .json(200, "The groups that the caller sees.", "ResourceGroupList"),
        get(GROUP, "ResourceGroups_Get", "Shows a resource group.").json(
            200,
            "The group.",
            "ResourceGroup",
        ),
        operation(
            "head",
            GROUP,
            "ResourceGroups_CheckExistence",
            "Says whether a resource group is there.",
        )
        .of_arm()
        .empty(204, "It is there."),
        operation(
            "put",
            GROUP,
            "ResourceGroups_CreateOrUpdate",
            "Makes a resource group, or changes its tags.",
        )
        .of_arm()
        .body("ResourceGroupPut")
        .or(409)
        .json(200, "The group, which was there.", "ResourceGroup")
        .json(201, "The new group.", "ResourceGroup"),
        operation(
            "patch",
            GROUP,
            "ResourceGroups_Update",
            "Changes the tags of a resource group.",
        )
        .of_arm()
        .body("TagsPatch")
        .json(200, "The group.", "ResourceGroup"),
        operation(
            "delete",
            GROUP,
            "ResourceGroups_Delete",
            "Deletes a resource group with all that is in it.",
        )
        .of_arm()
        .empty(200, "It is gone."),
        resources(SUBSCRIPTION, "Resources_List"),
        resources(GROUP, "Resources_ListByResourceGroup"),
    ];
    for provider in PROVIDERS {
        let path = format!("/providers/{}/operations", provider.namespace);
        let id = match provider.namespace {
            "Microsoft.KubernetesConfiguration" => "Operations_List",
            "Microsoft.Kubernetes" => "Operations_ListKubernetes",
            _ => "Operations_ListResources",
        };
        found.push(
            operation("get", path, id, "Says what the provider can do.")
                .of(provider.operation_versions())
                .json(200, "What it can do.", "OperationList"),
        );
    }
    found
}

fn clusters() -> Vec<Operation> {
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
    format!(
        "{GROUP}/providers/{{clusterRp}}/{{clusterResourceName}}/{{clusterName}}/providers/{kind}"
    )
}

fn configurations() -> Vec<Operation> {
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
        .empty(200, "It is gone.")
        .empty(204, "It was not there."),
    ]
}
