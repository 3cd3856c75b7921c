//! The ARM surface in OpenAPI 3.1, for whoever makes a client or asks what there is. It is built of
//! the constants by which requests are checked; what it says of paths, methods and versions is
//! compared with the router.

mod answers;
mod operations;
mod parameters;
mod schemas;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Api, Call, json as answer, refusal::Refusal};

pub(super) fn show(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let document = document(&call.base(api)?, api.store.tenant());
    Ok(answer(StatusCode::OK, &document))
}

/// The document of the portal at this address, and of this tenant.
fn document(url: &str, tenant: Uuid) -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let path = paths
            .entry(operation.path.clone())
            .or_insert_with(|| json!({}));
        path[operation.method] = operation.view();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Gitmoor",
            "description": "Configurations of clusters, by the API of Azure Resource Manager. Names in \
                paths are matched without regard to case, and unknown fields of bodies are ignored. What \
                cannot be said of a field here is said by the 400 that it is refused with, for all \
                fields at once.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": format!("A token of {url}/{tenant}/oauth2/v2.0/token."),
            }},
            "parameters": parameters::all(tenant),
            "responses": answers::all(),
            "schemas": schemas::all(url),
        },
    })
}

/// A reference to a component.
fn component(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::api::route::{Public, Route};

    const TENANT: Uuid = Uuid::from_u128(7);

    fn document() -> Value {
        super::document("https://portal.example.net", TENANT)
    }

    /// A path of the document with something in each place.
    fn filled(path: &str) -> String {
        let parameters = parameters::all(TENANT);
        path.split('/')
            .map(|part| {
                let name = part
                    .strip_prefix('{')
                    .and_then(|part| part.strip_suffix('}'));
                let Some(name) = name else {
                    return part.to_owned();
                };
                let schema = &parameters[name]["schema"];
                if schema["format"] == "uuid" {
                    return TENANT.to_string();
                }
                schema["enum"][0].as_str().unwrap_or("x").to_owned()
            })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// The route's name; another one must be described, or be named below.
    fn word(route: &Route) -> &'static str {
        match route {
            Route::Subscriptions => "subscriptions",
            Route::Subscription(_) => "subscription",
            Route::Tenants => "tenants",
            Route::Providers(_) => "providers",
            Route::Provider(..) => "provider",
            Route::Registration(..) => "registration",
            Route::Operations(_) => "operations",
            Route::Groups(_) => "groups",
            Route::Group(_) => "group",
            Route::Resources(_) => "resources",
            Route::Clusters(_) => "clusters",
            Route::Cluster(_) => "cluster",
            Route::Extensions(_) => "extensions",
            Route::UnderWay(_) => "under way",
            Route::ExtensionUnderWay(..) => "extension under way",
            Route::FluxUnderWay(..) => "flux under way",
            Route::Configurations(_) => "configurations",
            Route::Configuration(_) => "configuration",
            Route::FluxConfigurations(_) => "flux configurations",
            Route::FluxConfiguration(_) => "flux configuration",
            Route::RoleAssignments(_) => "role assignments",
            Route::RoleAssignment(..) => "role assignment",
            Route::RoleDefinitions(_) => "role definitions",
            Route::RoleDefinition(..) => "role definition",
            Route::Desired(_) => "desired",
            Route::Status(_) => "status",
        }
    }

    const DESCRIBED: [&str; 24] = [
        "cluster",
        "clusters",
        "configuration",
        "configurations",
        "extension under way",
        "extensions",
        "flux configuration",
        "flux configurations",
        "flux under way",
        "group",
        "groups",
        "operations",
        "provider",
        "providers",
        "registration",
        "resources",
        "role assignment",
        "role assignments",
        "role definition",
        "role definitions",
        "subscription",
        "subscriptions",
        "tenants",
        "under way",
    ];

    #[test]
    fn the_paths_and_their_methods_are_those_of_the_router() {
        let document = document();
        let (mut routes, mut open) = (BTreeSet::new(), Vec::new());
        for (path, operations) in document["paths"].as_object().unwrap() {
            let described: BTreeSet<String> = operations
                .as_object()
                .unwrap()
                .keys()
                .map(|method| method.to_uppercase())
                .collect();
            let filled = filled(path);
            let answered = match Public::parse(&filled, &TENANT.to_string()) {
                Some(public) => {
                    let method = public.method();
                    open.push(public);
                    method
                }
                None => {
                    let route = Route::parse(&filled).unwrap_or_else(|_| panic!("{path}"));
                    routes.insert(word(&route));
                    route.methods()
                }
            };
            let answered: BTreeSet<String> = answered.split(", ").map(str::to_owned).collect();
            assert_eq!(described, answered, "{path}");
        }
        assert_eq!(routes, BTreeSet::from(DESCRIBED));
        for public in [
            Public::Document,
            Public::Metadata,
            Public::Keys,
            Public::Token,
        ] {
            assert!(open.contains(&public), "{public:?}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        fn references(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(to)) = fields.get("$ref") {
                        found.insert(to.clone());
                    }
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let mut there = BTreeSet::new();
        for kind in ["parameters", "responses", "schemas"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                there.insert(format!("#/components/{kind}/{name}"));
            }
        }
        assert_eq!(found, there);
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names = BTreeMap::new();
        for operation in operations::all() {
            let place = (operation.path, operation.method);
            let id = operation.id;
            assert_eq!(names.insert(id.clone(), place), None, "{id}");
        }
    }
}
