//! How to reach ARM, or a portal, and as whom: the part of the agent's settings that this crate
//! reads. An unknown key is an error.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use url::{Host, Url};

use crate::{ClusterId, duration};

/// How to reach ARM and as whom. Keys are in camelCase:
///
/// ```yaml
/// clusterId: /subscriptions/…/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07
/// dataPlane: https://portal.example.net:8443
/// caFile: /etc/gitmoor/ca.crt
/// credential:
///   tokenFile: /var/run/secrets/gitmoor/token
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The cluster whose configurations are listed.
    pub cluster_id: ClusterId,
    /// Where ARM is: `https://management.azure.com` when absent.
    #[serde(default = "default_endpoint")]
    pub endpoint: Url,
    /// The api-version of the calls: `2023-05-01` when absent, the newest that carries
    /// `sourceControlConfigurations`.
    #[serde(default = "default_api_version")]
    pub api_version: String,
    /// The portal whose data plane gives the configurations with their secrets and takes the
    /// status. Asked in place of `endpoint`, which can do neither.
    #[serde(default)]
    pub data_plane: Option<Url>,
    /// A PEM file of the only certificate authorities that are trusted, in place of the
    /// system's. Read anew when it changes.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// As whom.
    pub credential: Credential,
    /// Whom the tokens are for: `https://management.azure.com` when absent. Their scope is
    /// `{audience}/.default`. A token file's token is for whom it is.
    #[serde(default = "default_audience")]
    pub audience: String,
    /// How often the configurations are listed, give or take a tenth: `30s` when absent.
    #[serde(
        default = "default_poll_interval",
        deserialize_with = "duration::deserialize"
    )]
    pub poll_interval: Duration,
    /// How long one request may take, its answer included: `30s` when absent.
    #[serde(
        default = "default_timeout",
        deserialize_with = "duration::deserialize"
    )]
    pub request_timeout: Duration,
}

/// As whom. Said by the settings and never probed: what answers on a node's metadata address must
/// not decide who an agent is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    /// A file that holds a token, such as a mounted Secret. Read for every request.
    TokenFile(PathBuf),
    /// An application with a secret.
    ServicePrincipal(ServicePrincipal),
    /// An application that trusts the tokens of this cluster's ServiceAccounts.
    WorkloadIdentity(WorkloadIdentity),
    /// The identity of the machine. Whatever else runs there can use it too.
    ManagedIdentity(ManagedIdentity),
    /// A token of the portal that is good once, for a credential that the agent keeps.
    Enrolment(Enrolment),
}

/// A token of the portal that is good once.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enrolment {
    /// The file that holds it. No longer needed when it was used; another token there is used anew.
    pub token_file: PathBuf,
}

/// An application with a secret.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePrincipal {
    /// The directory.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// The file that holds its secret. Read for every new token.
    pub client_secret_file: PathBuf,
    /// Who gives tokens: `https://login.microsoftonline.com` when absent.
    #[serde(default = "default_authority")]
    pub authority: Url,
}

/// An application that trusts the tokens of this cluster's ServiceAccounts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadIdentity {
    /// The directory.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// The file that holds the ServiceAccount's token. Read for every new token.
    pub federated_token_file: PathBuf,
    /// Who gives tokens: `https://login.microsoftonline.com` when absent.
    #[serde(default = "default_authority")]
    pub authority: Url,
}

/// The identity of the machine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedIdentity {
    /// Which one, where the machine has several.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Where the machine's metadata service gives tokens:
    /// `http://169.254.169.254/metadata/identity/oauth2/token` when absent.
    #[serde(default = "default_metadata")]
    pub endpoint: Url,
}

