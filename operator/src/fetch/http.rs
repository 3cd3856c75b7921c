//! HTTP below libgit2's Git protocol.
//!
//! libgit2's own HTTP cannot be used for a stranger's address: nothing ends a server that drips its
//! list of references, a redirect to another port is shown the password, and authorities are those
//! of the whole process. So the exchange is made here, and every wait in it ends with the deadline
//! or when the fetch is stopped.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use http::{StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use reqwest::{Certificate, Client, Response, redirect};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Error, Limits, Remote};

/// Some servers answer programs that are not `git` with a page for people.
const AGENT: &str = "git/2.0 (gitmoor)";

/// As many as a renamed repository behind a server that adds a slash needs, and one.
const REDIRECTS: usize = 3;

const LIST: &str = "/info/refs";

/// What one fetch exchanges with a server.
pub(super) struct Exchange {
    remote: Remote,
    client: Client,
    /// Where the repository is, which a redirect may change.
    base: Mutex<Url>,
    limits: Limits,
    until: Instant,
    stop: CancellationToken,
    received: AtomicU64,
    /// The same of every exchange.
    received_ever: Counter,
    /// Why it failed. libgit2 would pass on the words alone.
    failure: Mutex<Option<Error>>,
    runtime: Handle,
}

impl Exchange {
    /// Prepares; must be called in a runtime. The deadline starts now.
    pub(super) fn new(
        remote: Remote,
        limits: Limits,
        received_ever: Counter,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            client: remote.credentials().client().map_err(Error::Internal)?,
            base: Mutex::new(remote.address().clone()),
            until: Instant::now() + limits.whole,
            received: AtomicU64::new(0),
            received_ever,
            failure: Mutex::new(None),
            runtime: Handle::current(),
            remote,
            limits,
            stop,
        }))
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Why it failed, if it was the exchange that did; asked once.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether it should go on: asked while what came is worked on.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        if Instant::now() >= self.until {
            return Err(self.timed_out());
        }
        Ok(())
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            url: self.remote.url().to_owned(),
        }
    }

    fn unreachable(&self, what: String) -> Error {
        Error::RepositoryUnreachable {
            url: self.remote.url().to_owned(),
            what,
        }
    }

    /// Waits for a part of the exchange, on a thread of libgit2's.
    fn wait<T>(
        &self,
        until: Instant,
        part: impl Future<Output = Result<T, Error>>,
    ) -> io::Result<T> {
        let result = self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => Err(Error::Stopped),
                result = timeout_at(until.min(self.until), part) => {
                    result.unwrap_or_else(|_| Err(self.timed_out()))
                }
            }
        });
        result.map_err(|error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::Error::other("the exchange failed")
        })
    }

    /// Asks for the references.
    async fn list(&self) -> Result<Response, Error> {
        let mut base = self.remote.address().clone();
        for _ in 0..=REDIRECTS {
            let mut url = with_suffix(&base, LIST);
            url.set_query(Some("service=git-upload-pack"));
            let response = self.send(self.client.get(url)).await?;
            if !response.status().is_redirection() {
                let wanted = "application/x-git-upload-pack-advertisement";
                let response = self.accept(response, wanted)?;
                *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
                return Ok(response);
            }
            base = self.redirected(&base, &response)?;
        }
        Err(self.unreachable("it redirects again and again".to_owned()))
    }

    /// Asks for objects.
    async fn pack(&self, body: Vec<u8>) -> Result<Response, Error> {
        let base = self
            .base
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let request = self
            .client
            .post(with_suffix(&base, "/git-upload-pack"))
            .header(
                header::CONTENT_TYPE,
                "application/x-git-upload-pack-request",
            )
            .body(body);
        let response = self.send(request).await?;
        self.accept(response, "application/x-git-upload-pack-result")
    }

    /// Sends with the credentials at once, so that asking costs one request and not two.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let request = match self.remote.credentials().basic() {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        request.send().await.map_err(|error| self.broken(&error))
    }

    async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Error> {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| self.broken(&error))?;
        let length = chunk.as_ref().map_or(0, Bytes::len) as u64;
        self.received_ever.inc_by(length);
        if self.received.fetch_add(length, Ordering::Relaxed) + length > self.limits.bytes {
            return Err(Error::TooLarge(format!(
                "{} sends more than {} MiB for one commit: keep manifests in a repository of their own",
                self.remote.url(),
                self.limits.bytes >> 20
            )));
        }
        Ok(chunk)
    }

    fn accept(&self, response: Response, wanted: &str) -> Result<Response, Error> {
        let url = self.remote.url().to_owned();
        let refused = |what| Error::AuthenticationFailed { url, what };
        let status = response.status();
        match status {
            StatusCode::OK => {}
            // Azure DevOps answers 203 with a page to sign in when a token is wrong.
            StatusCode::UNAUTHORIZED | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                return Err(refused(match self.remote.credentials().basic() {
                    Some(_) => "correct username and password in the Secret",
                    None => {
                        "it asks for some: put username and password into a Secret and name it in credentials"
                    }
                }));
            }
            StatusCode::FORBIDDEN => {
                return Err(refused(
                    "give them the right to read the repository, or name a Secret with others",
                ));
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(Error::RepositoryNotFound {
                    url: self.remote.url().to_owned(),
                });
            }
            _ => return Err(self.unreachable(format!("the server answered with status {status}"))),
        }
        let found = response.headers().get(header::CONTENT_TYPE);
        if found.is_none_or(|found| found != wanted) {
            return Err(Error::RepositoryNotFound {
                url: self.remote.url().to_owned(),
            });
        }
        Ok(response)
    }

    /// Where the repository has moved, if it is the same server: any other would be shown the
    /// credentials, and could be one that only this process can reach.
    fn redirected(&self, from: &Url, response: &Response) -> Result<Url, Error> {
        let target = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| from.join(location).ok())
            .ok_or_else(|| self.unreachable("it redirects to no address".to_owned()))?;
        let upgraded = from.scheme() == "http"
            && target.scheme() == "https"
            && (from.port(), target.port()) == (None, None)
            && from.host() == target.host();
        let path = target.path().strip_suffix(LIST);
        let (Some(path), true) = (path, upgraded || from.origin() == target.origin()) else {
            let host = target.origin().ascii_serialization();
            return Err(Error::NotAllowed(format!(
                "{} redirects to a place on {host}, which is not followed: if the repository has moved, write its new address; if one signs in there, correct the credentials",
                self.remote.url()
            )));
        };
        let mut base = target.clone();
        base.set_path(path);
        base.set_query(None);
        base.set_fragment(None);
        Ok(base)
    }

    fn broken(&self, error: &reqwest::Error) -> Error {
        // The outer words say only that a request failed; the innermost say why.
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut innermost = String::new();
        while let Some(error) = next {
            if let Some(rustls::Error::InvalidCertificate(what)) = error.downcast_ref() {
                return Error::CertificateUntrusted {
                    url: self.remote.url().to_owned(),
                    what: what.to_string(),
                };
            }
            innermost = error.to_string();
            // What an I/O error holds is not its source: that one it skips.
            next = match error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
            {
                Some(held) => Some(held),
                None => error.source(),
            };
        }
        self.unreachable(innermost)
    }
}

