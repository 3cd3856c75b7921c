//! What is open to anyone, and what ARM itself has: subscriptions, providers, resource groups.

use serde_json::{Value, json};

use super::{GROUP, Operation, SUBSCRIPTION, component, operation};
use crate::api::providers::PROVIDERS;

pub(super) fn open() -> Vec<Operation> {
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

pub(super) fn arm() -> Vec<Operation> {
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
        .with(&["groupFilter"])
        .json(200, "The groups that the caller sees.", "ResourceGroupList"),
        get(GROUP, "ResourceGroups_Get", "Shows a resource group.").versioned(
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
        .conditional()
        .body("ResourceGroupPut")
        .or(409)
        .versioned(200, "The group, which was there.", "ResourceGroup")
        .versioned(201, "The new group.", "ResourceGroup"),
        operation(
            "patch",
            GROUP,
            "ResourceGroups_Update",
            "Changes the tags of a resource group.",
        )
        .of_arm()
        .conditional()
        .body("TagsPatch")
        .versioned(200, "The group.", "ResourceGroup"),
        operation(
            "delete",
            GROUP,
            "ResourceGroups_Delete",
            "Deletes a resource group with all that is in it.",
        )
        .of_arm()
        .conditional()
        .empty(200, "It is gone."),
        resources(SUBSCRIPTION, "Resources_List"),
        resources(GROUP, "Resources_ListByResourceGroup"),
    ];
    for provider in PROVIDERS {
        let path = format!("/providers/{}/operations", provider.namespace);
        let id = match provider.namespace {
            "Microsoft.KubernetesConfiguration" => "Operations_List",
            "Microsoft.Kubernetes" => "Operations_ListKubernetes",
            "Microsoft.Authorization" => "Operations_ListAuthorization",
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
