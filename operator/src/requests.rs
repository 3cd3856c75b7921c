//! The requests that act on objects: apply, create, amend, look, read, delete. They send and return
//! as little as they can, and keep what the server says apart from what went wrong on the way.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Method, Request, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::BodyExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Client,
    client::Body,
    core::{Status as Answer, response::StatusCause},
};
use serde_json::{Value, json};

use crate::{
    ObjectKey,
    fingerprint::write_uid,
    health::{Status, health},
    kinds::api_version,
    metadata,
};

/// How many pods of a workload are asked for their words.
const PODS: &str = "50";

/// Metadata is all that we want to know of an object that we have just written.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Objects as they are compared.
const WHOLE: &str = "application/json";

/// The API server's answer, when it is a refusal, or what came instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// It did not answer.
    #[error("the API server did not answer")]
    Unreachable(#[source] kube::Error),
    /// It answered with something that is no object.
    #[error("the API server's answer cannot be read: {0}")]
    Illegible(String),
}

/// What the API server said.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// Its word for it, such as `Forbidden`.
    pub reason: String,
    /// Its words.
    pub message: String,
    /// Which fields, and why.
    pub causes: Vec<StatusCause>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// An object in the API: where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Which.
    pub key: &'a ObjectKey,
    /// In which version.
    pub version: &'a str,
    /// The plural name of its kind.
    pub plural: &'a str,
}

impl Target<'_> {
    fn path(&self) -> String {
        let mut path = self.collection();
        path.push('/');
        push_segment(&mut path, &self.key.name);
        path
    }

    fn collection(&self) -> String {
        let root = if self.key.group.is_empty() {
            "/api/"
        } else {
            "/apis/"
        };
        let mut path = format!("{root}{}", api_version(&self.key.group, self.version));
        if let Some(namespace) = &self.key.namespace {
            path.push_str("/namespaces/");
            push_segment(&mut path, namespace);
        }
        path.push('/');
        path.push_str(self.plural);
        path
    }
}

