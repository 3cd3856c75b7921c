//! What `jsonwebtoken` signs and verifies with: ring, as TLS does. ES256 for the portal's own
//! tokens; ES256, RS256 and PS256 for what principals sign with the key of their certificate, which,
//! of RSA, stands where the crate expects a public key; ES256 and RS256 for what OpenID providers sign.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwkUtils, JwtSigner, JwtVerifier},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
        RSA_PKCS1_2048_8192_SHA256 as RSA_PKCS1_2048_8192_SHA256_KEY, RsaPublicKeyComponents,
        UnparsedPublicKey,
    },
};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::{
    EndEntityCert,
    ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY},
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // The key set is written by `keys`.
    jwk_utils: JwkUtils::new_unimplemented(),
};

/// Makes it what `jsonwebtoken` uses, once for the process; another time does nothing.
pub(crate) fn install() {
    let _ = PROVIDER.install_default();
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::ES256 || key.family() != AlgorithmFamily::Ec {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let random = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.inner(), &random)
        .map(|key| Box::new(Es256 { key, random }) as _)
        .map_err(|_| ErrorKind::InvalidEcdsaKey.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let allowed = match algorithm {
        Algorithm::ES256 => key.family() == AlgorithmFamily::Ec,
        Algorithm::RS256 | Algorithm::PS256 => key.family() == AlgorithmFamily::Rsa,
        _ => false,
    };
    if !allowed {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => Ok(Box::new(PublicKey {
            algorithm: *algorithm,
            bytes: bytes.clone(),
        })),
        DecodingKeyKind::RsaModulusExponent { n, e } if *algorithm == Algorithm::RS256 => {
            Ok(Box::new(RsaKey(RsaPublicKeyComponents {
                n: n.clone(),
                e: e.clone(),
            })))
        }
        DecodingKeyKind::RsaModulusExponent { .. } => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// A key of a key set, at least 2048 bits long.
struct RsaKey(RsaPublicKeyComponents<Vec<u8>>);

impl Verifier<Vec<u8>> for RsaKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0
            .verify(&RSA_PKCS1_2048_8192_SHA256_KEY, message, signature)
            .map_err(|_| Error::new())
    }
}

impl JwtVerifier for RsaKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

struct Es256 {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer<Vec<u8>> for Es256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let signature = self.key.sign(&self.random, message);
        let signature = signature.map_err(|_| Error::new())?;
        Ok(signature.as_ref().to_vec())
    }
}

impl JwtSigner for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

/// A point of P-256, or a certificate in DER.
struct PublicKey {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    fn verify_with(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<(), Error> {
        let certificate = CertificateDer::from(self.bytes.as_slice());
        EndEntityCert::try_from(&certificate)
            .and_then(|certificate| certificate.verify_signature(algorithm, message, signature))
            .map_err(|_| Error::new())
    }
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match self.algorithm {
            Algorithm::ES256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.bytes)
                .verify(message, signature)
                .map_err(|_| Error::new()),
            Algorithm::PS256 => {
                self.verify_with(RSA_PSS_2048_8192_SHA256_LEGACY_KEY, message, signature)
            }
            _ => self.verify_with(RSA_PKCS1_2048_8192_SHA256, message, signature),
        }
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
