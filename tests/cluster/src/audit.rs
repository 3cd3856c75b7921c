//! What the API server was asked, counted from its audit log.
//!
//! The log is written before a response ends, so a request whose response has been received is in
//! it. A watch is written when it starts and again when it ends; it counts when it starts.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::Deserialize;

/// What is logged: one line for a request when it is complete, two for a watch.
pub(crate) const POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "rules": [
    {"level": "Metadata", "verbs": ["watch"], "omitStages": ["RequestReceived"]},
    {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]}
  ]
}
"#;

/// Why requests could not be counted.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum AuditError {
    #[error("read the audit log {} (is `Options::audit` on?)", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("read a line of the audit log: {line}")]
    Line {
        line: String,
        source: serde_json::Error,
    },
}

/// A place in the log: requests are before it or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// One request. What a request does not have is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When the API server received it.
    pub time: MicroTime,
    /// Who sent it, such as `system:serviceaccount:default:default`.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for what
    /// is not a resource the HTTP method in lower case.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The version of the API group.
    pub version: String,
    /// The resource, in plural; empty for such as `/readyz` and discovery.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The object; empty for collections, and mostly for `create`.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: Option<u16>,
    /// The stage that the request was counted at: `ResponseStarted` for a watch, otherwise
    /// `ResponseComplete`, or `Panic`.
    pub stage: String,
    /// The path with its query: tells an apply from other patches, and a dry run.
    pub uri: String,
    /// The client's name for itself.
    pub user_agent: String,
}

impl Request {
    /// What was asked for, as `kubectl` spells it: `pods`, `deployments.apps`,
    /// `deployments.apps/status`; the path where it is not a resource.
    pub fn target(&self) -> String {
        if self.resource.is_empty() {
            return self.uri.split('?').next().unwrap_or_default().to_owned();
        }
        let mut target = self.resource.clone();
        for (separator, part) in [('.', &self.group), ('/', &self.subresource)] {
            if !part.is_empty() {
                target.push(separator);
                target.push_str(part);
            }
        }
        target
    }
}

/// What [`count`] tells apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    /// See [`Request::user`].
    pub user: String,
    /// See [`Request::verb`].
    pub verb: String,
    /// See [`Request::target`].
    pub target: String,
}

/// How many requests of each kind each user sent.
pub fn count<'a>(requests: impl IntoIterator<Item = &'a Request>) -> BTreeMap<Counted, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let counted = Counted {
            user: request.user.clone(),
            verb: request.verb.clone(),
            target: request.target(),
        };
        *counts.entry(counted).or_default() += 1;
    }
    counts
}

/// The audit log of a cluster.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file: one JSON object of `audit.k8s.io/v1` a line.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This moment: every request that was answered so far is before it.
    ///
    /// # Errors
    /// When the log cannot be read, as where [`Options::audit`](crate::Options::audit) is off.
    pub fn mark(&self) -> Result<Mark, AuditError> {
        let mark = || -> io::Result<Mark> {
            let mut file = File::open(&self.path)?;
            // A line that is being written is of a request that is not answered yet: it comes after.
            let mut end = file.metadata()?.len();
            let mut block = [0; 4096];
            while end > 0 {
                let start = end.saturating_sub(block.len() as u64);
                let block = &mut block[..usize::try_from(end - start).unwrap_or_default()];
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(block)?;
                if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
                    return Ok(Mark(start + newline as u64 + 1));
                }
                end = start;
            }
            Ok(Mark(0))
        };
        mark().map_err(|source| AuditError::Read {
            path: self.path.clone(),
            source,
        })
    }

    /// Every request that was answered, and every watch that was started, since `mark`, in the
    /// order in which the API server said so. Each once.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn since(&self, mark: Mark) -> Result<Vec<Request>, AuditError> {
        let path = self.path.clone();
        let read = move || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(mark.0))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| AuditError::Read {
                path: self.path.clone(),
                source,
            })?;
        requests(&String::from_utf8_lossy(&bytes))
    }
}

/// The requests in these lines. A last line without an end is still being written and left out.
fn requests(log: &str) -> Result<Vec<Request>, AuditError> {
    let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
    let mut requests = Vec::new();
    for line in complete.lines().filter(|line| !line.is_empty()) {
        let event = event(line).map_err(|source| AuditError::Line {
            line: line.to_owned(),
            source,
        })?;
        if event.verb != "watch" || event.stage == "ResponseStarted" {
            requests.push(event.into());
        }
    }
    Ok(requests)
}

fn event(line: &str) -> Result<Event, serde_json::Error> {
    serde_json::from_str(line).or_else(|error| {
        // A killed API server can leave a line without its end, to which the next one then appends.
        match line.rfind(r#"{"kind":"Event""#) {
            Some(start) if start > 0 => serde_json::from_str(&line[start..]),
            _ => Err(error),
        }
    })
}

/// An event of `audit.k8s.io/v1`, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<ResponseStatus>,
    request_received_timestamp: MicroTime,
}

#[derive(Deserialize)]
struct User {
    // A request whose user is not known has none.
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: String,
    api_group: String,
    api_version: String,
    subresource: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        Self {
            time: event.request_received_timestamp,
            user: event.user.username,
            verb: event.verb,
            group: event.object_ref.api_group,
            version: event.object_ref.api_version,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            code: event.response_status.and_then(|status| status.code),
            stage: event.stage,
            uri: event.request_uri,
            user_agent: event.user_agent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Audit, Mark, requests};

    fn line(verb: &str, stage: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"{stage}","requestURI":"/apis/apps/v1/deployments/a/status?x=y","verb":"{verb}","user":{{"username":"alice"}},"sourceIPs":["127.0.0.1"],"userAgent":"test","objectRef":{{"resource":"deployments","apiGroup":"apps","apiVersion":"v1","subresource":"status"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.678901Z"}}"#
        )
    }

    #[test]
    fn a_watch_counts_once_and_at_its_start() {
        let log = [
            line("watch", "ResponseStarted"),
            line("get", "ResponseComplete"),
            line("watch", "ResponseComplete"),
        ];
        let requests = requests(&(log.join("\n") + "\n")).unwrap();
        let found: Vec<_> = requests
            .iter()
            .map(|request| (request.verb.as_str(), request.target()))
            .collect();
        let target = "deployments.apps/status";
        assert_eq!(
            found,
            [("watch", target.to_owned()), ("get", target.to_owned())]
        );
        assert_eq!(requests[1].code, Some(200));
    }

    #[test]
    fn lines_without_an_end_are_left_out_or_mended() {
        let whole = line("get", "ResponseComplete");
        let part = &whole[..100];
        assert_eq!(requests(part).unwrap().len(), 0);
        assert_eq!(requests(&format!("{whole}\n{part}")).unwrap().len(), 1);
        assert_eq!(
            requests(&format!("{part}{whole}\n{whole}\n"))
                .unwrap()
                .len(),
            2
        );
        assert!(requests(&format!("{part}\n")).is_err());
    }

    #[test]
    fn a_mark_is_after_the_last_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        for (content, expected) in [
            (String::new(), 0),
            ("a".to_owned(), 0),
            ("a\n".to_owned(), 2),
            ("a\nb".to_owned(), 2),
            (format!("a\n{}", "b".repeat(10_000)), 2),
            (format!("{}\n", "b".repeat(10_000)), 10_001),
        ] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(
                Audit::new(path.clone()).mark().unwrap(),
                Mark(expected),
                "{content:.10}"
            );
        }
    }
}