fn with_suffix(base: &Url, suffix: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{suffix}", base.path().trim_end_matches('/')));
    url
}

/// A client that trusts these authorities beside the system's, and keeps connections open. All
/// remotes without authorities of their own share one.
pub(super) fn client(authorities: Vec<Certificate>) -> Result<Client, String> {
    static SHARED: LazyLock<Result<Client, String>> = LazyLock::new(|| build(Vec::new()));
    if authorities.is_empty() {
        return SHARED.clone();
    }
    build(authorities)
}

fn build(authorities: Vec<Certificate>) -> Result<Client, String> {
    Client::builder()
        .user_agent(AGENT)
        .redirect(redirect::Policy::none())
        .tls_certs_merge(authorities)
        .build()
        .map_err(|error| format!("prepare HTTPS: {error:?}"))
}

/// What libgit2 calls.
pub(super) struct Transport(pub(super) Arc<Exchange>);

impl SmartSubtransport for Transport {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let exchange = Arc::clone(&self.0);
        let listed = Instant::now() + exchange.limits.silence;
        let until = match service {
            Service::UploadPackLs => Some(listed),
            Service::UploadPack => None,
            _ => return Err(git2::Error::from_str("nothing is ever pushed")),
        };
        Ok(Box::new(Stream {
            exchange,
            until,
            sent: Vec::new(),
            answer: None,
            rest: Bytes::new(),
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request and its answer.
struct Stream {
    exchange: Arc<Exchange>,
    /// When a list of references must be whole; a pack may take until the deadline while it comes.
    until: Option<Instant>,
    sent: Vec<u8>,
    answer: Option<Response>,
    rest: Bytes,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let exchange = Arc::clone(&self.exchange);
        let until = self
            .until
            .unwrap_or(Instant::now() + exchange.limits.silence);
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let sent = std::mem::take(&mut self.sent);
                let answer = exchange.wait(until, async {
                    match self.until {
                        Some(_) => exchange.list().await,
                        None => exchange.pack(sent).await,
                    }
                })?;
                self.answer.insert(answer)
            }
        };
        while self.rest.is_empty() {
            match exchange.wait(until, exchange.chunk(answer))? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.sent.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