impl Default for ManagedIdentity {
    fn default() -> Self {
        Self {
            client_id: None,
            endpoint: default_metadata(),
        }
    }
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A URL that a token would be sent to in clear, or that is none of a server.
    #[error("`{key}` must be an https:// URL without user, query or fragment")]
    Insecure {
        /// The key in the settings.
        key: &'static str,
    },
    /// The metadata service elsewhere than on the machine itself.
    #[error(
        "`credential.managedIdentity.endpoint` must be https://, or http:// to 169.254.169.254 or to the machine itself"
    )]
    Metadata,
    /// A time of zero.
    #[error("`{key}` must be at least {min:?}")]
    TooShort {
        /// The key in the settings.
        key: &'static str,
        /// The least.
        min: Duration,
    },
    /// A token of a portal without a portal.
    #[error("`credential.enrolment` needs `dataPlane`, the address of the portal")]
    NoPortal,
    /// A value that would change the path of a URL.
    #[error("`{key}` may only hold letters, digits and the characters - . _")]
    Word {
        /// The key in the settings.
        key: &'static str,
    },
}

impl Settings {
    /// Settings for a cluster and a credential, all the rest at its default.
    pub fn new(cluster_id: ClusterId, credential: Credential) -> Self {
        Self {
            cluster_id,
            endpoint: default_endpoint(),
            api_version: default_api_version(),
            data_plane: None,
            ca_file: None,
            credential,
            audience: default_audience(),
            poll_interval: default_poll_interval(),
            request_timeout: default_timeout(),
        }
    }

    /// Checks what the types cannot hold.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), SettingsError> {
        https("endpoint", &self.endpoint)?;
        if let Some(data_plane) = &self.data_plane {
            https("dataPlane", data_plane)?;
        }
        word("apiVersion", &self.api_version)?;
        at_least("pollInterval", self.poll_interval, Duration::from_secs(1))?;
        at_least(
            "requestTimeout",
            self.request_timeout,
            Duration::from_millis(100),
        )?;
        if matches!(self.credential, Credential::Enrolment(_)) && self.data_plane.is_none() {
            return Err(SettingsError::NoPortal);
        }
        self.credential.check()
    }
}

impl Credential {
    /// Checks what the types cannot hold.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), SettingsError> {
        match self {
            Self::TokenFile(_) | Self::Enrolment(_) => Ok(()),
            Self::ServicePrincipal(principal) => {
                word("credential.servicePrincipal.tenantId", &principal.tenant_id)?;
                https(
                    "credential.servicePrincipal.authority",
                    &principal.authority,
                )
            }
            Self::WorkloadIdentity(identity) => {
                word("credential.workloadIdentity.tenantId", &identity.tenant_id)?;
                https("credential.workloadIdentity.authority", &identity.authority)
            }
            Self::ManagedIdentity(identity) if on_this_machine(&identity.endpoint) => Ok(()),
            Self::ManagedIdentity(_) => Err(SettingsError::Metadata),
        }
    }
}

fn https(key: &'static str, url: &Url) -> Result<(), SettingsError> {
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if url.scheme() == "https" && plain {
        return Ok(());
    }
    Err(SettingsError::Insecure { key })
}

/// Plain HTTP is how the metadata service is reached, and it never leaves the machine.
fn on_this_machine(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.octets() == [169, 254, 169, 254],
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

fn word(key: &'static str, text: &str) -> Result<(), SettingsError> {
    let right = text.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if right {
        return Ok(());
    }
    Err(SettingsError::Word { key })
}

fn at_least(key: &'static str, value: Duration, min: Duration) -> Result<(), SettingsError> {
    if value >= min {
        return Ok(());
    }
    Err(SettingsError::TooShort { key, min })
}

fn default_endpoint() -> Url {
    Url::parse("https://management.azure.com").expect("the text is a URL")
}

fn default_authority() -> Url {
    Url::parse("https://login.microsoftonline.com").expect("the text is a URL")
}

fn default_metadata() -> Url {
    Url::parse("http://169.254.169.254/metadata/identity/oauth2/token").expect("the text is a URL")
}

fn default_api_version() -> String {
    "2023-05-01".to_owned()
}

fn default_audience() -> String {
    "https://management.azure.com".to_owned()
}

/// What the documentation of Azure promises: seen within 30 seconds.
fn default_poll_interval() -> Duration {
    Duration::from_secs(30)
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}
