//! The ARM API: `sourceControlConfigurations` of a cluster, as principals write and read them.

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::{
    API_VERSIONS, ClusterId, ConfigurationId, ListPage, ProtectedSettings, ProvisioningState,
    PutRequest, SourceControlConfiguration,
};
use http::StatusCode;
use serde_json::json;

use super::{Api, Call, SKIP_TOKEN, caller::Caller, json, refusal::Refusal};
use crate::store::{WithReport, Written};

const API_VERSION: &str = "api-version";

/// Every call names a version that has the resource; the resource is the same in all of them.
pub(super) fn check_version(call: &Call) -> Result<String, Refusal> {
    let version = call
        .parameter(API_VERSION)
        .ok_or_else(Refusal::no_version)?;
    let known = API_VERSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(&version));
    known
        .then_some(())
        .ok_or_else(|| Refusal::version(&version))?;
    Ok(version)
}

pub(super) async fn put(
    api: &Api,
    caller: &Caller,
    id: &ConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    let request = PutRequest::parse(body).map_err(|errors| Refusal::invalid(&errors))?;
    let (status, stored) = match api.store.put(id, request, &caller.name).await? {
        Written::Created(stored) => (StatusCode::CREATED, stored),
        Written::Replaced(stored) => (StatusCode::OK, stored),
    };
    tracing::info!(%id, by = caller.name, token = %caller.id, status = status.as_u16(), "a configuration was put");
    Ok(json(status, &view(stored)))
}

pub(super) async fn show(
    api: &Api,
    call: &Call,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    check_version(call)?;
    let stored = api
        .store
        .configuration(id)
        .await?
        .ok_or_else(|| Refusal::no_configuration(id))?;
    Ok(json(StatusCode::OK, &view(stored)))
}

pub(super) async fn delete(
    api: &Api,
    call: &Call,
    caller: &Caller,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    check_version(call)?;
    if !api.store.delete(id).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    tracing::info!(%id, by = caller.name, token = %caller.id, "a configuration was deleted");
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn list(api: &Api, call: &Call, cluster: &ClusterId) -> Result<Response, Refusal> {
    let version = check_version(call)?;
    let after = call.parameter(SKIP_TOKEN).unwrap_or_default();
    let page = api
        .store
        .list(cluster, &after, api.limits.page_size.get())
        .await?;
    let next_link = page
        .next
        .map(|name| call.next_link(&[(API_VERSION, &version)], &name))
        .transpose()?;
    let page = ListPage {
        value: page.items.into_iter().map(view).collect(),
        next_link,
    };
    Ok(json(StatusCode::OK, &page))
}

/// What the provider can do, in the words of the roles that Azure gives.
pub(super) fn operations(call: &Call) -> Result<Response, Refusal> {
    check_version(call)?;
    let operation = |verb: &str, does: &str| {
        json!({
            "name": format!("Microsoft.KubernetesConfiguration/sourceControlConfigurations/{verb}"),
            "display": {
                "provider": "Microsoft Kubernetes Configuration",
                "resource": "Source Control Configuration",
                "operation": does,
                "description": does,
            },
            "isDataAction": false,
        })
    };
    let page = ListPage {
        value: vec![
            operation("write", "Creates or updates source control configuration."),
            operation("read", "Gets source control configuration."),
            operation("delete", "Deletes source control configuration."),
        ],
        next_link: None,
    };
    Ok(json(StatusCode::OK, &page))
}

/// A configuration as ARM shows it: with its status, `Pending` before the first, and never with
/// secrets.
fn view(stored: WithReport) -> SourceControlConfiguration {
    let report = stored.report.unwrap_or_default();
    let mut resource = stored.desired.resource();
    let properties = &mut resource.properties;
    properties.configuration_protected_settings = Some(ProtectedSettings::default());
    properties.provisioning_state = Some(ProvisioningState::Succeeded);
    properties.compliance_status = Some(report.compliance_status());
    properties.repository_public_key = Some(report.repository_public_key.unwrap_or_default());
    resource
}