/// Names come from a repository, and must not lead elsewhere.
fn push_segment(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            path.push(byte.into());
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Applies an object as a field manager, with strict validation.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn apply(
    client: &Client,
    target: Target<'_>,
    object: &Value,
    manager: &str,
    force: bool,
) -> Result<ObjectMeta, Error> {
    let force = if force { "true" } else { "false" };
    let query = write_query(manager, &[("force", force)]);
    let body = serde_json::to_vec(object).expect("a JSON value can be written");
    let request = Request::patch(format!("{}?{query}", target.path()))
        .header(CONTENT_TYPE, "application/apply-patch+yaml");
    let (_, metadata) = send(client, request, body).await?;
    Ok(metadata)
}

/// What an object would be if it were applied by force; nothing is written.
///
/// # Errors
/// As [`apply`].
pub async fn would_be(
    client: &Client,
    target: Target<'_>,
    object: &Value,
    manager: &str,
) -> Result<Value, Error> {
    let query = write_query(manager, &[("force", "true"), ("dryRun", "All")]);
    let body = serde_json::to_vec(object).expect("a JSON value can be written");
    let request = Request::patch(format!("{}?{query}", target.path()))
        .header(CONTENT_TYPE, "application/apply-patch+yaml");
    whole(client, request, body).await
}

/// Creates an object, or with `dry_run` finds out whether it could be created.
///
/// # Errors
/// As [`apply`]; 409 when it exists: the API server finds that only after everything else, and in a
/// dry run as well.
pub async fn create(
    client: &Client,
    target: Target<'_>,
    object: &Value,
    manager: &str,
    dry_run: bool,
) -> Result<ObjectMeta, Error> {
    let more: &[_] = if dry_run { &[("dryRun", "All")] } else { &[] };
    let query = write_query(manager, more);
    let body = serde_json::to_vec(object).expect("a JSON value can be written");
    let request = Request::post(format!("{}?{query}", target.collection()))
        .header(CONTENT_TYPE, "application/json");
    let (_, metadata) = send(client, request, body).await?;
    Ok(metadata)
}

/// Changes an object by a JSON patch.
///
/// # Errors
/// As [`apply`]; 409 when the patch names a resource version that is not the newest.
pub async fn amend(
    client: &Client,
    target: Target<'_>,
    patch: &Value,
    manager: &str,
) -> Result<ObjectMeta, Error> {
    let query = write_query(manager, &[]);
    let body = serde_json::to_vec(patch).expect("a JSON value can be written");
    let request = Request::patch(format!("{}?{query}", target.path()))
        .header(CONTENT_TYPE, "application/json-patch+json");
    let (_, metadata) = send(client, request, body).await?;
    Ok(metadata)
}

fn write_query(manager: &str, more: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("fieldManager", manager);
    query.append_pair("fieldValidation", "Strict");
    query.extend_pairs(more);
    query.finish()
}

/// The metadata of an object; nothing when it does not exist.
///
/// # Errors
/// As [`apply`].
pub async fn look(client: &Client, target: Target<'_>) -> Result<Option<ObjectMeta>, Error> {
    let request = Request::get(target.path());
    match send(client, request, Vec::new()).await {
        Ok((_, metadata)) => Ok(Some(metadata)),
        Err(Error::Refused(refusal)) if refusal.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// An object, all of it; nothing when it does not exist.
///
/// # Errors
/// As [`apply`].
pub async fn read(client: &Client, target: Target<'_>) -> Result<Option<Value>, Error> {
    let request = Request::get(target.path());
    match whole(client, request, Vec::new()).await {
        Ok(object) => Ok(Some(object)),
        Err(Error::Refused(refusal)) if refusal.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes the object with this uid and no other. Nothing when it is gone; its metadata when it
/// lingers until its finalizers are done.
///
/// # Errors
/// As [`apply`]; 409 when there is another in its place.
pub async fn delete(
    client: &Client,
    target: Target<'_>,
    uid: u128,
) -> Result<Option<ObjectMeta>, Error> {
    let options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        // The uid alone: a status that changed since is no reason not to delete.
        "preconditions": {"uid": write_uid(uid)},
    });
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(target.path())
        .header(CONTENT_TYPE, "application/json");
    match send(client, request, options.to_string().into_bytes()).await {
        // The object itself comes back when it stays for a while; else a Status does.
        Ok((kind, metadata)) => {
            let stays = kind != "Status" && metadata.deletion_timestamp.is_some();
            Ok(stays.then_some(metadata))
        }
        Err(Error::Refused(refusal)) if refusal.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// What holds up the pods of a workload, in their own words: those of the worst.
///
/// # Errors
/// As [`apply`].
pub async fn words_of_pods(
    client: &Client,
    target: Target<'_>,
) -> Result<Option<String>, kube::Error> {
    let get = |path: String| {
        Request::get(path)
            .body(Vec::new())
            .map_err(kube::Error::HttpError)
    };
    let object: Value = client.request(get(target.path())?).await?;
    let labels = object.pointer("/spec/selector/matchLabels");
    let (Some(labels), Some(namespace)) =
        (labels.and_then(Value::as_object), &target.key.namespace)
    else {
        return Ok(None);
    };
    let labels = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let selector = labels.collect::<Vec<_>>().join(",");
    let mut path = "/api/v1/namespaces/".to_owned();
    push_segment(&mut path, namespace);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("labelSelector", &selector)
        .append_pair("limit", PODS)
        .finish();
    let mut pods: Value = client.request(get(format!("{path}/pods?{query}"))?).await?;
    let mut worst: Option<(bool, String)> = None;
    for pod in pods["items"].as_array_mut().into_iter().flatten() {
        // Items of a list do not say what they are.
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        let health = health(pod);
        let is_failed = health.status == Status::Failed;
        let is_worse = worst
            .as_ref()
            .is_none_or(|(failed, _)| is_failed && !failed);
        if health.status != Status::Current && is_worse {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            worst = Some((is_failed, format!("pod {name}: {}", health.message)));
        }
    }
    Ok(worst.map(|(_, words)| words))
}

async fn send(
    client: &Client,
    request: http::request::Builder,
    body: Vec<u8>,
) -> Result<(String, ObjectMeta), Error> {
    let bytes = receive(client, request, body, METADATA).await?;
    metadata::read(&bytes).map_err(|error| illegible(&error))
}

async fn whole(
    client: &Client,
    request: http::request::Builder,
    body: Vec<u8>,
) -> Result<Value, Error> {
    let bytes = receive(client, request, body, WHOLE).await?;
    serde_json::from_slice(&bytes).map_err(|error| illegible(&error))
}

fn illegible(error: &serde_json::Error) -> Error {
    Error::Illegible(error.to_string())
}

async fn receive(
    client: &Client,
    request: http::request::Builder,
    body: Vec<u8>,
    accept: &str,
) -> Result<Bytes, Error> {
    let request = request
        .header(ACCEPT, accept)
        .body(Body::from(body))
        .map_err(|error| Error::Illegible(format!("the object has no address: {error}")))?;
    let response = client.send(request).await.map_err(Error::Unreachable)?;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.map_err(Error::Unreachable)?.to_bytes();
    if head.status.is_success() {
        return Ok(bytes);
    }
    let after = head
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    Err(Error::Refused(Box::new(refusal(
        head.status,
        &bytes,
        after,
    ))))
}

fn refusal(code: StatusCode, bytes: &[u8], retry_after: Option<Duration>) -> Refusal {
    let status: Option<Answer> = serde_json::from_slice(bytes).ok();
    match status {
        Some(status) => {
            let details = status.details;
            let after = details
                .as_ref()
                .map_or(0, |details| details.retry_after_seconds);
            let after = Duration::from_secs(after.into());
            Refusal {
                code: code.as_u16(),
                reason: status.reason,
                message: status.message,
                causes: details.map(|details| details.causes).unwrap_or_default(),
                retry_after: retry_after.or((!after.is_zero()).then_some(after)),
            }
        }
        // Something between us and the API server, whose words are not for tenants.
        None => Refusal {
            code: code.as_u16(),
            reason: String::new(),
            message: format!("the answer was {code}, and not from a Kubernetes API server"),
            causes: Vec::new(),
            retry_after,
        },
    }
}
