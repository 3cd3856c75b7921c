//! Why there is no commit, in words for whoever reads the status.

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
        what: String,
    },
    /// The server knows us, and gives us no repository.
    #[error(
        "{url} cannot be read with this key: the server says {said:?}; check the address, and that the key may read it: {key}"
    )]
    RepositoryRefused {
        /// The address.
        url: String,
        /// The server's words.
        said: String,
        /// The public half of the key.
        key: String,
    },
    /// The server shows a host key that it may not.
    #[error("{0}")]
    HostKeyUntrusted(String),
    /// The repository has no such branch, or is empty.
    #[error("{url} has no {}", branch_words(.branch.as_deref(), .others))]
    BranchNotFound {
        /// The address.
        url: String,
        /// The branch; absent for the default one.
        branch: Option<String>,
        /// Some of the branches that it has.
        others: Vec<String>,
    },
    /// The server's certificate is signed by nobody whom we trust, or is for another host.
    #[error(
        "the certificate of {url} is not trusted ({what}): put the authority that signed it into ca.crt of the credentials' Secret"
    )]
    CertificateUntrusted {
        /// The address.
        url: String,
        /// What is wrong with it.
        what: String,
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
            Self::RepositoryNotFound { .. } | Self::RepositoryRefused { .. } => {
                "RepositoryNotFound"
            }
            Self::AuthenticationFailed { .. } => "AuthenticationFailed",
            Self::BranchNotFound { .. } => "BranchNotFound",
            Self::HostKeyUntrusted(_) => "HostKeyUntrusted",
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

fn branch_words(branch: Option<&str>, others: &[String]) -> String {
    let has = others.join(", ");
    match branch {
        _ if others.is_empty() => "commit yet: push one".to_owned(),
        Some(branch) => {
            format!("branch {branch}; it has {has}: push it, or name another in reference.branch")
        }
        None => format!("commit on its default branch; it has {has}: name one in reference.branch"),
    }
}
