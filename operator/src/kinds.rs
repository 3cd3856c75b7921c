//! Which kinds the API server has: by aggregated discovery, two requests for all of them, shared by
//! every operator of the process and asked for again only when a kind is missing.

use std::{collections::HashMap, sync::Arc};

use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, ETAG, IF_NONE_MATCH},
};
use http_body_util::BodyExt as _;
use kube::{
    Client,
    client::Body,
    core::discovery::v2::{
        ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscoveryList, APIResourceDiscovery,
    },
};
use tokio::sync::Mutex;

/// Why the kinds are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not answer.
    #[error("ask the API server for its kinds ({path})")]
    Request {
        /// What was asked for.
        path: &'static str,
        /// What went wrong.
        source: kube::Error,
    },
    /// The API server answered with something else.
    #[error("ask the API server for its kinds ({path}): {what}")]
    Answer {
        /// What was asked for.
        path: &'static str,
        /// What it answered.
        what: String,
    },
}

/// A kind in one version, as the API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The version, such as `v1`.
    pub version: Arc<str>,
    /// The plural name in URLs, such as `deployments`.
    pub plural: Arc<str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it can be watched.
    pub watchable: bool,
    /// Whether it can be applied.
    pub appliable: bool,
}

/// Every kind of an API server at a moment.
#[derive(Debug, Default)]
pub struct Kinds {
    /// What `/api` and `/apis` have: the core group, and the others.
    halves: [Arc<Half>; 2],
}

#[derive(Debug, Default)]
struct Half {
    /// Group → kind → the versions, the preferred one first.
    groups: HashMap<Arc<str>, HashMap<Arc<str>, Vec<Resource>>>,
    /// Groups whose servers did not answer: what they have is not known.
    stale: Vec<String>,
}

/// Why a kind cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No such kind, in any version; these groups have one of that name, as `group/version`.
    Kind(Vec<String>),
    /// The kind is there, in these versions.
    Version(Vec<String>),
    /// The group's server does not answer.
    Stale,
}

impl Kinds {
    /// The resource of a kind in a version.
    ///
    /// # Errors
    /// When there is none: with what there is instead.
    pub fn find(&self, group: &str, version: &str, kind: &str) -> Result<&Resource, Missing> {
        let versions = self.versions(group, kind);
        if let Some(resource) = versions.iter().find(|one| &*one.version == version) {
            return Ok(resource);
        }
        if self.is_stale(group) {
            return Err(Missing::Stale);
        }
        if versions.is_empty() {
            let groups = self.halves.iter().flat_map(|half| &half.groups);
            let mut others: Vec<_> = groups
                .filter_map(|(group, kinds)| {
                    let first = kinds.get(kind)?.first()?;
                    Some(api_version(group, &first.version))
                })
                .collect();
            others.sort();
            return Err(Missing::Kind(others));
        }
        Err(Missing::Version(
            versions
                .iter()
                .map(|one| api_version(group, &one.version))
                .collect(),
        ))
    }

    /// Kinds made by hand: as group, kind and resource.
    pub fn of<'a>(all: impl IntoIterator<Item = (&'a str, &'a str, Resource)>) -> Self {
        let mut half = Half::default();
        for (group, kind, resource) in all {
            let kinds = half.groups.entry(group.into()).or_default();
            kinds.entry(kind.into()).or_default().push(resource);
        }
        Self {
            halves: [Arc::new(half), Arc::default()],
        }
    }

    /// The version of a kind that the API server prefers.
    pub fn preferred(&self, group: &str, kind: &str) -> Option<&Resource> {
        self.versions(group, kind).first()
    }

    /// Whether the group's server did not answer, so that what it has is not known.
    pub fn is_stale(&self, group: &str) -> bool {
        let mut stale = self.halves.iter().flat_map(|half| &half.stale);
        stale.any(|stale| stale == group)
    }

    fn versions(&self, group: &str, kind: &str) -> &[Resource] {
        self.halves
            .iter()
            .find_map(|half| half.groups.get(group)?.get(kind))
            .map_or(&[], Vec::as_slice)
    }
}

