//! HTTP below libgit2's Git protocol.
//!
//! libgit2's own HTTP cannot be used for a stranger's address: nothing ends a server that drips its
//! list of references, a redirect to another port is shown the password, and authorities are those
//! of the whole process. So the requests are made here, within the bounds of the [`Exchange`].

use std::{
    io::{self, Read, Write},
    ops::Deref,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use http::{StatusCode, header};
use reqwest::{Certificate, Client, Response, redirect};
use tokio::time::Instant;
use url::Url;

use super::{Error, exchange::Exchange};

/// Some servers answer programs that are not `git` with a page for people.
const AGENT: &str = "git/2.0 (gitmoor)";

/// As many as a renamed repository behind a server that adds a slash needs, and one.
const REDIRECTS: usize = 3;

const LIST: &str = "/info/refs";

/// The requests of one fetch.
struct Http {
    exchange: Arc<Exchange>,
    client: Client,
    /// Where the repository is, which a redirect may change.
    base: Mutex<Url>,
}

impl Deref for Http {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

impl Http {
    /// Asks for the references.
    async fn list(&self) -> Result<Response, Error> {
        let mut base = self.remote().address().clone();
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
        let request = match self.remote().credentials().basic() {
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
        self.count(length)?;
        Ok(chunk)
    }

    fn accept(&self, response: Response, wanted: &str) -> Result<Response, Error> {
        let url = self.remote().url().to_owned();
        let refused = |what: &str| Error::AuthenticationFailed {
            url,
            what: what.to_owned(),
        };
        let status = response.status();
        match status {
            StatusCode::OK => {}
            // Azure DevOps answers 203 with a page to sign in when a token is wrong.
            StatusCode::UNAUTHORIZED | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                return Err(refused(match self.remote().credentials().basic() {
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
                    url: self.remote().url().to_owned(),
                });
            }
            _ => return Err(self.unreachable(format!("the server answered with status {status}"))),
        }
        let found = response.headers().get(header::CONTENT_TYPE);
        if found.is_none_or(|found| found != wanted) {
            return Err(Error::RepositoryNotFound {
                url: self.remote().url().to_owned(),
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
                self.remote().url()
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
                    url: self.remote().url().to_owned(),
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
pub(super) struct Transport(Arc<Http>);

impl Transport {
    /// The transport of one fetch.
    pub(super) fn new(exchange: Arc<Exchange>) -> Result<Self, git2::Error> {
        let client = exchange.remote().credentials().client();
        let client = client.map_err(|what| {
            let error = git2::Error::from_str(&what);
            exchange.fail(Error::Internal(what));
            error
        })?;
        let base = Mutex::new(exchange.remote().address().clone());
        Ok(Self(Arc::new(Http {
            client,
            exchange,
            base,
        })))
    }
}

impl SmartSubtransport for Transport {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let http = Arc::clone(&self.0);
        let listed = http.silent_until();
        let until = match service {
            Service::UploadPackLs => Some(listed),
            Service::UploadPack => None,
            _ => return Err(git2::Error::from_str("nothing is ever pushed")),
        };
        Ok(Box::new(Stream {
            http,
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
    http: Arc<Http>,
    /// When a list of references must be whole; a pack may take until the deadline while it comes.
    until: Option<Instant>,
    sent: Vec<u8>,
    answer: Option<Response>,
    rest: Bytes,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let http = Arc::clone(&self.http);
        let until = self.until.unwrap_or_else(|| http.silent_until());
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let sent = std::mem::take(&mut self.sent);
                let answer = http.wait(until, async {
                    match self.until {
                        Some(_) => http.list().await,
                        None => http.pack(sent).await,
                    }
                })?;
                self.answer.insert(answer)
            }
        };
        while self.rest.is_empty() {
            match http.wait(until, http.chunk(answer))? {
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
