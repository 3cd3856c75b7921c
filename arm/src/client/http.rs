//! One HTTP exchange: a time for all of it, a bound on what comes back, no redirects.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ETAG, RETRY_AFTER},
};
use reqwest::{Certificate, ClientBuilder, RequestBuilder, redirect};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use url::Url;

use crate::{Error, FileError};

/// The most that an answer may hold.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The most that a file of certificate authorities may hold: a system's bundle has 200 KiB.
const MAX_CA_FILE: u64 = 4 * 1024 * 1024;

/// A server that is there answers the handshake well within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an HTTP/2 connection with a request on it may be silent before it is asked for a sign of
/// life, and how long that may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// The longest that a server may make us wait.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Why no whole answer came in time.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection: no such host, nothing there, or a certificate that is not trusted.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The time is over.
    #[error("no whole answer in time")]
    Timeout(#[source] reqwest::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
    /// The answer is larger than the bound.
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
}

impl TransportError {
    /// A stable word for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "Unreachable",
            Self::Timeout(_) => "Timeout",
            Self::Broken(_) => "AnswerBrokenOff",
            Self::TooLarge => "AnswerTooLarge",
        }
    }
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        // A URL may carry what is not for a log, and the server is named beside this anyway.
        let error = error.without_url();
        if error.is_timeout() {
            Self::Timeout(error)
        } else if error.is_connect() {
            Self::Connect(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// The version of what is answered.
    pub(super) etag: Option<HeaderValue>,
    /// Whether the server did as was preferred.
    pub(super) preference_applied: bool,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Whether the server asks for patience rather than refuses.
    pub(super) fn is_throttle(&self) -> bool {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
    }
}

/// The two ways out.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// Through the proxy of the environment, if there is one.
    pub(super) through_proxy: reqwest::Client,
    /// Past it: what stays on this machine.
    pub(super) direct: reqwest::Client,
}

/// HTTP with the certificate authorities of the settings.
#[derive(Debug)]
pub(super) struct Http {
    ca_file: Option<PathBuf>,
    timeout: Duration,
    current: Mutex<(Option<Vec<u8>>, Clients)>,
}

impl Http {
    pub(super) fn new(ca_file: Option<&Path>, timeout: Duration) -> Result<Self, Error> {
        let pem = ca_file
            .map(|path| {
                let read = || {
                    check_size(std::fs::metadata(path)?.len())?;
                    Ok(std::fs::read(path)?)
                };
                read().map_err(|source| ca_error(path, source))
            })
            .transpose()?;
        let clients = build(pem.as_deref(), ca_file, timeout)?;
        Ok(Self {
            ca_file: ca_file.map(Path::to_owned),
            timeout,
            current: Mutex::new((pem, clients)),
        })
    }

    /// Takes up a file of certificate authorities that has changed.
    pub(super) async fn reload(&self) -> Result<(), Error> {
        let Some(path) = &self.ca_file else {
            return Ok(());
        };
        let read = async || {
            check_size(tokio::fs::metadata(path).await?.len())?;
            Ok(tokio::fs::read(path).await?)
        };
        let pem = read().await.map_err(|source| ca_error(path, source))?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0.as_deref() != Some(&pem) {
            let clients = build(Some(&pem), Some(path), self.timeout)?;
            *current = (Some(pem), clients);
        }
        Ok(())
    }

    /// How long an exchange may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends what `request` makes and reads the answer whole.
    pub(super) async fn send(
        &self,
        request: impl FnOnce(&Clients) -> RequestBuilder,
    ) -> Result<Answer, TransportError> {
        let clients = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.1.clone()
        };
        let mut response = request(&clients).send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            retry_after: retry_after(response.headers(), SystemTime::now()),
            etag: response.headers().get(ETAG).cloned(),
            preference_applied: response.headers().contains_key("preference-applied"),
            body,
        })
    }
}

fn check_size(bytes: u64) -> Result<(), FileError> {
    if bytes > MAX_CA_FILE {
        return Err(FileError::TooLarge(MAX_CA_FILE));
    }
    Ok(())
}

fn ca_error(path: &Path, source: FileError) -> Error {
    Error::CertificateAuthorities {
        path: path.to_owned(),
        source,
    }
}

fn build(pem: Option<&[u8]>, path: Option<&Path>, timeout: Duration) -> Result<Clients, Error> {
    let no_certificate = || ca_error(path.unwrap_or(Path::new("")), FileError::NoCertificate);
    let roots = pem
        .map(|pem| match Certificate::from_pem_bundle(pem) {
            Ok(roots) if !roots.is_empty() => Ok(roots),
            _ => Err(no_certificate()),
        })
        .transpose()?;
    let builder = || {
        let builder = ClientBuilder::new()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            // A dead HTTP/2 connection would be used by every later poll until TCP gives up.
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .http2_keep_alive_timeout(KEEP_ALIVE.1)
            .user_agent(concat!("gitmoor/", env!("CARGO_PKG_VERSION")));
        match &roots {
            Some(roots) => builder.tls_certs_only(roots.clone()),
            None => builder,
        }
    };
    let client = |builder: ClientBuilder| builder.build().map_err(|_| no_certificate());
    Ok(Clients {
        through_proxy: client(builder())?,
        direct: client(builder().no_proxy())?,
    })
}

/// Scheme, host and port, which is all of a URL that an error shows.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// `Retry-After` as RFC 9110 has it: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date: SystemTime = OffsetDateTime::parse(text, &Rfc2822).ok()?.into();
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}
