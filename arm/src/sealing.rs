//! Values that only one agent can open: sealed with HPKE (RFC 9180) to the public key that it gave
//! when it was enrolled, so that nothing between it and the portal sees them, nor a log of either.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305,
    kdf::HkdfSha256,
    kem::{Kem as KemTrait, X25519HkdfSha256},
    single_shot_open, single_shot_seal,
};

use crate::Secret;

type Kem = X25519HkdfSha256;

/// What the keys are for, so that nothing sealed for another purpose opens here.
const INFO: &[u8] = b"gitmoor data plane v1";

/// What a sealed value begins with; no base64 does.
const PREFIX: &str = "hpke:";

/// A key that opens what is sealed to its public part. Prints nothing of itself.
#[derive(Clone)]
pub struct OpeningKey(<Kem as KemTrait>::PrivateKey);

/// The public part: X25519, written as 32 bytes in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey(<Kem as KemTrait>::PublicKey);

/// A key that is none, or a value that this key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// No key.
    #[error("this is no X25519 key of 32 bytes in base64")]
    Key,
    /// Not sealed to this key, or for another place, or damaged.
    #[error("a value was not sealed to this agent's key, or not for its place")]
    Value,
}

impl OpeningKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Kem::gen_keypair().0)
    }

    /// Its public part.
    pub fn public(&self) -> SealingKey {
        SealingKey(Kem::sk_to_pk(&self.0))
    }

    /// The key as text, to be kept where secrets are kept.
    pub fn to_secret(&self) -> Secret {
        BASE64_STANDARD.encode(self.0.to_bytes()).into()
    }

    /// The key of that text.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_secret(secret: &Secret) -> Result<Self, SealingError> {
        let bytes = BASE64_STANDARD.decode(secret.expose());
        let bytes = bytes.map_err(|_| SealingError::Key)?;
        let key = Deserializable::from_bytes(&bytes).map_err(|_| SealingError::Key)?;
        Ok(Self(key))
    }

    /// Opens a value that was sealed for `place`; one that is not sealed is as it is.
    ///
    /// # Errors
    /// When it is not sealed to this key, or for another place.
    pub fn open(&self, place: &str, value: &str) -> Result<Secret, SealingError> {
        let Some(sealed) = value.strip_prefix(PREFIX) else {
            return Ok(value.into());
        };
        let sealed = BASE64_STANDARD.decode(sealed);
        let sealed = sealed.map_err(|_| SealingError::Value)?;
        let (key, text) = sealed
            .split_at_checked(<Kem as KemTrait>::EncappedKey::size())
            .ok_or(SealingError::Value)?;
        let key = Deserializable::from_bytes(key).map_err(|_| SealingError::Value)?;
        let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &self.0,
            &key,
            INFO,
            text,
            place.as_bytes(),
        );
        let opened = opened.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(opened.ok_or(SealingError::Value)?.into())
    }
}

impl SealingKey {
    /// Seals a value for `place`: it cannot be opened as the value of another one.
    ///
    /// # Errors
    /// When the key is one that gives no secrecy, such as zero.
    pub fn seal(&self, place: &str, value: &Secret) -> Result<String, SealingError> {
        let (key, text) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &self.0,
            INFO,
            value.expose().as_bytes(),
            place.as_bytes(),
        )
        .map_err(|_| SealingError::Key)?;
        let sealed = [&key.to_bytes()[..], &text].concat();
        Ok(format!("{PREFIX}{}", BASE64_STANDARD.encode(sealed)))
    }
}

/// The place of a protected setting: that value of another configuration does not open there.
pub fn place_of(configuration: &str, setting: &str) -> String {
    format!("{} {setting}", configuration.to_ascii_lowercase())
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({self})")
    }
}

impl FromStr for SealingKey {
    type Err = SealingError;

    fn from_str(text: &str) -> Result<Self, SealingError> {
        let bytes = BASE64_STANDARD.decode(text);
        let bytes = bytes.map_err(|_| SealingError::Key)?;
        let key = Deserializable::from_bytes(&bytes).map_err(|_| SealingError::Key)?;
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_key_at_its_place_alone() {
        let key = OpeningKey::generate();
        let public: SealingKey = key.public().to_string().parse().unwrap();
        assert_eq!(public, key.public());
        let place = place_of("/Subscriptions/S", "httpsKey");
        let sealed = public.seal(&place, &"s3cr3t".into()).unwrap();
        assert!(!sealed.contains("s3cr3t"));
        assert_eq!(key.open(&place, &sealed).unwrap().expose(), "s3cr3t");
        let kept = OpeningKey::from_secret(&key.to_secret()).unwrap();
        assert_eq!(kept.open(&place, &sealed).unwrap().expose(), "s3cr3t");
        assert_ne!(public.seal(&place, &"s3cr3t".into()).unwrap(), sealed);
        let other = place_of("/subscriptions/s", "sshPrivateKey");
        assert_eq!(key.open(&other, &sealed).err(), Some(SealingError::Value));
        let stranger = OpeningKey::generate();
        assert_eq!(
            stranger.open(&place, &sealed).err(),
            Some(SealingError::Value)
        );
        assert!(!format!("{key:?}").contains(&*key.to_secret().expose().to_owned()));
    }

    #[test]
    fn what_is_damaged_or_no_key_is_refused_and_what_is_not_sealed_stays() {
        let key = OpeningKey::generate();
        assert_eq!(key.open("p", "czNjcjN0").unwrap().expose(), "czNjcjN0");
        let sealed = key.public().seal("p", &"s3cr3t".into()).unwrap();
        let damaged = [
            "hpke:".to_owned(),
            "hpke:!".to_owned(),
            "hpke:AAAA".to_owned(),
            sealed[..sealed.len() - 8].to_owned(),
            sealed.replacen(|c: char| c.is_ascii_digit(), "z", 1),
        ];
        for text in damaged {
            assert_eq!(
                key.open("p", &text).err(),
                Some(SealingError::Value),
                "{text}"
            );
        }
        for text in ["", "AAAA", "no key"] {
            assert_eq!(text.parse::<SealingKey>(), Err(SealingError::Key), "{text}");
        }
        // To the zero point anyone could open it.
        let zero: SealingKey = BASE64_STANDARD.encode([0; 32]).parse().unwrap();
        assert_eq!(zero.seal("p", &"s3cr3t".into()), Err(SealingError::Key));
    }
}
