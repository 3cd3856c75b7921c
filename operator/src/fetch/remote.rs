//! Where a repository is and how to prove who we are, checked when it comes in.

use std::{fmt, sync::Arc};

use url::Url;

use super::Error;

/// A repository, a reference of it, and the credentials for it.
#[derive(Clone, Debug)]
pub struct Remote {
    url: Url,
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
        let parsed = Url::parse(url).map_err(|error| {
            Error::NotAllowed(format!("the repository's address is no URL: {error}"))
        })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(not_allowed(
                "the repository's address holds a user name or password: put them into a Secret and name it in credentials",
            ));
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(not_allowed("the repository's address names no host"));
        }
        match parsed.scheme() {
            "https" => {}
            "http" if allow_http => {}
            "http" => {
                return Err(not_allowed(
                    "plain HTTP is not allowed here, since anyone on the way can change what is read: use https",
                ));
            }
            "ssh" => {
                return Err(not_allowed(
                    "repositories over SSH are not supported yet: use https",
                ));
            }
            other => {
                return Err(Error::NotAllowed(format!(
                    "repositories over {other} are not supported: use https"
                )));
            }
        }
        Ok(Self {
            url: parsed,
            branch,
            credentials,
        })
    }

    /// The address, which holds no secret.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The branch, when one is named.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
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

/// What proves to a server who we are, and to us who it is. Nothing of it is shown by `Debug`.
#[derive(Default)]
pub struct Credentials {
    basic: Option<(String, String)>,
    /// Certificates that the server's may be signed by, as DER.
    authorities: Vec<rustls::pki_types::CertificateDer<'static>>,
}

impl Credentials {
    /// Credentials from the entries of a Secret.
    ///
    /// # Errors
    /// When a password has no user name, or the certificate is none.
    pub fn new(
        username: Option<String>,
        password: Option<String>,
        authority: Option<String>,
    ) -> Result<Self, String> {
        use rustls::pki_types::{CertificateDer, pem::PemObject as _};
        let basic = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) => return Err("it has username and no password".to_owned()),
            (None, Some(_)) => return Err("it has password and no username".to_owned()),
        };
        let authorities = match authority {
            None => Vec::new(),
            Some(pem) => CertificateDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| format!("ca.crt is no certificate in PEM: {error}"))?,
        };
        Ok(Self { basic, authorities })
    }

    pub(super) fn basic(&self) -> Option<(&str, &str)> {
        self.basic
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()))
    }

    pub(super) fn authorities(&self) -> &[rustls::pki_types::CertificateDer<'static>] {
        &self.authorities
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
