//! `Microsoft.Kubernetes/connectedClusters`: the clusters that there are, with their tags and when
//! their agents were last seen; and the same in the form of `/resources`.

use axum::response::{IntoResponse as _, Response};
use gitmoor_arm::{ClusterId, FieldError, ListPage, SystemData, Timestamp};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    API_VERSION, Api, Call, condition,
    filter::{self, Filter},
    json,
    providers::{CLUSTER_VERSIONS, EXTENSION_VERSIONS},
    refusal::Refusal,
    tracked, whole,
};
use crate::{
    identity::{Principal, Scope},
    store::{ClusterRecord, ClusterWrite, Condition, OFFLINE_AFTER, Seen, is_same_location},
};

pub(super) const TYPE: &str = "Microsoft.Kubernetes/connectedClusters";

/// The longest that what a cluster says of itself may be, as JSON.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// What may be written of `properties`, and as what.
pub(super) const PROPERTIES: [(&str, Kind); 13] = [
    ("agentPublicKeyCertificate", Kind::Text),
    ("distribution", Kind::Text),
    ("distributionVersion", Kind::Text),
    ("infrastructure", Kind::Text),
    ("privateLinkState", Kind::Text),
    ("privateLinkScopeResourceId", Kind::Text),
    ("azureHybridBenefit", Kind::Text),
    ("aadProfile", Kind::Object),
    ("arcAgentProfile", Kind::Object),
    ("securityProfile", Kind::Object),
    ("oidcIssuerProfile", Kind::Object),
    ("gateway", Kind::Object),
    ("arcAgentryConfigurations", Kind::List),
];

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Object,
    List,
}

impl Kind {
    fn problem(self, value: &Value) -> Option<&'static str> {
        match self {
            Self::Text => (!value.is_string()).then_some("a text is needed"),
            Self::Object => (!value.is_object()).then_some("an object is needed"),
            Self::List => (!value.is_array()).then_some("a list is needed"),
        }
    }
}

pub(super) async fn list(
    api: &Api,
    call: &Call,
    caller: &Principal,
    scope: &Scope,
) -> Result<Response, Refusal> {
    call.version_of(CLUSTER_VERSIONS, TYPE)?;
    page(api, call, caller, scope, |record| Some(view(api, &record))).await
}

/// What is left of a list after a filter, such as that of `/resources`.
async fn page(
    api: &Api,
    call: &Call,
    caller: &Principal,
    scope: &Scope,
    view: impl Fn(ClusterRecord) -> Option<Value>,
) -> Result<Response, Refusal> {
    let after = call.skip_token()?;
    let page = api
        .store
        .clusters(scope, &after, api.limits.page_size.get(), |id| {
            caller.reads(&id.into())
        })
        .await?;
    let kept = ["$filter", "$expand", API_VERSION];
    let kept = kept.map(|name| Some((name, call.parameter(name)?)));
    let query: Vec<(&str, &str)> = kept
        .iter()
        .flatten()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let next_link = page
        .next
        .map(|id| call.next_link(api, &query, &id))
        .transpose()?;
    let page = ListPage {
        value: page.items.into_iter().filter_map(view).collect(),
        next_link,
    };
    Ok(json(StatusCode::OK, &page))
}

pub(super) async fn show(api: &Api, call: &Call, id: &ClusterId) -> Result<Response, Refusal> {
    call.version_of(CLUSTER_VERSIONS, TYPE)?;
    let record = api.store.cluster(id).await?;
    let record = record.ok_or_else(|| Refusal::no_cluster(id))?;
    Ok(one(api, StatusCode::OK, &record))
}

pub(super) async fn put(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &ClusterId,
    body: &[u8],
) -> Result<Response, Refusal> {
    call.version_of(CLUSTER_VERSIONS, TYPE)?;
    let condition = condition::read(&call.headers)?;
    let body = tracked::read(body)?;
    let (kept, errors) = desired(&body.fields);
    let (location, tags) = body.placed(errors)?;
    let written = api
        .store
        .put_cluster(id, location, tags, kept, &caller.into(), &condition)
        .await?;
    let (status, record) = match written {
        ClusterWrite::Created(record) => (StatusCode::CREATED, record),
        ClusterWrite::Replaced(record) => (StatusCode::OK, record),
        ClusterWrite::NoGroup => return Err(Refusal::no_group(&id.into())),
        ClusterWrite::Condition => return Err(Refusal::condition()),
        ClusterWrite::Moved(record) => {
            return Err(Refusal::moved(
                "InvalidResourceLocation",
                id.name(),
                &record.location,
            ));
        }
    };
    tracing::info!(%id, by = caller.name, principal = %caller.id, status = status.as_u16(), "a cluster was put");
    Ok(one(api, status, &record))
}

