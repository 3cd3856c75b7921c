//! The digest of an object as it is sent.

use std::{fmt, str::FromStr};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The first half of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

/// A text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 32 hexadecimal digits")]
pub struct DigestError;

impl Digest {
    /// Of an object: of its JSON, whose keys are in order.
    pub(super) fn of(object: &Value) -> Self {
        Self::first_half(Sha256::digest(object.to_string()).as_ref())
    }

    /// Of an object in a file: the file's path is part of what is applied.
    pub fn at(self, path: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(path);
        Self::first_half(hash.finalize().as_ref())
    }

    fn first_half(hash: &[u8]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Self(half)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(DigestError);
        }
        let mut digest = [0; 16];
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| DigestError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(digest))
    }
}
