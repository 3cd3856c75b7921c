//! What can go wrong between an agent and ARM, and what to do then.

use std::{path::PathBuf, time::Duration};

use crate::{IdError, SettingsError, client::TransportError};

/// When an attempt is worth repeating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once.
    Now,
    /// At the next poll, or after [`Error::retry_after`].
    Later,
    /// Not before a person, or the other side, has changed something.
    OnChange,
}

/// Why the configurations could not be listed or a status not be reported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used.
    #[error("using the settings for ARM")]
    Settings(#[from] SettingsError),
    /// The file of certificate authorities cannot be used.
    #[error("reading the certificate authorities in {}", path.display())]
    CertificateAuthorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// There is no token.
    #[error("getting a token")]
    Token(#[from] TokenError),
    /// The server was not reached, or its answer did not arrive whole and in time.
    #[error("asking {server}")]
    Transport {
        /// Its scheme, host and port.
        server: String,
        /// Why.
        source: TransportError,
    },
    /// The server asks for patience.
    #[error("asking {server}: it is busy ({status}{})", after(*retry_after))]
    Throttled {
        /// Its scheme, host and port.
        server: String,
        /// 429 or 503.
        status: u16,
        /// When it is to be asked again, if it said so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// The server refused.
    #[error("asking {server}: it answered {status} {code}: {message}")]
    Refused {
        /// Its scheme, host and port.
        server: String,
        /// The HTTP status.
        status: u16,
        /// ARM's word for it; empty when the answer is not in ARM's form.
        code: String,
        /// ARM's explanation.
        message: String,
    },
    /// The server answered something that is not what was asked for.
    #[error("reading the answer of {server}: {problem}")]
    Malformed {
        /// Its scheme, host and port.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The pages of the list do not end, or lead elsewhere.
    #[error("reading the list of {server}: {problem}")]
    Paging {
        /// Its scheme, host and port.
        server: String,
        /// What is wrong with them.
        problem: String,
    },
    /// The status is of a version of the configuration that is no longer the newest.
    #[error("reporting the status of `{name}`: the configuration has changed since")]
    Stale {
        /// The configuration.
        name: String,
    },
    /// The name cannot be part of an ARM id.
    #[error("reporting a status")]
    Name(#[from] IdError),
    /// ARM takes no status, and the settings name no data plane.
    #[error("reporting the status of `{name}`: the settings name no data plane")]
    NoDataPlane {
        /// The configuration.
        name: String,
    },
}

fn after(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| {
        format!(", to be asked again in {} s", wait.as_secs())
    })
}

impl Error {
    /// A stable word for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Settings(_) => "InvalidSettings",
            Self::CertificateAuthorities { .. } => "InvalidCertificateAuthorities",
            Self::Token(error) => error.reason(),
            Self::Transport { source, .. } => source.reason(),
            Self::Throttled { .. } => "Throttled",
            Self::Refused { status, .. } => match status {
                401 => "Unauthorized",
                403 => "Forbidden",
                404 => "NotFound",
                500..=599 => "ServerError",
                _ => "Refused",
            },
            Self::Malformed { .. } => "MalformedAnswer",
            Self::Paging { .. } => "MalformedList",
            Self::Stale { .. } => "Stale",
            Self::Name(_) => "InvalidName",
            Self::NoDataPlane { .. } => "NoDataPlane",
        }
    }

    /// When the same attempt is worth repeating. A poll goes on in any case.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Settings(_) | Self::Stale { .. } | Self::Name(_) | Self::NoDataPlane { .. } => {
                Retry::OnChange
            }
            Self::Refused { status, .. } if *status < 500 => Retry::OnChange,
            // The metadata service answers 404 and 410 while it starts or is updated.
            Self::Token(TokenError::Refused { status, .. }) if *status < 404 => Retry::OnChange,
            _ => Retry::Later,
        }
    }

    /// How long the server, or who gives tokens, asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. }
            | Self::Token(TokenError::Throttled { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

/// Why there is no token. Says nothing of secrets.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A file with a secret, a token or an assertion cannot be used.
    #[error("reading {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Who gives tokens was not reached, or did not answer whole and in time.
    #[error("asking {server} for a token")]
    Transport {
        /// Scheme, host and port.
        server: String,
        /// Why.
        source: TransportError,
    },
    /// Who gives tokens asks for patience.
    #[error("asking {server} for a token: it is busy ({status}{})", after(*retry_after))]
    Throttled {
        /// Scheme, host and port.
        server: String,
        /// 429 or 503.
        status: u16,
        /// When it is to be asked again, if it said so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// Who gives tokens refused.
    #[error("asking {server} for a token: it answered {status} {code}: {message}")]
    Refused {
        /// Scheme, host and port.
        server: String,
        /// The HTTP status.
        status: u16,
        /// OAuth's word for it, such as `invalid_client`.
        code: String,
        /// Its explanation.
        message: String,
    },
    /// The agent has no credential yet.
    #[error("the agent is not enrolled yet")]
    NotEnrolled,
    /// The answer holds no token.
    #[error("asking {server} for a token: the answer holds none")]
    Malformed {
        /// Scheme, host and port.
        server: String,
    },
}

impl TokenError {
    fn reason(&self) -> &'static str {
        match self {
            Self::File { .. } => "CredentialUnreadable",
            Self::Transport { .. } => "TokenUnavailable",
            Self::Throttled { .. } => "Throttled",
            Self::Refused { .. } => "CredentialRefused",
            Self::NotEnrolled => "NotEnrolled",
            Self::Malformed { .. } => "TokenMalformed",
        }
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is larger than anything of its kind.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// It holds no text, or none that can be sent.
    #[error("the file is empty or holds no plain text")]
    NoText,
    /// It holds no certificate.
    #[error("the file holds no certificate in PEM form")]
    NoCertificate,
}