/// PATCH: of a cluster that is there, its tags.
pub(super) async fn patch(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &ClusterId,
    body: &[u8],
) -> Result<Response, Refusal> {
    call.version_of(CLUSTER_VERSIONS, TYPE)?;
    let condition = condition::read(&call.headers)?;
    let changed = tracked::read(body)?.tags()?;
    for _ in 0..condition::TRIES {
        let record = api.store.cluster(id).await?;
        let record = record.ok_or_else(|| Refusal::no_cluster(id))?;
        if !condition.holds(Some(&record.etag)) {
            break;
        }
        let seen = Condition::of(&record.etag);
        let tags = changed.clone().unwrap_or(record.tags);
        let (location, kept) = (record.location, record.body);
        let written = api
            .store
            .put_cluster(id, location, tags, kept, &caller.into(), &seen)
            .await?;
        if let ClusterWrite::Created(record) | ClusterWrite::Replaced(record) = written {
            return Ok(one(api, StatusCode::OK, &record));
        }
    }
    Err(Refusal::condition())
}

pub(super) async fn delete(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &ClusterId,
) -> Result<Response, Refusal> {
    call.version_of(CLUSTER_VERSIONS, TYPE)?;
    let condition = condition::read(&call.headers)?;
    let deleted = api
        .store
        .delete_cluster(id, &caller.into(), &condition)
        .await?;
    if !deleted.ok_or_else(Refusal::condition)? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    tracing::info!(%id, by = caller.name, principal = %caller.id, "a cluster was deleted, with its configurations");
    Ok(StatusCode::OK.into_response())
}

/// There are none: operators are no extensions.
pub(super) fn extensions(call: &Call) -> Result<Response, Refusal> {
    nothing(call, "Microsoft.KubernetesConfiguration/extensions")
}

/// Nothing is: what is asked for is done when it is answered.
pub(super) fn under_way(call: &Call) -> Result<Response, Refusal> {
    nothing(call, "Microsoft.KubernetesConfiguration/operations")
}

fn nothing(call: &Call, of: &str) -> Result<Response, Refusal> {
    call.version_of(EXTENSION_VERSIONS, of)?;
    Ok(whole(Vec::new()))
}

/// What has a place of its own: clusters, in few words.
pub(super) async fn resources(
    api: &Api,
    call: &Call,
    caller: &Principal,
    scope: &Scope,
) -> Result<Response, Refusal> {
    call.any_version()?;
    let filter = Filter::read(call, &filter::RESOURCES)?;
    page(api, call, caller, scope, |record| {
        let is = |name: &str, value: &str| {
            let text = match name {
                "resourceType" => TYPE,
                "resourceGroup" => record.id.resource_group(),
                "name" => record.id.name(),
                _ => return is_same_location(&record.location, value),
            };
            text.eq_ignore_ascii_case(value)
        };
        filter.holds(&record.tags, is).then(|| {
            json!({
                "id": record.id.as_str(),
                "name": record.id.name(),
                "type": TYPE,
                "location": record.location,
                "tags": record.tags,
                "provisioningState": "Succeeded",
                "createdTime": record.created_at,
                "changedTime": record.last_modified_at,
            })
        })
    })
    .await
}

/// What a body says that is kept: `identity`, `kind`, and of `properties` what may be written.
/// And what is wrong with them.
fn desired(body: &Map<String, Value>) -> (Value, Vec<FieldError>) {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, message: &str| errors.push(tracked::error(field, message));
    let none = Map::new();
    let identity = match body.get("identity") {
        Some(Value::Object(identity)) => match identity.get("type").and_then(Value::as_str) {
            Some(kind) if ["None", "SystemAssigned"].contains(&kind) => Some(kind),
            _ => {
                wrong("identity.type", "write `None` or `SystemAssigned`");
                None
            }
        },
        Some(Value::Null) | None => None,
        Some(_) => {
            wrong("identity", "an object is needed");
            None
        }
    };
    let kind = match body.get("kind") {
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(Value::Null) | None => None,
        Some(_) => {
            wrong("kind", "a text is needed");
            None
        }
    };
    let given = match body.get("properties") {
        Some(Value::Object(given)) => given,
        _ => {
            wrong("properties", "an object is needed");
            &none
        }
    };
    let mut properties = Map::new();
    for (name, kind) in PROPERTIES {
        let Some(value) = given.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        match kind.problem(value) {
            Some(message) => wrong(&format!("properties.{name}"), message),
            None => {
                properties.insert(name.to_owned(), value.clone());
            }
        }
    }
    let kept = json!({"identity": identity, "kind": kind, "properties": properties});
    if kept.to_string().len() > MAX_BODY {
        wrong(
            "properties",
            &format!("all of it may have at most {MAX_BODY} bytes"),
        );
    }
    (kept, errors)
}

