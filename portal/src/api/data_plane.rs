//! The data plane: what ARM lacks. The agent of a cluster reads its configurations with their
//! secrets, and says what became of them.

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::{ClusterId, ConfigurationId, FieldError, ListPage, StatusReport, WithSecrets};
use http::{HeaderValue, StatusCode, header::USER_AGENT};

use super::{Api, Call, SKIP_TOKEN, json, refusal::Refusal};

pub(super) async fn list(api: &Api, call: &Call, cluster: &ClusterId) -> Result<Response, Refusal> {
    let version = call.headers.get(USER_AGENT).and_then(agent_version);
    api.store.saw(cluster, version).await;
    let after = call.parameter(SKIP_TOKEN).unwrap_or_default();
    let page = api
        .store
        .list_with_secrets(cluster, &after, api.limits.page_size.get())
        .await?;
    let items: Vec<_> = page
        .items
        .into_iter()
        .map(|(desired, settings)| {
            let mut resource = desired.resource();
            resource.properties.configuration_protected_settings = Some(settings);
            resource
        })
        .collect();
    let next_link = page
        .next
        .map(|name| call.next_link(api, &[], &name))
        .transpose()?;
    let page = ListPage {
        value: items.iter().map(WithSecrets).collect(),
        next_link,
    };
    Ok(json(StatusCode::OK, &page))
}

pub(super) async fn report(
    api: &Api,
    id: &ConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    let report: StatusReport = serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid(&[FieldError {
            field: "body".into(),
            message: format!("this is no status report: {error}"),
        }])
    })?;
    api.store
        .report(id, &report.bounded())
        .await
        .map_err(|error| Refusal::report(error, id))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The version of an agent that says what it is.
fn agent_version(user_agent: &HeaderValue) -> Option<String> {
    let version = user_agent.to_str().ok()?.strip_prefix("gitmoor/")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    (version.len() <= 64 && version.bytes().all(plain)).then(|| version.to_owned())
}
