//! Subscriptions, tenants and resource groups: what ARM's clients ask for before anything else. A
//! subscription is there for whoever has a role in it.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Api, Call, condition,
    filter::{self, Filter},
    json,
    refusal::Refusal,
    tracked, whole,
};
use crate::{
    identity::{Principal, Scope},
    store::{GroupRecord, GroupWrite},
};

/// The subscription of a portal in which there is nothing yet: without any, `az login` fails.
const FIRST: &str = "00000000-0000-0000-0000-000000000000";

pub(super) async fn list(api: &Api, call: &Call, caller: &Principal) -> Result<Response, Refusal> {
    call.any_version()?;
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let reads = caller.assignments.iter().filter(|one| one.role.reads());
    let mut ids: Vec<String> = reads
        .map(|one| one.scope.subscription().to_owned())
        .filter(|id| !id.is_empty())
        .collect();
    if caller.reads(&Scope::EVERYWHERE) {
        ids.extend(api.store.subscriptions().await?);
        if ids.is_empty() {
            ids.push(FIRST.to_owned());
        }
    }
    for id in ids {
        seen.entry(id.to_ascii_lowercase())
            .or_insert_with(|| view(api, &id));
    }
    Ok(whole(seen.into_values().collect()))
}

pub(super) fn show(api: &Api, call: &Call, scope: &Scope) -> Result<Response, Refusal> {
    call.any_version()?;
    Ok(json(StatusCode::OK, &view(api, scope.subscription())))
}

fn view(api: &Api, id: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"),
        "subscriptionId": id,
        "tenantId": api.store.tenant(),
        "displayName": if id == FIRST { "Gitmoor" } else { id },
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "Gitmoor",
            "spendingLimit": "Off",
        },
    })
}

pub(super) fn tenants(api: &Api, call: &Call) -> Result<Response, Refusal> {
    call.any_version()?;
    let tenant = api.store.tenant();
    Ok(whole(vec![json!({
        "id": format!("/tenants/{tenant}"),
        "tenantId": tenant,
        "displayName": "Gitmoor",
        "tenantCategory": "Home",
    })]))
}

pub(super) async fn groups(
    api: &Api,
    call: &Call,
    caller: &Principal,
    subscription: &Scope,
) -> Result<Response, Refusal> {
    call.any_version()?;
    let filter = Filter::read(call, &filter::GROUPS)?;
    let groups = api.store.groups(subscription.subscription()).await?;
    let seen = groups
        .iter()
        .filter(|group| caller.sees(&group.id) && filter.holds(&group.tags, |_, _| true));
    Ok(whole(seen.map(group_view).collect()))
}

pub(super) async fn group(api: &Api, call: &Call, id: &Scope) -> Result<Response, Refusal> {
    call.any_version()?;
    let group = api
        .store
        .group(id)
        .await?
        .ok_or_else(|| Refusal::no_group(id))?;
    if call.method == http::Method::HEAD {
        let etag = condition::etag(&group.etag());
        return Ok((etag, StatusCode::NO_CONTENT).into_response());
    }
    Ok(one_group(StatusCode::OK, &group))
}

pub(super) async fn put_group(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &Scope,
    body: &[u8],
) -> Result<Response, Refusal> {
    call.any_version()?;
    let condition = condition::read(&call.headers)?;
    let (location, tags) = tracked::read(body)?.placed(Vec::new())?;
    let group = GroupRecord {
        id: id.clone(),
        location,
        tags,
    };
    let written = api
        .store
        .put_group(group, &caller.into(), &condition)
        .await?;
    written_group(id, written)
}

pub(super) async fn patch_group(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &Scope,
    body: &[u8],
) -> Result<Response, Refusal> {
    call.any_version()?;
    let condition = condition::read(&call.headers)?;
    let tags = tracked::read(body)?.tags()?;
    let written = api
        .store
        .patch_group(id, tags, &caller.into(), &condition)
        .await?;
    written_group(id, written)
}

fn written_group(id: &Scope, written: GroupWrite) -> Result<Response, Refusal> {
    match written {
        GroupWrite::Created(group) => Ok(one_group(StatusCode::CREATED, &group)),
        GroupWrite::Replaced(group) => Ok(one_group(StatusCode::OK, &group)),
        GroupWrite::Gone => Err(Refusal::no_group(id)),
        GroupWrite::Condition => Err(Refusal::condition()),
        GroupWrite::Moved(group) => Err(Refusal::moved(
            "InvalidResourceGroupLocation",
            id.resource_group().unwrap_or_default(),
            &group.location,
        )),
    }
}

pub(super) async fn delete_group(
    api: &Api,
    call: &Call,
    caller: &Principal,
    id: &Scope,
) -> Result<Response, Refusal> {
    call.any_version()?;
    let condition = condition::read(&call.headers)?;
    let deleted = api
        .store
        .delete_group(id, &caller.into(), &condition)
        .await?;
    if !deleted.ok_or_else(Refusal::condition)? {
        return Err(Refusal::no_group(id));
    }
    tracing::info!(%id, by = caller.name, principal = %caller.id, "a resource group was deleted, with all in it");
    Ok(StatusCode::OK.into_response())
}

/// ARM has no etag among the fields of a group.
fn one_group(status: StatusCode, group: &GroupRecord) -> Response {
    let etag = condition::etag(&group.etag());
    (etag, json(status, &group_view(group))).into_response()
}

fn group_view(group: &GroupRecord) -> Value {
    json!({
        "id": group.id.as_str(),
        "name": group.id.resource_group(),
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": group.tags,
        "properties": {"provisioningState": "Succeeded"},
    })
}
