//! The ARM API: `sourceControlConfigurations` of a cluster, as principals write and read them.

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::{
    API_VERSIONS, ApiVersion, ClusterId, ConfigurationId, ListPage, ProtectedSettings,
    ProvisioningState, PutRequest, RESOURCE_TYPE,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{API_VERSION, Api, Call, condition, data_plane, json, refusal::Refusal};
use crate::{
    identity::Principal,
    store::{WithReport, Written},
};

/// Every call names a version that has the resource.
pub(super) fn version(call: &Call) -> Result<ApiVersion, Refusal> {
    let name = call.version_of(&API_VERSIONS, RESOURCE_TYPE)?;
    Ok(ApiVersion::parse(name).expect("it is one of them"))
}

pub(super) async fn put(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &ConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    let version = version(call)?;
    let condition = condition::read(&call.headers)?;
    let request = PutRequest::read(body, version);
    let written = api
        .store
        .put(id, request, &caller.into(), &condition)
        .await?;
    let (status, stored) = match written {
        Written::Created(stored) => (StatusCode::CREATED, stored),
        Written::Replaced(stored) => (StatusCode::OK, stored),
    };
    tracing::info!(%id, by = caller.name, principal = %caller.id, status = status.as_u16(), "a configuration was put");
    Ok(one(status, stored, version))
}

pub(super) async fn show(
    api: &Api,
    call: &Call,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    let version = version(call)?;
    let stored = api
        .store
        .configuration(id)
        .await?
        // A part of a Flux configuration is none of this API's.
        .filter(|stored| stored.desired.flux.is_none())
        .ok_or_else(|| Refusal::no_configuration(id))?;
    Ok(one(StatusCode::OK, stored, version))
}

pub(super) async fn delete(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    version(call)?;
    let condition = condition::read(&call.headers)?;
    if !api.store.delete(id, &caller.into(), &condition).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    tracing::info!(%id, by = caller.name, principal = %caller.id, "a configuration was deleted");
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn list(api: &Api, call: &Call, cluster: &ClusterId) -> Result<Response, Refusal> {
    let version = version(call)?;
    // An agent that knows ARM alone is one that says so.
    let said = data_plane::said(&call.headers);
    if said.agent_version.is_some() {
        api.store.saw(cluster, said);
    }
    let after = call.skip_token()?;
    let page = api
        .store
        .list(cluster, &after, api.limits.page_size.get())
        .await?;
    let next_link = page
        .next
        .map(|name| call.next_link(api, &[(API_VERSION, version.as_str())], &name))
        .transpose()?;
    let page = ListPage {
        value: page
            .items
            .into_iter()
            .map(|stored| view(stored, version))
            .collect(),
        next_link,
    };
    Ok(json(StatusCode::OK, &page))
}

/// One configuration, with its version in a header too.
fn one(status: StatusCode, stored: WithReport, version: ApiVersion) -> Response {
    let etag = condition::etag(&stored.desired.etag);
    (etag, json(status, &view(stored, version))).into_response()
}

/// A configuration as ARM shows it in that api-version: with its status, `Pending` before the
/// first, and never with secrets.
fn view(stored: WithReport, version: ApiVersion) -> Value {
    // A deploy key stays the same when its configuration changes.
    let last = stored.report.as_ref().or(stored.earlier.as_ref());
    let public_key = last.and_then(|report| report.repository_public_key.clone());
    let report = stored.report.unwrap_or_default();
    let mut resource = stored.desired.resource();
    let properties = &mut resource.properties;
    properties.configuration_protected_settings = Some(ProtectedSettings::default());
    properties.provisioning_state = Some(ProvisioningState::Succeeded);
    properties.compliance_status = Some(report.compliance_status());
    properties.repository_public_key = Some(public_key.unwrap_or_default());
    if !version.has_credentials() {
        properties.configuration_protected_settings = None;
        properties.ssh_known_hosts_contents = None;
    }
    if !version.has_system_data() {
        resource.system_data = None;
    }
    let helm = resource.properties.enable_helm_operator.unwrap_or(false);
    let mut view = json!(resource);
    if version.writes_switches_as_text() {
        view["properties"]["enableHelmOperator"] = helm.to_string().into();
    }
    view
}
