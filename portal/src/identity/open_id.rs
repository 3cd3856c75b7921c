//! People who sign in by OpenID Connect: the authorization code flow with PKCE. Any provider is asked
//! by what it says of itself; what it says of a person is believed only when it is signed, for this
//! portal, and for the sign-in that was begun. What it grants is nothing: what a person may do is what
//! their principal may.

mod id_token;
mod provider;

use std::{num::NonZeroU32, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::super::encryption::{EncryptionError, KeySource, random};

pub(crate) use provider::{Provider, SignInError};

/// The provider at which people sign in to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenId {
    /// Its issuer, exactly as it says itself, such as `https://login.example.net`.
    pub issuer: Url,
    /// What the portal is called there. Its redirect URI is `/sign-in/callback` at the portal's
    /// address.
    pub client_id: String,
    /// Where the portal's secret is; nothing for a client without one.
    #[serde(default)]
    pub client_secret: Option<KeySource>,
    /// The certificate authorities to trust in place of the well-known ones, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that tells people apart: `sub`, or another one that they cannot choose themselves.
    /// Of `email`, only what the provider has verified counts.
    #[serde(default = "claim")]
    pub claim: String,
    /// How long an answer of the provider may take, in seconds.
    #[serde(default = "seconds")]
    pub request_seconds: NonZeroU32,
}

fn scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

fn claim() -> String {
    "sub".to_owned()
}

fn seconds() -> NonZeroU32 {
    NonZeroU32::new(10).expect("it is not zero")
}

/// Why a portal does not offer a sign-in.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// The issuer is reached without TLS.
    #[error("signInWith.issuer: {0} is no https:// address")]
    Issuer(Url),
    /// Nobody has said where the provider is to send people back to.
    #[error(
        "signInWith needs `url`, the address of this portal, to which the provider sends people back"
    )]
    NoUrl,
    /// The portal's secret.
    #[error("reading signInWith.clientSecret")]
    Secret(#[from] EncryptionError),
    /// The certificate authorities.
    #[error("reading signInWith.caFile {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenId {
    /// The issuer's name, as people are kept by it: a URL that ends with its host is written without a slash.
    fn name(&self) -> &str {
        let text = self.issuer.as_str();
        match self.issuer.path() {
            "/" => text.trim_end_matches('/'),
            _ => text,
        }
    }

    /// Whether the issuer says this of itself: some write a slash after their host, some do not, and
    /// a [`Url`] always has it.
    fn is_named(&self, issuer: &str) -> bool {
        issuer == self.name() || issuer == self.issuer.as_str()
    }

    /// What the store keeps of a person, whom this provider calls `subject`.
    pub fn digest(&self, subject: &str) -> [u8; 32] {
        // No URL holds a line break, and no subject that signs in. What one claim says may be what
        // another one says of someone else.
        let by = match self.claim.as_str() {
            "sub" => String::new(),
            claim => format!("{claim}\n"),
        };
        Sha256::digest(format!("{}\n{by}{subject}", self.name())).into()
    }
}

/// A sign-in that was begun. All that it is made of comes from one secret, which the browser keeps
/// until it is back.
pub(crate) struct Attempt(Secret);

impl Attempt {
    pub(crate) fn begin() -> Result<Self, EncryptionError> {
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?).into()))
    }

    /// One that was begun before.
    pub(crate) fn of(secret: &str) -> Self {
        Self(secret.to_owned().into())
    }

    /// What the browser keeps.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// What the provider sends back with the browser, which shows that it is the same one.
    pub(crate) fn state(&self) -> String {
        self.part("state")
    }

    /// What the provider signs, so that what it says belongs to this sign-in.
    fn nonce(&self) -> String {
        self.part("nonce")
    }

    /// What only the one who began can tell (RFC 7636).
    fn verifier(&self) -> String {
        self.part("verifier")
    }

    fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()))
    }

    fn part(&self, what: &str) -> String {
        let text = format!("{what} {}", self.0.expose());
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }
}
