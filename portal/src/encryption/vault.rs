//! A key that is a secret of Azure Key Vault: read when a portal starts, and never written anywhere.

use std::path::PathBuf;

use gitmoor_arm::{Credential, Secret, Service, TokenError};
use serde::{Deserialize, Serialize};
use url::Url;

use super::EncryptionError;

/// The api-version of Key Vault.
const VERSION: &str = "7.4";

/// As whom Azure Key Vault is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vault {
    /// As an agent proves itself to ARM: `managedIdentity`, `workloadIdentity`, `servicePrincipal` or
    /// `tokenFile`.
    #[serde(skip_serializing)]
    pub credential: Credential,
    /// Whom the tokens are for; other clouds have another.
    #[serde(default = "audience")]
    pub audience: String,
    /// A PEM file of the only certificate authorities that are trusted, in place of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn audience() -> String {
    "https://vault.azure.net".to_owned()
}

/// What Key Vault says of a secret.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl Vault {
    pub(super) async fn secret(&self, url: &Url) -> Result<Secret, EncryptionError> {
        let failed = |source| EncryptionError::Vault(url.to_string(), source);
        let service = Service::new(
            self.credential.clone(),
            &self.audience,
            self.ca_file.as_deref(),
        );
        let mut versioned = url.clone();
        versioned.set_query(Some(&format!("api-version={VERSION}")));
        let body = service.map_err(failed)?.get(&versioned).await;
        let body = body.map_err(failed)?;
        // serde_json's own words may quote the key.
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| {
            let server = url.origin().ascii_serialization();
            failed(TokenError::Malformed { server }.into())
        })?;
        Ok(answer.value.into())
    }
}

/// The address of a secret, such as `https://example.vault.azure.net/secrets/portal`.
pub(super) fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let mut path = url.path_segments()?;
    let is_secret =
        path.next() == Some("secrets") && path.next().is_some_and(|name| !name.is_empty());
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (url.scheme() == "https" && is_secret && plain).then_some(url)
}
