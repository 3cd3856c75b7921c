//! The settings of the portal. Every one has a default, so an empty file is a complete one.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use gitmoor_arm::{MAX_STATUS_BYTES, Secret};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Encryption, Location, identity::OpenId};

/// The settings of a portal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of what the portal keeps; made when it is missing.
    pub data_directory: PathBuf,
    /// The database: the path of an SQLite file, or `postgres://user@host/database`, which any number
    /// of portals may share. `portal.db` in the data directory when absent.
    pub database: Option<Location>,
    /// The keys that what is in the database is sealed with.
    pub encryption: Encryption,
    /// The address by which callers reach the portal, such as `https://portal.example.net:8443`.
    /// When absent, links lead back to where a request says that it went, and clients that prove
    /// themselves by a certificate must call it by a name of `tls.names` or of this machine.
    pub url: Option<Url>,
    /// The OpenID provider at which people sign in to the page; it needs `url`. When absent, they sign
    /// in by links.
    pub sign_in_with: Option<OpenId>,
    /// Git hosts of one's own, by their names, and what runs there: `git.example.net: gitlab`. The page
    /// links to commits and lines there as it does at the great hosts.
    pub git_hosts: BTreeMap<String, GitHost>,
    /// The certificate that callers see. There is no way to serve without TLS.
    pub tls: TlsSettings,
    /// Bounds of what callers may ask for.
    pub limits: Limits,
    /// How long the audit log goes back, in days.
    pub audit_days: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8443).into(),
            data_directory: "gitmoor-portal".into(),
            database: None,
            encryption: Encryption::default(),
            url: None,
            sign_in_with: None,
            git_hosts: BTreeMap::new(),
            tls: TlsSettings::default(),
            limits: Limits::default(),
            audit_days: number(400),
        }
    }
}

impl Settings {
    /// The addresses by which callers are known to reach the portal that listens on `port`.
    pub(crate) fn addresses(&self, port: u16) -> Vec<Url> {
        if let Some(url) = &self.url {
            return vec![url.clone()];
        }
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names = self.tls.names.iter().chain(&own);
        names
            .filter_map(|name| {
                let name = if name.contains(':') {
                    format!("[{name}]")
                } else {
                    name.clone()
                };
                Url::parse(&format!("https://{name}:{port}")).ok()
            })
            .collect()
    }

    /// The link by which someone signs in once with this code, when the portal listens on `port`.
    pub fn sign_in_link(&self, port: u16, code: &Secret) -> Secret {
        let url = self.addresses(port).into_iter().next();
        let url = url.map_or_else(|| format!("https://localhost:{port}"), String::from);
        let url = url.trim_end_matches('/');
        format!("{url}/sign-in/link?code={}", code.expose()).into()
    }

    /// The file of the CA that the portal makes, where it is to make one.
    pub fn generated_ca(&self) -> Option<PathBuf> {
        let makes = self.tls.certificate.is_none() && self.tls.generate;
        makes.then(|| self.data_directory.join("ca.pem"))
    }

    /// Where the database is.
    pub fn database(&self) -> Location {
        self.database
            .clone()
            .unwrap_or_else(|| Location::file(self.data_directory.join("portal.db")))
    }
}

/// What runs on a Git host, which says how its URLs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GitHost {
    /// GitHub Enterprise, as github.com.
    Github,
    /// GitLab, as gitlab.com.
    Gitlab,
    /// Gitea or Forgejo, as codeberg.org.
    Gitea,
    /// Bitbucket Cloud's form, as bitbucket.org.
    Bitbucket,
    /// Azure DevOps, as dev.azure.com.
    AzureDevOps,
}

/// The certificate that callers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The certificate and its chain, PEM. A file that changes is read again.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Whether to make a certificate, and a CA of its own in the data directory, when none is
    /// given.
    pub generate: bool,
    /// The names and addresses for which to make it, besides those of this machine's loopback and
    /// the address to listen on.
    pub names: Vec<String>,
    /// How often to look whether the files changed, in seconds.
    pub reload_seconds: NonZeroU32,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            generate: true,
            names: Vec::new(),
            reload_seconds: number(60),
        }
    }
}

/// Bounds of what callers may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, of some 50 KiB each; more wait to be accepted. An agent that waits for
    /// news holds one.
    pub connections: NonZeroU32,
    /// Requests at once of callers who have a token; more wait, as long as one may take.
    pub requests: NonZeroU32,
    /// Pages at once that are told of changes; more show what was when they were opened.
    pub viewers: NonZeroU32,
    /// How long a request may take, its body included, in seconds.
    pub request_seconds: NonZeroU32,
    /// The largest body of a request to the ARM API, in bytes.
    pub body_bytes: usize,
    /// The largest status report, in bytes.
    pub status_bytes: usize,
    /// Items on a page of a list; a page of large items has fewer.
    pub page_size: NonZeroU32,
    /// How often one principal may call.
    pub throttling: Throttling,
}

/// How often one principal may call, by the kind of call: by default ARM's own measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttling {
    /// GET.
    pub reads: Rate,
    /// PUT, PATCH and POST.
    pub writes: Rate,
    /// DELETE.
    pub deletes: Rate,
}

impl Default for Throttling {
    fn default() -> Self {
        let rate = |burst, per_second| Rate {
            burst: number(burst),
            per_second: number(per_second),
        };
        Self {
            reads: rate(250, 25),
            writes: rate(200, 10),
            deletes: rate(200, 10),
        }
    }
}

/// A number of calls at once, and how quickly others may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// Calls at once.
    pub burst: NonZeroU32,
    /// Calls each second thereafter.
    pub per_second: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: number(16_384),
            requests: number(256),
            viewers: number(256),
            request_seconds: number(30),
            // ARM allows 4 MiB; the largest configuration that passes the checks is far smaller.
            body_bytes: 512 * 1024,
            status_bytes: MAX_STATUS_BYTES,
            page_size: number(100),
            throttling: Throttling::default(),
        }
    }
}

const fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("the defaults are not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_may_call_as_often_as_at_arm() {
        let Throttling {
            reads,
            writes,
            deletes,
        } = Throttling::default();
        let rates = [reads, writes, deletes].map(|rate| (rate.burst.get(), rate.per_second.get()));
        // https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
        assert_eq!(rates, [(250, 25), (200, 10), (200, 10)]);
    }
}
