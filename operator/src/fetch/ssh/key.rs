//! The private key that proves who we are. Nothing of it is shown by `Debug`.

use std::fmt;

use ring::{rand::SystemRandom, rsa::KeyPair, signature};
use russh::{
    AgentAuthError, Signer,
    keys::{
        self, Algorithm, HashAlg, PrivateKey, PublicKey,
        agent::AgentIdentity,
        decode_secret_key,
        key::safe_rng,
        pkcs8::encode_pkcs8,
        signature::Signer as _,
        ssh_encoding::Encode as _,
        ssh_key::{LineEnding, Signature},
    },
};

/// A private key.
pub struct Key {
    private: PrivateKey,
    /// The same, if it is of RSA: it signs by ring, whose time tells nothing of the key, and not by
    /// the crate `rsa` (RUSTSEC-2023-0071).
    rsa: Option<KeyPair>,
}

impl Key {
    /// Reads a key in a form of OpenSSH or in PEM (PKCS#1, PKCS#8, SEC 1).
    ///
    /// # Errors
    /// In words that say nothing of the key, and what to do.
    pub fn read(text: &str) -> Result<Self, String> {
        let locked =
            || "it is protected by a passphrase: give a key without one, for this alone".to_owned();
        if text.contains("ENCRYPTED") {
            return Err(locked());
        }
        let private = decode_secret_key(text.trim(), None).map_err(|error| match error {
            keys::Error::KeyIsEncrypted => locked(),
            _ => "it is no private key that can be read: give one of Ed25519, ECDSA or RSA, with its BEGIN and END lines".to_owned(),
        })?;
        let rsa = match private.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => None,
            Algorithm::Rsa { .. } => {
                let unusable = || {
                    "it is a key of RSA that cannot be used: such keys have 2048 to 4096 bits"
                        .to_owned()
                };
                let der = encode_pkcs8(&private).map_err(|_| unusable())?;
                Some(KeyPair::from_pkcs8(&der).map_err(|_| unusable())?)
            }
            _ => {
                return Err(
                    "it is of a sort that is not used: give one of Ed25519, ECDSA or RSA".into(),
                );
            }
        };
        Ok(Self { private, rsa })
    }

    /// Makes a new one, of Ed25519.
    pub fn generate() -> Self {
        let private = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519);
        Self {
            private: private.expect("any 32 random bytes are a key of Ed25519"),
            rsa: None,
        }
    }

    /// The private key as OpenSSH writes it.
    pub fn private(&self) -> String {
        let text = self.private.to_openssh(LineEnding::LF);
        text.expect("a key that was read or made can be written")
            .to_string()
    }

    /// The public half, as a line of `authorized_keys`.
    pub fn public(&self) -> String {
        let line = self.public_key().to_openssh();
        line.expect("a key that was read or made can be written")
    }

    pub(super) fn public_key(&self) -> PublicKey {
        // Without the comment, which may name who made it.
        PublicKey::new(self.private.public_key().key_data().clone(), "")
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.private.algorithm()
    }

    pub(super) fn signer(&self) -> ForServer<'_> {
        ForServer(self)
    }

    fn sign(&self, hash: Option<HashAlg>, bytes: &[u8]) -> Option<Signature> {
        let Some(rsa) = &self.rsa else {
            return self.private.try_sign(bytes).ok();
        };
        let padding: &dyn signature::RsaEncoding = match hash {
            Some(HashAlg::Sha512) => &signature::RSA_PKCS1_SHA512,
            _ => &signature::RSA_PKCS1_SHA256,
        };
        let mut signed = vec![0; rsa.public().modulus_len()];
        rsa.sign(padding, &SystemRandom::new(), bytes, &mut signed)
            .ok()?;
        Signature::new(Algorithm::Rsa { hash }, signed).ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Signs what a server asks for.
pub(super) struct ForServer<'a>(&'a Key);

impl Signer for ForServer<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut bytes: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signature = self.0.sign(hash, &bytes);
        let signature = signature.ok_or(keys::Error::InvalidSignature)?;
        let mut blob = Vec::new();
        signature.encode(&mut blob).map_err(keys::Error::from)?;
        blob.encode(&mut bytes).map_err(keys::Error::from)?;
        Ok(bytes)
    }
}