impl From<APIGroupDiscoveryList> for Half {
    fn from(list: APIGroupDiscoveryList) -> Self {
        let mut half = Self::default();
        for group in list.items {
            let name: Arc<str> = group
                .metadata
                .and_then(|metadata| metadata.name)
                .unwrap_or_default()
                .into();
            for version in group.versions {
                if version.freshness.as_deref() == Some("Stale") {
                    half.stale.push(name.to_string());
                }
                let label: Arc<str> = version.version.unwrap_or_default().into();
                for resource in version.resources {
                    if let Some((kind, resource)) = resource_of(resource, &name, &label) {
                        half.groups
                            .entry(Arc::clone(&name))
                            .or_default()
                            .entry(kind)
                            .or_default()
                            .push(resource);
                    }
                }
            }
        }
        half
    }
}

/// `group/version`, or the version alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

fn resource_of(
    resource: APIResourceDiscovery,
    group: &str,
    version: &Arc<str>,
) -> Option<(Arc<str>, Resource)> {
    let kind = resource.response_kind?;
    // A resource may answer with the kind of another group, such as `scale`; those are no objects
    // of this one.
    if kind
        .group
        .as_deref()
        .is_some_and(|other| !other.is_empty() && other != group)
    {
        return None;
    }
    let can = |verb: &str| resource.verbs.iter().any(|one| one == verb);
    Some((
        kind.kind?.into(),
        Resource {
            version: Arc::clone(version),
            plural: resource.resource?.into(),
            namespaced: resource.scope.as_deref() == Some("Namespaced"),
            watchable: can("watch") && can("list"),
            appliable: can("patch") && can("create"),
        },
    ))
}

/// The kinds as they were last asked for.
#[derive(Default)]
pub struct Discovery {
    last: Mutex<Option<Known>>,
}

struct Known {
    kinds: Arc<Kinds>,
    tags: [Option<HeaderValue>; 2],
}

const PATHS: [&str; 2] = ["/api", "/apis"];

impl Discovery {
    /// The kinds, asked for only when nobody has before.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn kinds(&self, client: &Client) -> Result<Arc<Kinds>, Error> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(known) => Ok(Arc::clone(&known.kinds)),
            None => Self::ask(&mut last, client).await,
        }
    }

    /// The kinds as they are now. Unchanged ones cost two answers without a body; `seen` is what
    /// the caller found wanting: what another caller fetched since is as good as new.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn refresh(&self, client: &Client, seen: &Arc<Kinds>) -> Result<Arc<Kinds>, Error> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(known) if !Arc::ptr_eq(&known.kinds, seen) => Ok(Arc::clone(&known.kinds)),
            _ => Self::ask(&mut last, client).await,
        }
    }

    async fn ask(last: &mut Option<Known>, client: &Client) -> Result<Arc<Kinds>, Error> {
        let (kinds, mut tags) = match last {
            Some(known) => (Arc::clone(&known.kinds), known.tags.clone()),
            None => Default::default(),
        };
        let (core, others) = tokio::join!(
            ask(client, PATHS[0], tags[0].clone()),
            ask(client, PATHS[1], tags[1].clone())
        );
        let mut halves = kinds.halves.clone();
        let mut changed = last.is_none();
        for (index, answer) in [core?, others?].into_iter().enumerate() {
            if let Some((tag, half)) = answer {
                halves[index] = Arc::new(half);
                tags[index] = tag;
                changed = true;
            }
        }
        let kinds = if changed {
            Arc::new(Kinds { halves })
        } else {
            kinds
        };
        *last = Some(Known {
            kinds: Arc::clone(&kinds),
            tags,
        });
        Ok(kinds)
    }
}

/// A list of groups and its tag; nothing when it is the one of `tag` still.
async fn ask(
    client: &Client,
    path: &'static str,
    tag: Option<HeaderValue>,
) -> Result<Option<(Option<HeaderValue>, Half)>, Error> {
    let answer = |what: String| Error::Answer { path, what };
    let mut request = Request::get(path).header(ACCEPT, ACCEPT_AGGREGATED_DISCOVERY_V2);
    if let Some(tag) = tag {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let request = request
        .body(Body::empty())
        .expect("a constant path and a header that was received make a request");
    let response = client
        .send(request)
        .await
        .map_err(|source| Error::Request { path, source })?;
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::NOT_MODIFIED => return Ok(None),
        StatusCode::OK => {}
        other => return Err(answer(format!("status {other}"))),
    }
    let bytes = body
        .collect()
        .await
        .map_err(|source| Error::Request { path, source })?
        .to_bytes();
    let list: APIGroupDiscoveryList = serde_json::from_slice(&bytes).map_err(|error| {
        answer(format!(
            "no list of groups, which Kubernetes 1.27 and later give: {error}"
        ))
    })?;
    Ok(Some((head.headers.get(ETAG).cloned(), list.into())))
}
