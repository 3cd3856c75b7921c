//! Where a repository is and how to prove who we are, checked when it comes in.

use std::{fmt, sync::Arc};

use reqwest::Certificate;
use url::Url;

use super::{
    Error, http,
    ssh::{self, Key, KnownHosts},
};

/// A repository, a reference of it, and the credentials for it.
#[derive(Clone, Debug)]
pub struct Remote {
    /// As it was given.
    shown: String,
    url: Url,
    /// Absent for one over HTTP.
    ssh: Option<ssh::Address>,
    branch: Option<String>,
    credentials: Arc<Credentials>,
}

impl Remote {
    /// Checks an address and a branch; the one that `HEAD` names when there is none.
    ///
    /// # Errors
    /// When the address is none of a repository that may be read: libgit2 would also take files of
    /// this pod, and other protocols.
    pub fn new(
        url: &str,
        branch: Option<String>,
        credentials: Arc<Credentials>,
        allow_http: bool,
    ) -> Result<Self, Error> {
        let not_allowed = |what: &str| Error::NotAllowed(what.to_owned());
        // A URL's parser takes these out silently.
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(not_allowed(
                "the repository's address holds a space or a line break: take it out",
            ));
        }
        let (address, path) = match scp_form(url) {
            Some((server, path)) => (format!("ssh://{server}/"), Some(path)),
            None => (url.to_owned(), None),
        };
        let parsed = Url::parse(&address).map_err(|error| {
            Error::NotAllowed(format!("the repository's address is no URL: {error}"))
        })?;
        let is_ssh = parsed.scheme() == "ssh";
        if !is_ssh && (!parsed.username().is_empty() || parsed.password().is_some()) {
            return Err(not_allowed(
                "the repository's address holds a user name or password: put them into a Secret and name it in credentials",
            ));
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(not_allowed("the repository's address names no host"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(not_allowed(
                "the repository's address has a ? or #: write it without; a token belongs into a Secret",
            ));
        }
        if let Some(branch) = &branch
            && !git2::Reference::is_valid_name(&format!("refs/heads/{branch}"))
        {
            return Err(Error::NotAllowed(format!(
                "{branch:?} is no name of a branch: correct reference.branch"
            )));
        }
        let ssh = match parsed.scheme() {
            "https" => None,
            "http" if allow_http => None,
            "http" => {
                return Err(not_allowed(
                    "plain HTTP is not allowed here, since anyone on the way can change what is read: use https",
                ));
            }
            "ssh" => Some(ssh::Address::new(&parsed, path).map_err(not_allowed)?),
            other => {
                return Err(Error::NotAllowed(format!(
                    "repositories over {other} are not supported: use https or ssh"
                )));
            }
        };
        Ok(Self {
            shown: url.to_owned(),
            url: parsed,
            ssh,
            branch,
            credentials,
        })
    }

    /// The address, which holds no secret.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// The branch, when one is named.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    pub(super) fn address(&self) -> &Url {
        &self.url
    }

    pub(super) fn ssh(&self) -> Option<&ssh::Address> {
        self.ssh.as_ref()
    }

    pub(super) fn reference(&self) -> String {
        match &self.branch {
            Some(branch) => format!("refs/heads/{branch}"),
            None => "HEAD".to_owned(),
        }
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// The server and the path of `user@host:path`.
fn scp_form(address: &str) -> Option<(&str, &str)> {
    let (server, path) = address.split_once(':')?;
    let (user, host) = server.split_once('@')?;
    let is_one = !path.starts_with("//") && !server.contains('/') && !host.contains('@');
    (is_one && !user.is_empty() && !host.is_empty()).then_some((server, path))
}

/// What proves to a server who we are, and to us who it is. Nothing of it is shown by `Debug`.
#[derive(Default)]
pub struct Credentials {
    basic: Option<(String, String)>,
    /// One that trusts the authority of `ca.crt`; absent without one.
    client: Option<reqwest::Client>,
    key: Option<Key>,
    known_hosts: KnownHosts,
}

impl Credentials {
    /// Credentials from the entries of a Secret. The certificates of `authority` (PEM) are trusted
    /// beside the system's.
    ///
    /// # Errors
    /// When there is a user name or a password alone, or the certificate is none.
    pub fn new(
        username: Option<String>,
        password: Option<String>,
        authority: Option<String>,
    ) -> Result<Self, String> {
        let basic = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) => return Err("it has username and no password".to_owned()),
            (None, Some(_)) => return Err("it has password and no username".to_owned()),
        };
        let client = match authority {
            None => None,
            Some(pem) => {
                let authorities = Certificate::from_pem_bundle(pem.as_bytes())
                    .map_err(|_| "ca.crt is no certificate in PEM".to_owned())?;
                if authorities.is_empty() {
                    return Err("ca.crt holds no certificate in PEM".to_owned());
                }
                Some(http::client(authorities)?)
            }
        };
        Ok(Self {
            basic,
            client,
            ..Self::default()
        })
    }

    /// Credentials for SSH.
    pub fn ssh(key: Key, known_hosts: KnownHosts) -> Self {
        Self {
            key: Some(key),
            known_hosts,
            ..Self::default()
        }
    }

    /// The public half of the key for SSH, as a line of `authorized_keys`.
    pub fn public_key(&self) -> Option<String> {
        self.key.as_ref().map(Key::public)
    }

    pub(super) fn basic(&self) -> Option<(&str, &str)> {
        self.basic
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()))
    }

    pub(super) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    pub(super) fn known_hosts(&self) -> &KnownHosts {
        &self.known_hosts
    }

    pub(super) fn client(&self) -> Result<reqwest::Client, String> {
        match &self.client {
            Some(client) => Ok(client.clone()),
            None => http::client(Vec::new()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
