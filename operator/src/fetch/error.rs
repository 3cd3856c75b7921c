//! Why there is no commit, in words for whoever reads the status.

use std::time::Instant;

use git2::{ErrorClass, ErrorCode};
use tokio_util::sync::CancellationToken;

use super::Remote;

/// What our callback says when the server did not take the password.
pub(super) const REFUSED: &str = "the credentials were refused";

/// What our callback says when there is no password to give.
pub(super) const NOT_GIVEN: &str = "no credentials are given";

/// Why there is no commit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address may not be used.
    #[error("{0}")]
    NotAllowed(String),
    /// The server knows no such repository, or shows it to no stranger.
    #[error(
        "{url} is no repository, or not one that these credentials may see: check the address and the Secret"
    )]
    RepositoryNotFound {
        /// The address.
        url: String,
    },
    /// The server wants another proof of who we are.
    #[error("{url} did not accept the credentials: {what}")]
    AuthenticationFailed {
        /// The address.
        url: String,
        /// What to do.
        what: &'static str,
    },
    /// The repository has no such branch, or is empty.
    #[error("{url} has no {}: push it, or name another in reference.branch", branch_words(.branch.as_deref()))]
    BranchNotFound {
        /// The address.
        url: String,
        /// The branch; absent for the default one.
        branch: Option<String>,
    },
    /// The server's certificate is signed by nobody whom we trust, or is for another host.
    #[error(
        "the certificate of {url} is not trusted: put the authority that signed it into ca.crt of the credentials' Secret"
    )]
    CertificateUntrusted {
        /// The address.
        url: String,
    },
    /// The server cannot be reached, or failed.
    #[error("{url} cannot be read: {what}; it is tried again by itself")]
    RepositoryUnreachable {
        /// The address.
        url: String,
        /// What happened.
        what: String,
    },
    /// It took too long.
    #[error("{url} was too slow: the fetch was given up")]
    TimedOut {
        /// The address.
        url: String,
    },
    /// There is more than the limit.
    #[error("{0}")]
    TooLarge(String),
    /// The process is ending, or the configuration changed.
    #[error("the fetch was stopped")]
    Stopped,
    /// The repository on our own disk cannot be used.
    #[error("the operator's own disk: {0}")]
    Disk(String),
    /// We failed.
    #[error("the fetch ended unexpectedly: {0}")]
    Internal(String),
}

impl Error {
    /// A stable word for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed(_) => "RepositoryNotAllowed",
            Self::RepositoryNotFound { .. } => "RepositoryNotFound",
            Self::AuthenticationFailed { .. } => "AuthenticationFailed",
            Self::BranchNotFound { .. } => "BranchNotFound",
            Self::CertificateUntrusted { .. } => "CertificateUntrusted",
            Self::RepositoryUnreachable { .. } => "RepositoryUnreachable",
            Self::TimedOut { .. } => "RepositoryTimedOut",
            Self::TooLarge(_) => "RepositoryTooLarge",
            Self::Stopped => "Stopped",
            Self::Disk(_) => "StoreFailed",
            Self::Internal(_) => "Internal",
        }
    }

    /// Whether nothing will improve until someone changes the configuration.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NotAllowed(_))
    }
}

fn branch_words(branch: Option<&str>) -> String {
    match branch {
        Some(branch) => format!("branch {branch}"),
        None => "commit on its default branch".to_owned(),
    }
}

/// What libgit2's error means. It has few codes of its own, so that its words count too.
pub(super) fn classify(
    error: &git2::Error,
    remote: &Remote,
    stop: &CancellationToken,
    until: Instant,
) -> Error {
    let url = remote.url().to_owned();
    let words = error.message();
    if stop.is_cancelled() {
        return Error::Stopped;
    }
    match (error.class(), error.code()) {
        _ if words.contains(REFUSED) => Error::AuthenticationFailed {
            url,
            what: "correct username and password in the Secret",
        },
        _ if words.contains(NOT_GIVEN) => Error::AuthenticationFailed {
            url,
            what: "put username and password into a Secret and name it in credentials",
        },
        (_, ErrorCode::Auth) => Error::AuthenticationFailed {
            url,
            what: "correct username and password in the Secret",
        },
        (_, ErrorCode::Certificate) | (ErrorClass::Ssl, _) if words.contains("certificate") => {
            Error::CertificateUntrusted { url }
        }
        (_, ErrorCode::User) if Instant::now() >= until => Error::TimedOut { url },
        (_, ErrorCode::User) => Error::TooLarge(format!(
            "{url} sends more than {} MiB for one commit",
            super::RECEIVED >> 20
        )),
        (_, ErrorCode::Timeout) => Error::TimedOut { url },
        _ if words.contains("timed out") => Error::TimedOut { url },
        (ErrorClass::Http, _) => http(url, words),
        (
            ErrorClass::Odb
            | ErrorClass::Os
            | ErrorClass::Repository
            | ErrorClass::Config
            | ErrorClass::Filesystem
            | ErrorClass::Reference
            | ErrorClass::Indexer
            | ErrorClass::Zlib,
            _,
        ) => Error::Disk(words.to_owned()),
        _ => Error::RepositoryUnreachable {
            url,
            what: words.to_owned(),
        },
    }
}

/// libgit2 says `unexpected http status code: 404`.
fn http(url: String, words: &str) -> Error {
    let code = words
        .rsplit(' ')
        .next()
        .and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(404 | 410) => Error::RepositoryNotFound { url },
        Some(401 | 403) => Error::AuthenticationFailed {
            url,
            what: "the server says that they do not suffice",
        },
        Some(code) => Error::RepositoryUnreachable {
            url,
            what: format!("the server answered with status {code}"),
        },
        None => Error::RepositoryUnreachable {
            url,
            what: words.to_owned(),
        },
    }
}
