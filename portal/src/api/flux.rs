//! `fluxConfigurations` of a cluster, as principals write and read them. ARM's own take their time;
//! here all of it is done when the answer comes, so nothing need be polled.

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::{
    ClusterId, FLUX_API_VERSIONS, FLUX_RESOURCE_TYPE, FluxConfigurationId, FluxRequest, ListPage,
    SystemData,
};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{API_VERSION, Api, Call, condition, flux_status, json, refusal::Refusal, tracked};
use crate::{
    identity::Principal,
    store::{Condition, FluxRecord, FluxWritten, PutError},
};

/// Every call names a version that has the resource.
pub(super) fn version(call: &Call) -> Result<&'static str, Refusal> {
    call.version_of(&FLUX_API_VERSIONS, FLUX_RESOURCE_TYPE)
}

pub(super) async fn put(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &FluxConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    version(call)?;
    let condition = condition::read(&call.headers)?;
    let request = FluxRequest::read(&object(body)?);
    let written = api
        .store
        .put_flux(id, request, &caller.into(), &condition)
        .await?;
    let (status, record) = match written {
        FluxWritten::Created(record) => (StatusCode::CREATED, record),
        FluxWritten::Replaced(record) => (StatusCode::OK, record),
    };
    tracing::info!(%id, by = caller.name, principal = %caller.id, status = status.as_u16(), "a Flux configuration was put");
    Ok(one(status, &record))
}

/// PATCH: of what is there, what the body names (RFC 7396); a null takes a field or a kustomization
/// away.
pub(super) async fn patch(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &FluxConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    version(call)?;
    let condition = condition::read(&call.headers)?;
    let patch = object(body)?;
    for _ in 0..condition::TRIES {
        let record = api.store.flux(id).await?;
        let record = record.ok_or_else(|| Refusal::no_flux(id))?;
        if !condition.holds(Some(&record.etag)) {
            break;
        }
        let request = merged(&record, &patch)?;
        let seen = Condition::of(&record.etag);
        let written = api.store.put_flux(id, request, &caller.into(), &seen).await;
        match written {
            // What was changed in between is not written over, and looked at again.
            Err(PutError::Condition) => {}
            Err(error) => return Err(error.into()),
            Ok(FluxWritten::Created(record) | FluxWritten::Replaced(record)) => {
                tracing::info!(%id, by = caller.name, principal = %caller.id, "a Flux configuration was patched");
                return Ok(one(StatusCode::OK, &record));
            }
        }
    }
    Err(Refusal::condition())
}

/// What there is, changed as a patch says.
fn merged(record: &FluxRecord, patch: &Value) -> Result<FluxRequest, Refusal> {
    let mut merged = json!({"properties": record.properties});
    match patch.get("properties") {
        None => {}
        Some(Value::Object(changes)) => {
            let fields = merged["properties"].as_object_mut();
            merge(fields.expect("it was just made as one"), changes);
            // Which are to be replaced and not merged: what is there is not known here.
            if let Some(settings) = changes.get("configurationProtectedSettings") {
                merged["properties"]["configurationProtectedSettings"] = settings.clone();
            }
        }
        Some(_) => {
            let error = tracked::error("properties", "an object is needed");
            return Err(Refusal::invalid(&[error]));
        }
    }
    Ok(FluxRequest::read(&merged))
}

pub(super) async fn show(
    api: &Api,
    call: &Call,
    id: &FluxConfigurationId,
) -> Result<Response, Refusal> {
    version(call)?;
    let record = api.store.flux(id).await?;
    let record = record.ok_or_else(|| Refusal::no_flux(id))?;
    Ok(one(StatusCode::OK, &record))
}

pub(super) async fn delete(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &FluxConfigurationId,
) -> Result<Response, Refusal> {
    version(call)?;
    let condition = condition::read(&call.headers)?;
    if !api
        .store
        .delete_flux(id, &caller.into(), &condition)
        .await?
    {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    tracing::info!(%id, by = caller.name, principal = %caller.id, "a Flux configuration was deleted");
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn list(api: &Api, call: &Call, cluster: &ClusterId) -> Result<Response, Refusal> {
    let version = version(call)?;
    let after = call.skip_token()?;
    let page = api
        .store
        .flux_list(cluster, &after, api.limits.page_size.get())
        .await?;
    let next_link = page
        .next
        .map(|name| call.next_link(api, &[(API_VERSION, version)], &name))
        .transpose()?;
    let page = ListPage {
        value: page.items.iter().map(view).collect(),
        next_link,
    };
    Ok(json(StatusCode::OK, &page))
}

/// A body that is an object.
fn object(body: &[u8]) -> Result<Value, Refusal> {
    // serde_json's own words may quote a secret.
    match serde_json::from_slice(body) {
        Ok(body @ Value::Object(_)) => Ok(body),
        _ => Err(Refusal::invalid(&[tracked::error(
            "body",
            "a JSON object is needed",
        )])),
    }
}

fn merge(to: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes {
        match (to.get_mut(name), change) {
            (_, Value::Null) => {
                to.remove(name);
            }
            (Some(Value::Object(to)), Value::Object(changes)) => merge(to, changes),
            _ => {
                to.insert(name.clone(), change.clone());
            }
        }
    }
}

fn one(status: StatusCode, record: &FluxRecord) -> Response {
    (condition::etag(&record.etag), json(status, &view(record))).into_response()
}

/// A Flux configuration as ARM shows it: with its status, and never with secrets.
fn view(record: &FluxRecord) -> Value {
    let mut properties = json!(record.properties);
    for name in record.properties.kustomizations.keys() {
        properties["kustomizations"][name]["name"] = name.as_str().into();
    }
    properties["configurationProtectedSettings"] = json!({});
    properties["waitForReconciliation"] = false.into();
    properties["provisioningState"] = "Succeeded".into();
    properties["errorMessage"] = "".into();
    let status = flux_status::of(record);
    if let (Value::Object(properties), Value::Object(status)) = (&mut properties, status) {
        properties.extend(status);
    }
    json!({
        "id": record.id,
        "name": record.id.name(),
        "type": FLUX_RESOURCE_TYPE,
        "etag": record.etag,
        "properties": properties,
        "systemData": SystemData {
            created_by: Some(record.created_by.clone()),
            created_by_type: Some(record.created_by_type.clone()),
            created_at: Some(record.created_at),
            last_modified_by: Some(record.last_modified_by.clone()),
            last_modified_by_type: Some(record.last_modified_by_type.clone()),
            last_modified_at: Some(record.last_modified_at),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        // The examples of RFC 7396, as far as they are about objects.
        let table = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
        ];
        for (mut to, changes, wanted) in table {
            let (Value::Object(fields), Value::Object(changes)) = (&mut to, &changes) else {
                panic!("they are objects");
            };
            merge(fields, changes);
            assert_eq!(to, wanted);
        }
    }
}
