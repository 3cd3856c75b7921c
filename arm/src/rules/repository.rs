//! The repository's address: a URL, or `user@host:path` as SSH writes it.

use url::Url;

/// The longest address of a repository, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// Which credentials an address can be used with. ARM's command line asks no more than whether the
/// scheme is http(s), and `user@host:path` has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// `http` or `https`.
    Http,
    /// Anything else.
    Other,
}

/// Why an address is none of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RepositoryError {
    #[error("the URL of a Git repository is needed")]
    Missing,
    #[error("the URL may have at most {MAX_LENGTH} characters")]
    TooLong,
    #[error("the URL may hold no spaces, control characters or escaped line breaks")]
    Unsafe,
    #[error(
        "this is no URL of a repository: write https://host/path, ssh://user@host/path or user@host:path"
    )]
    Malformed,
    #[error("git:// neither hides nor authenticates what it carries: use https:// or ssh://")]
    GitProtocol,
    #[error("repositories cannot be read by `{0}`: use https://, http:// or ssh://")]
    Scheme(String),
    #[error("no user name or password may stand in an http(s) URL: use httpsUser and httpsKey")]
    Credentials,
    #[error("no password may stand in an SSH URL: use sshPrivateKey")]
    Password,
    #[error("the URL may have neither a query nor a fragment")]
    Query,
}

/// The repository's URL, with `user@host:path` turned into `ssh://user@host/path`.
///
/// # Errors
/// When the address is missing, malformed, holds credentials, or has a scheme that is not read.
pub fn repository_url(address: &str) -> Result<Url, RepositoryError> {
    read(address).map(|(url, _)| url)
}

/// The scheme's transport, also of an address that is otherwise wrong.
pub(super) fn transport(address: &str) -> Option<Transport> {
    let (scheme, _) = address.split_once("://")?;
    Some(match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Transport::Http,
        _ => Transport::Other,
    })
}

pub(super) fn read(address: &str) -> Result<(Url, Transport), RepositoryError> {
    if address.is_empty() {
        return Err(RepositoryError::Missing);
    }
    if address.len() > MAX_LENGTH {
        return Err(RepositoryError::TooLong);
    }
    // An escaped line break reached Git's credential helpers once: CVE-2020-5260.
    let escaped = address.to_ascii_lowercase();
    if address
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || c == '\\')
        || ["%0a", "%0d", "%00"]
            .iter()
            .any(|code| escaped.contains(code))
    {
        return Err(RepositoryError::Unsafe);
    }
    let mut url = match address.split_once("://") {
        Some(_) => Url::parse(address).map_err(|_| RepositoryError::Malformed)?,
        None => scp_form(address).ok_or(RepositoryError::Malformed)?,
    };
    let transport = match url.scheme() {
        "http" | "https" => Transport::Http,
        "ssh" => Transport::Other,
        "git" => return Err(RepositoryError::GitProtocol),
        scheme => return Err(RepositoryError::Scheme(scheme.to_owned())),
    };
    let host = url.host_str().unwrap_or_default();
    let user = url.username();
    // A leading hyphen would be an option on a command line; no address needs one.
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') || url.path().len() < 2 {
        return Err(RepositoryError::Malformed);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(RepositoryError::Query);
    }
    // As Azure DevOps writes its own addresses: no credential, only the organisation once more.
    let organisation = url.path_segments().and_then(|mut path| path.next());
    if transport == Transport::Http
        && url.password().is_none()
        && !user.is_empty()
        && organisation == Some(user)
    {
        url.set_username("")
            .map_err(|()| RepositoryError::Malformed)?;
    }
    let user = url.username();
    match transport {
        Transport::Http if !user.is_empty() || url.password().is_some() => {
            Err(RepositoryError::Credentials)
        }
        Transport::Other if url.password().is_some() => Err(RepositoryError::Password),
        _ => Ok((url, transport)),
    }
}

/// `user@host:path`; the path is relative to the user's home there and to the root in a URL, which
/// is the same for every Git host.
fn scp_form(address: &str) -> Option<Url> {
    let (authority, path) = address.split_once(':')?;
    let (user, host) = authority.split_once('@')?;
    let path = path.trim_start_matches('/');
    if user.is_empty() || user.contains('/') || host.contains(['/', '@']) || path.is_empty() {
        return None;
    }
    Url::parse(&format!("ssh://{user}@{host}/{path}")).ok()
}