fn one(api: &Api, status: StatusCode, record: &ClusterRecord) -> Response {
    (
        condition::etag(&record.etag),
        json(status, &view(api, record)),
    )
        .into_response()
}

/// How it stands with an agent that was last seen then.
fn connectivity(last_seen: Option<Timestamp>, now: Timestamp) -> &'static str {
    match last_seen {
        None => "Connecting",
        Some(seen) if now.0 - seen.0 > OFFLINE_AFTER => "Offline",
        Some(_) => "Connected",
    }
}

/// The type of the identity that was put.
fn identity(body: &Value) -> &str {
    let identity = &body["identity"];
    // Enrolment by an older version wrote an object.
    let kind = identity.as_str().or(identity["type"].as_str());
    kind.unwrap_or("None")
}

/// A cluster as ARM shows it.
fn view(api: &Api, record: &ClusterRecord) -> Value {
    let mut properties = record.body["properties"].clone();
    // The SDK's models name it as required.
    if properties["agentPublicKeyCertificate"].is_null() {
        properties["agentPublicKeyCertificate"] = "".into();
    }
    properties["provisioningState"] = "Succeeded".into();
    properties["connectivityStatus"] =
        connectivity(record.seen.as_ref().map(|seen| seen.at), Timestamp::now()).into();
    if let Some(Seen { at, said }) = &record.seen {
        for (name, value) in [
            ("lastConnectivityTime", Some(json!(at))),
            (
                "agentVersion",
                said.agent_version.as_ref().map(|version| json!(version)),
            ),
            (
                "kubernetesVersion",
                said.kubernetes_version
                    .as_ref()
                    .map(|version| json!(version)),
            ),
            ("totalNodeCount", said.nodes.map(|nodes| json!(nodes))),
        ] {
            if let Some(value) = value {
                properties[name] = value;
            }
        }
    }
    let kind = identity(&record.body);
    let mut identity = json!({"type": kind});
    if kind != "None" {
        identity["tenantId"] = json!(api.store.tenant());
    }
    let mut view = json!({
        "id": record.id,
        "name": record.id.name(),
        "type": TYPE,
        "etag": record.etag,
        "location": record.location,
        "tags": record.tags,
        "identity": identity,
        "properties": properties,
        "systemData": SystemData {
            created_by: Some(record.created_by.clone()),
            created_by_type: Some(record.created_by_type.clone()),
            created_at: Some(record.created_at),
            last_modified_by: Some(record.last_modified_by.clone()),
            last_modified_by_type: Some(record.last_modified_by_type.clone()),
            last_modified_at: Some(record.last_modified_at),
        },
    });
    if !record.body["kind"].is_null() {
        view["kind"] = record.body["kind"].clone();
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_also_as_an_older_version_wrote_it() {
        for (put, wanted) in [
            (json!("SystemAssigned"), "SystemAssigned"),
            (json!({"type": "SystemAssigned"}), "SystemAssigned"),
            (json!("None"), "None"),
            (Value::Null, "None"),
        ] {
            let body = json!({"identity": put});
            assert_eq!(identity(&body), wanted, "{body}");
        }
    }

    #[test]
    fn a_cluster_is_offline_when_its_agent_has_not_called_for_a_quarter_of_an_hour() {
        let now: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
        let table = [
            (None, "Connecting"),
            (Some("2026-11-23T05:00:00Z"), "Connected"),
            (Some("2026-11-23T04:45:00Z"), "Connected"),
            (Some("2026-11-23T04:44:59Z"), "Offline"),
            (Some("2026-01-01T00:00:00Z"), "Offline"),
            // By another machine's clock.
            (Some("2026-11-23T05:00:01Z"), "Connected"),
        ];
        for (seen, wanted) in table {
            let last = seen.map(|seen| seen.parse().unwrap());
            assert_eq!(connectivity(last, now), wanted, "{seen:?}");
        }
    }
}
