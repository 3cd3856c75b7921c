//! The limit: a bare loop that sends what Gitmoor sent, over the same kind of connection, with the
//! same number of requests under way, and does nothing else. What was sent is read from the audit
//! log of a run that is not timed.

use std::{
    collections::HashMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use gitmoor_operator::{
    connections::{Connections, Identity, Token, TokenError, Tokens},
    metrics::Metrics,
};
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams, client::Body};
use serde_json::Value;

use crate::stage::{AGENT, AT_ONCE, OPERATOR, Stage};

/// As the operator asks, which wants to know no more of what it has written.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The rights of an operator.
    Rights,
    /// The operator's own: status, events and inventory.
    Own,
    /// An object of a repository.
    Object,
}

/// A request that writes.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) purpose: Purpose,
    namespace: String,
    patch: bool,
    uri: String,
    body: Bytes,
}

/// What Gitmoor has written so far, from an audit log that holds bodies.
pub(crate) fn recorded(stage: &Stage) -> Result<Vec<Write>> {
    let log = fs::read_to_string(stage.cluster.audit().path())?;
    let mut writes = Vec::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).context("read the audit log")?;
        writes.extend(write(event)?);
    }
    Ok(writes)
}

fn write(mut event: Value) -> Result<Option<Write>> {
    let text = |pointer: &str| {
        let value = event.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let agent = format!("system:serviceaccount:{}:{}", AGENT.0, AGENT.1);
    let user = text("/user/username");
    let by_agent = user == agent;
    let by_operator = user.ends_with(&format!(":{OPERATOR}"));
    let (verb, resource) = (text("/verb"), text("/objectRef/resource"));
    if !(by_agent || by_operator)
        || !matches!(verb.as_str(), "patch" | "create")
        // The loop asks for tokens itself.
        || text("/objectRef/subresource") == "token"
        || resource.ends_with("reviews")
    {
        return Ok(None);
    }
    let code = event["responseStatus"]["code"].as_u64();
    let (namespace, uri) = (text("/objectRef/namespace"), text("/requestURI"));
    if !code.is_some_and(|code| (200..300).contains(&code)) {
        // A program that has done its work is ended while it tells of that.
        if resource == "events" {
            return Ok(None);
        }
        bail!("{verb} {uri} was answered with {code:?}");
    }
    let purpose = match resource.as_str() {
        _ if by_agent => Purpose::Rights,
        "sourcecontrolconfigurations" | "configmaps" | "events" => Purpose::Own,
        _ => Purpose::Object,
    };
    let mut body = event["requestObject"].take();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        // Of a cluster that is gone.
        metadata.remove("resourceVersion");
        metadata.remove("uid");
    }
    Ok(Some(Write {
        purpose,
        namespace,
        patch: verb == "patch",
        uri,
        body: serde_json::to_vec(&body)?.into(),
    }))
}

/// Sends writes as the agent and the operators of tenants would.
pub(crate) struct Loop {
    agent: Client,
    connections: Connections,
    tenants: HashMap<String, Client>,
}

impl Loop {
    /// A loop with the agent's identity.
    pub(crate) async fn as_agent(stage: &Stage) -> Result<Self> {
        Self::new(stage, AGENT).await
    }

    /// A loop with the identity of one operator.
    pub(crate) async fn as_operator(stage: &Stage, namespace: &str) -> Result<Self> {
        let mut this = Self::new(stage, (namespace, OPERATOR)).await?;
        let client = this.agent.clone();
        this.tenants.insert(namespace.to_owned(), client);
        Ok(this)
    }

    async fn new(stage: &Stage, (namespace, account): (&str, &str)) -> Result<Self> {
        let cluster = &stage.cluster;
        let config = cluster.service_account_config(namespace, account).await?;
        let connections = Connections::new(&config, Metrics::unseen())?;
        Ok(Self {
            agent: connections.client(&Identity::Own)?,
            connections,
            tenants: HashMap::new(),
        })
    }

    /// Sends writes, and says how long that took until the last was answered.
    pub(crate) async fn send(&mut self, writes: &[Write]) -> Result<Duration> {
        for write in writes {
            if write.purpose != Purpose::Rights && !self.tenants.contains_key(&write.namespace) {
                let tokens = Arc::new(OfTenant(Api::namespaced(
                    self.agent.clone(),
                    &write.namespace,
                )));
                let client = self.connections.client(&Identity::Tokens(tokens))?;
                self.tenants.insert(write.namespace.clone(), client);
            }
        }
        let units = units(writes);
        let start = Instant::now();
        let this = &*self;
        stream::iter(units)
            .map(|unit| async move {
                for write in unit {
                    this.send_one(write).await?;
                }
                Ok::<_, anyhow::Error>(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(start.elapsed())
    }

    async fn send_one(&self, write: &Write) -> Result<()> {
        let client = match write.purpose {
            Purpose::Rights => &self.agent,
            _ => self
                .tenants
                .get(&write.namespace)
                .context("every tenant has a client")?,
        };
        let request = if write.patch {
            http::Request::patch(&write.uri).header(CONTENT_TYPE, "application/apply-patch+yaml")
        } else {
            http::Request::post(&write.uri).header(CONTENT_TYPE, "application/json")
        };
        let request = request
            .header(ACCEPT, METADATA)
            .body(Body::from(write.body.to_vec()))?;
        let (head, body) = client.send(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if !head.status.is_success() {
            bail!(
                "{} was answered with {}: {}",
                write.uri,
                head.status,
                String::from_utf8_lossy(&body)
            );
        }
        Ok(())
    }
}

/// Writes of one purpose.
pub(crate) fn of(writes: &[Write], purpose: Purpose) -> Vec<Write> {
    let some = writes.iter().filter(|write| write.purpose == purpose);
    some.cloned().collect()
}

/// Writes of which each waits for the one before: a binding needs its role.
fn units(writes: &[Write]) -> Vec<Vec<&Write>> {
    let mut units: Vec<Vec<&Write>> = Vec::new();
    let mut rights: HashMap<&str, usize> = HashMap::new();
    for write in writes {
        if write.purpose == Purpose::Rights
            && let Some(unit) = rights.get(write.namespace.as_str())
        {
            units[*unit].push(write);
            continue;
        }
        rights.insert(&write.namespace, units.len());
        units.push(vec![write]);
    }
    units
}

/// The tokens of one tenant's operator.
struct OfTenant(Api<ServiceAccount>);

impl Tokens for OfTenant {
    fn request(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(async {
            let request = TokenRequest {
                spec: TokenRequestSpec {
                    expiration_seconds: Some(3600),
                    ..TokenRequestSpec::default()
                },
                ..TokenRequest::default()
            };
            let answer = self
                .0
                .create_token_request(OPERATOR, &PostParams::default(), &request)
                .await
                .map_err(|error| TokenError(error.to_string()))?;
            let status = answer
                .status
                .ok_or_else(|| TokenError("the answer has none".to_owned()))?;
            Ok(Token {
                secret: status.token,
                valid_for: Duration::from_secs(3600),
            })
        })
    }
}
