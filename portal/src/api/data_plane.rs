//! The data plane: what ARM lacks. The agent of a cluster reads its configurations with their
//! secrets, and says what became of them. It need not read the same twice (`If-None-Match`), and may
//! wait for a change (`Prefer: wait=55`, RFC 7240).

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::{
    ClusterId, ConfigurationId, FieldError, KUBERNETES_VERSION_HEADER, ListPage, NODES_HEADER,
    ProtectedSettings, SealingError, SealingKey, StatusReport, WithSecrets, place_of,
};
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{IF_NONE_MATCH, USER_AGENT},
};
use tokio::time::{Duration, Instant};

use super::{Api, Call, condition, json, refusal::Refusal};
use crate::{identity::Principal, store::Said};

/// The longest that an agent may wait, whatever it prefers.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the caller would wait for a change, when it says what it knows.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    headers.get(IF_NONE_MATCH)?;
    let preferences = headers.get_all(PREFER).into_iter();
    let wait = preferences
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            is_wait.then(|| value.trim().trim_matches('"').parse().ok())?
        })?;
    Some(Duration::from_secs(wait).min(LONGEST_WAIT))
}

/// Waits until there is news for the agent of a cluster.
pub(super) async fn changed(
    api: &Api,
    headers: &HeaderMap,
    cluster: &ClusterId,
    wait: Duration,
) -> Result<(), Refusal> {
    api.store.saw(cluster, said(headers));
    let known = condition::read(headers)?.if_none_match.unwrap_or_default();
    let until = Instant::now() + wait;
    Ok(api.store.changed(cluster, &known, until).await?)
}

pub(super) async fn list(
    api: &Api,
    call: &Call,
    caller: &Principal,
    cluster: &ClusterId,
) -> Result<Response, Refusal> {
    api.store.saw(cluster, said(&call.headers));
    let after = call.skip_token()?;
    // Taken before the list is read: if that is newer already, it is only read once more.
    let etag = api.store.list_etag(cluster).await?;
    let known = condition::read(&call.headers)?.if_none_match;
    if after.is_empty() && known.is_some_and(|known| known.contains(&etag)) {
        return Ok((StatusCode::NOT_MODIFIED, condition::etag(&etag)).into_response());
    }
    let page = api
        .store
        .list_with_secrets(cluster, &after, api.limits.page_size.get())
        .await?;
    let key = api.store.sealing_key(caller.id).await?;
    let items: Vec<_> = page
        .items
        .into_iter()
        .map(|(desired, settings)| {
            let settings = match &key {
                Some(key) => seal(key, &desired.id, &settings)?,
                None => settings,
            };
            let mut resource = desired.resource();
            resource.properties.configuration_protected_settings = Some(settings);
            Ok(resource)
        })
        .collect::<Result<_, Refusal>>()?;
    let next_link = page
        .next
        .map(|name| call.next_link(api, &[], &name))
        .transpose()?;
    let page = ListPage {
        value: items.iter().map(WithSecrets).collect(),
        next_link,
    };
    let mut response = json(StatusCode::OK, &page);
    response.headers_mut().extend(condition::etag(&etag));
    Ok(response)
}

/// Seals secrets to the agent, each for its place.
fn seal(
    key: &SealingKey,
    configuration: &str,
    settings: &ProtectedSettings,
) -> Result<ProtectedSettings, Refusal> {
    let sealed = settings
        .iter()
        .map(|(name, value)| Ok((name, key.seal(&place_of(configuration, name), value)?)));
    sealed
        .collect::<Result<_, SealingError>>()
        .map_err(|_| Refusal::unsealable())
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

/// What an agent says of itself and its cluster.
pub(super) fn said(headers: &HeaderMap) -> Said {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok());
    Said {
        agent_version: agent
            .and_then(|agent| agent.strip_prefix("gitmoor/"))
            .and_then(version),
        kubernetes_version: text(KUBERNETES_VERSION_HEADER).and_then(version),
        nodes: text(NODES_HEADER).and_then(|nodes| nodes.parse().ok()),
    }
}

/// A version, when it is written as one.
fn version(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    let is_version = !text.is_empty() && text.len() <= 64 && text.bytes().all(plain);
    is_version.then(|| text.to_owned())
}
