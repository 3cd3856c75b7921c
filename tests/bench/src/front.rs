//! What stands before the Git server: it knows when a list of references was given, which is when a
//! new commit becomes known, and can remember answers, so that a thousand fetches of one commit do
//! not cost the machine, which the measured program shares, thousands of `git` processes.
//!
//! Behind `/as/<anything>/` it serves the same repository under as many addresses as one likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use axum::{Router, body::to_bytes, extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tokio::{net::TcpListener, task::JoinHandle};

/// How much a request may hold, in bytes.
const LIMIT: usize = 16 << 20;

/// The headers that Git looks at.
const HEADERS: [&str; 3] = ["content-type", "content-encoding", "git-protocol"];

type Key = (String, Bytes);
type Answer = (StatusCode, Option<HeaderValue>, Bytes);

/// A running front. It ends when it is dropped.
pub(crate) struct Front {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// Where the Git server is, with a slash at the end.
    server: String,
    remembers: bool,
    http: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    advertised: Option<Instant>,
    fetched: Option<Instant>,
    requests: usize,
    answers: HashMap<Key, Answer>,
}

impl Front {
    /// A front of the Git server at an address.
    pub(crate) async fn start(server: String, remembers: bool) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            remembers,
            ..Shared::default()
        });
        let this = Arc::clone(&shared);
        let router = Router::new().fallback(move |request: Request| {
            let this = Arc::clone(&this);
            async move {
                this.answer(request).await.unwrap_or_else(|error| {
                    eprintln!("the Git server does not answer: {error:#}");
                    let mut response = Response::default();
                    *response.status_mut() = StatusCode::BAD_GATEWAY;
                    response
                })
            }
        });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the front of the Git server ended: {error}");
            }
        });
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// The address of a repository.
    pub(crate) fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    /// The address of a repository under a name of one's own.
    pub(crate) fn url_as(&self, name: &str, repository: &str) -> String {
        format!("http://{}/as/{name}/{repository}", self.address)
    }

    /// When the list of references was given last, and when a fetch was answered last.
    pub(crate) fn times(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.shared.state();
        (state.advertised, state.fetched)
    }

    /// How many requests it has answered.
    pub(crate) fn requests(&self) -> usize {
        self.shared.state().requests
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, LIMIT).await.context("read a request")?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = match path.strip_prefix("/as/") {
            Some(rest) => rest.split_once('/').map_or("", |(_, rest)| rest),
            None => path.trim_start_matches('/'),
        };
        let key = (path.to_owned(), body.clone());
        let remembered = if self.remembers {
            self.state().answers.get(&key).cloned()
        } else {
            None
        };
        let (status, kind, bytes) = match remembered {
            Some(answer) => answer,
            None => {
                let mut upstream = self
                    .http
                    .request(head.method, format!("{}{path}", self.server))
                    .body(body);
                for name in HEADERS {
                    if let Some(value) = head.headers.get(name) {
                        upstream = upstream.header(HeaderName::from_static(name), value);
                    }
                }
                let answer = upstream.send().await?;
                let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
                let answer = (status, kind, answer.bytes().await?);
                if self.remembers {
                    self.state().answers.insert(key, answer.clone());
                }
                answer
            }
        };
        let mut response = Response::new(bytes.into());
        *response.status_mut() = status;
        if let Some(kind) = kind {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        // Before the answer's bytes are on their way: what is measured from here is not too short.
        let mut state = self.state();
        state.requests += 1;
        if path.contains("/info/refs") {
            state.advertised = Some(Instant::now());
        } else {
            state.fetched = Some(Instant::now());
        }
        Ok(response)
    }
}
