//! The client: lists a cluster's configurations, whole or not at all, and reports their status.
//!
//! `azure_identity` is deliberately not used: it brings a second TLS provider (aws-lc-rs) beside
//! ring, with which rustls can no longer choose by itself, and all that is needed of it are three
//! plain HTTP calls. Nor does anything here retry: who polls decides when.
//!
//! A token goes to the server of the settings and nowhere else: no redirect is followed, and no
//! link to another origin.

mod enrol;
mod http;
mod list;
mod service;
mod token;

pub use enrol::Identity;
pub use http::TransportError;
pub use list::{Listed, Version};
pub use service::Service;

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use ::http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, IF_NONE_MATCH},
};
use rand::Rng as _;
use reqwest::RequestBuilder;
use url::Url;

use crate::{ClusterId, ConfigurationId, Error, ErrorResponse, OpeningKey, Settings, StatusReport};
use http::{Answer, Http, origin};
use token::{Enrolled, TokenSource};

/// The header by which an agent says the version of Kubernetes when it lists.
pub const KUBERNETES_VERSION_HEADER: &str = "gitmoor-kubernetes-version";

/// The header by which it says the number of nodes.
pub const NODES_HEADER: &str = "gitmoor-nodes";

/// What an agent knows of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Without a `v`, as Azure writes it: `1.34.1`.
    pub kubernetes_version: Option<String>,
    /// How many there are.
    pub nodes: Option<u64>,
}

/// A client for one cluster's configurations. Cheap to use from several tasks; a process-wide
/// rustls `CryptoProvider` must be installed before the first one is made.
#[derive(Debug)]
pub struct Client {
    cluster_id: ClusterId,
    api_version: String,
    base: Url,
    has_data_plane: bool,
    http: Http,
    tokens: TokenSource,
    /// What opens secrets that are sealed.
    key: Option<OpeningKey>,
    facts: RwLock<ClusterFacts>,
}

