//! `configurationProtectedSettings`: the secrets of a configuration, by ARM's names, in base64.
//! ARM takes them and gives back `{}`; only the data plane carries them.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap as _};

use crate::Secret;

/// Secrets by name, their values in base64. Prints nothing of them and is serialised as `{}`, as
/// ARM does; [`WithSecrets`](crate::WithSecrets) is the one way to send them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProtectedSettings(BTreeMap<String, Secret>);

impl ProtectedSettings {
    /// The private SSH key, a PEM text.
    pub const SSH_PRIVATE_KEY: &'static str = "sshPrivateKey";
    /// The user name for HTTPS.
    pub const HTTPS_USER: &'static str = "httpsUser";
    /// The password or token for HTTPS.
    pub const HTTPS_KEY: &'static str = "httpsKey";
    /// The only certificate authorities that are trusted for HTTPS, PEM. Gitmoor's own.
    pub const HTTPS_CA_CERT: &'static str = "httpsCACert";

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names in use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values, the values in base64 as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The bytes behind `name`, or nothing when it is not set or set to an empty text.
    ///
    /// # Errors
    /// When the value is no base64; the error says nothing of it.
    pub fn decode(&self, name: &str) -> Result<Option<Vec<u8>>, NotBase64> {
        match self.0.get(name).map(Secret::expose) {
            None | Some("") => Ok(None),
            // Command lines wrap base64 and end it with a line break.
            Some(text) => BASE64_STANDARD
                .decode(text.split_ascii_whitespace().collect::<String>())
                .map(Some)
                .map_err(|_| NotBase64),
        }
    }

    /// The text behind `name`, or nothing when it is not set or set to an empty text.
    ///
    /// # Errors
    /// When the value is no base64 or no UTF-8; the error says nothing of it.
    pub fn decode_text(&self, name: &str) -> Result<Option<Secret>, NotBase64> {
        self.decode(name)?
            .map(|bytes| {
                String::from_utf8(bytes)
                    .map(Secret::from)
                    .map_err(|_| NotBase64)
            })
            .transpose()
    }
}

/// A protected setting that is no base64 of a UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is no base64 of a UTF-8 text")]
pub struct NotBase64;

impl<K: Into<String>, V: Into<Secret>> FromIterator<(K, V)> for ProtectedSettings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(settings: I) -> Self {
        Self(
            settings
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for ProtectedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for ProtectedSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for ProtectedSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A null value is a name without a secret.
        let settings = BTreeMap::<String, Option<String>>::deserialize(deserializer)?;
        Ok(settings
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect())
    }
}