impl Client {
    /// A client by these settings. Sends nothing yet.
    ///
    /// # Errors
    /// When the settings cannot be used, or the file of certificate authorities.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let http = Http::new(settings.ca_file.as_deref(), settings.request_timeout)?;
        let base = settings.data_plane.as_ref().unwrap_or(&settings.endpoint);
        Ok(Self {
            cluster_id: settings.cluster_id.clone(),
            api_version: settings.api_version.clone(),
            base: base.clone(),
            has_data_plane: settings.data_plane.is_some(),
            http,
            tokens: TokenSource::new(settings.credential.clone(), None, &settings.audience),
            key: None,
            facts: RwLock::default(),
        })
    }

    /// From now on calls as the agent that was enrolled with these settings.
    pub fn enrolled(&mut self, settings: &Settings, identity: Identity) {
        let enrolled = Enrolled {
            authority: self.base.clone(),
            tenant_id: identity.tenant_id,
            client_id: identity.client_id,
            client_secret: identity.client_secret,
        };
        let credential = settings.credential.clone();
        self.tokens = TokenSource::new(credential, Some(enrolled), &settings.audience);
        self.key = Some(identity.key);
    }

    /// From now on says this of the cluster when it lists.
    pub fn describe(&self, facts: ClusterFacts) {
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// The cluster whose configurations this lists.
    pub fn cluster_id(&self) -> &ClusterId {
        &self.cluster_id
    }

    /// Whether there is a data plane that takes status.
    pub fn takes_status(&self) -> bool {
        self.has_data_plane
    }

    /// Reports the status of a configuration, cut to its bounds.
    ///
    /// # Errors
    /// [`Error::Stale`] when the configuration is no longer what the status speaks of, else when
    /// the portal cannot be reached or refuses.
    pub async fn report_status(&self, name: &str, report: &StatusReport) -> Result<(), Error> {
        let name: ConfigurationId = self.cluster_id.configuration(name)?;
        let name = name.name();
        if !self.has_data_plane {
            return Err(Error::NoDataPlane { name: name.into() });
        }
        let url = self.url(&self.cluster_id.status_path(name));
        let body = serde_json::to_vec(&report.clone().bounded())
            .expect("a report is plain data with text for keys");
        let answer = self.send(Method::PUT, &url, &Asked::Body(body)).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            // A page of some proxy: the portal has not heard of the report.
            status if status.is_success() => Err(Error::Malformed {
                server: origin(&url),
                problem: format!("a report is answered with 204 and not with {status}"),
            }),
            StatusCode::PRECONDITION_FAILED => Err(Error::Stale { name: name.into() }),
            _ => Err(refusal(&url, &answer)),
        }
    }

    /// The URL of a path below the server's own.
    fn url(&self, path: &str) -> Url {
        below(&self.base, path)
    }

    /// Sends with a token, and once more with a new one when the server does not take it.
    async fn send(&self, method: Method, url: &Url, asked: &Asked<'_>) -> Result<Answer, Error> {
        self.http.reload().await?;
        let token = self.tokens.token(&self.http, None).await?;
        let answer = self.request(&method, url, asked, &token).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let fresh = self.tokens.token(&self.http, Some(&token)).await?;
        if fresh == token {
            return Ok(answer);
        }
        self.request(&method, url, asked, &fresh).await
    }

    fn described(&self, request: RequestBuilder) -> RequestBuilder {
        let facts = self.facts.read().unwrap_or_else(PoisonError::into_inner);
        let version = facts.kubernetes_version.as_deref();
        let version = version.and_then(|version| HeaderValue::from_str(version).ok());
        let nodes = facts.nodes.map(HeaderValue::from);
        [(KUBERNETES_VERSION_HEADER, version), (NODES_HEADER, nodes)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            })
    }

    async fn request(
        &self,
        method: &Method,
        url: &Url,
        asked: &Asked<'_>,
        token: &crate::Secret,
    ) -> Result<Answer, Error> {
        let server = origin(url);
        let answer = self
            .http
            .send(|clients| {
                let request = clients
                    .through_proxy
                    .request(method.clone(), url.clone())
                    .bearer_auth(token.expose());
                match asked {
                    Asked::Body(body) => request
                        .header(CONTENT_TYPE, "application/json")
                        .body(body.clone()),
                    Asked::Nothing => self.described(request),
                    Asked::News { since, wait } => self
                        .described(request)
                        .header(IF_NONE_MATCH, &since.0)
                        .header("prefer", format!("wait={}", wait.as_secs()))
                        .timeout(self.http.timeout() + *wait),
                }
            })
            .await;
        match answer {
            Ok(answer) => {
                let (status, bytes) = (answer.status.as_u16(), answer.body.len());
                tracing::debug!(server, %method, path = url.path(), status, bytes, "asked ARM");
                Ok(answer)
            }
            Err(source) => Err(Error::Transport { server, source }),
        }
    }
}

/// The URL of a path below a server's own.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{prefix}{path}"));
    url
}

/// What goes with a request.
enum Asked<'a> {
    Nothing,
    /// JSON.
    Body(Vec<u8>),
    /// Only another version of a list is wanted, which may take so long to come.
    News {
        since: &'a Version,
        wait: Duration,
    },
}

/// The error that an answer without success is.
fn refusal(url: &Url, answer: &Answer) -> Error {
    let server = origin(url);
    if answer.is_throttle() {
        return Error::Throttled {
            server,
            status: answer.status.as_u16(),
            retry_after: answer.retry_after,
        };
    }
    let error = serde_json::from_slice::<ErrorResponse>(&answer.body)
        .unwrap_or_default()
        .error;
    Error::Refused {
        server,
        status: answer.status.as_u16(),
        code: shorten(&error.code),
        message: shorten(&error.message),
    }
}

/// A text of another's making, short enough for a status and without line breaks.
fn shorten(text: &str) -> String {
    const MAX: usize = 512;
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MAX).collect()
}

/// An interval give or take a tenth, so that agents that started together do not ask together.
pub fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.9..=1.1))
}
