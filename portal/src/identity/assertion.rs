//! Signed assertions (RFC 7523): how a principal proves itself by the key of its certificate, which
//! never leaves it.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use uuid::Uuid;
use webpki::EndEntityCert;

/// An assertion that is good for longer than this is no proof of now.
const MAX_LIFETIME: time::Duration = time::Duration::HOUR;

/// How far the clocks of principals may differ, in seconds.
const LEEWAY_SECONDS: u64 = 60;

/// A certificate by whose key a principal proves itself. Its dates and its issuer do not matter: it
/// stands for the key, and holds until it is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(CertificateDer<'static>);

/// A text that holds no certificate that serves.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is no PEM of a certificate.
    #[error("reading a certificate in PEM form")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// It is no certificate of X.509, version 3.
    #[error("reading the certificate")]
    Form(#[source] webpki::Error),
    /// Nothing that its key signs could be verified here.
    #[error("the certificate's key is neither RSA nor of the curve P-256: make one of these")]
    Key,
}

/// How a key begins: of RSA after its length, of P-256 before its point (RFC 3279, RFC 5480).
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

impl Certificate {
    /// The first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(CertificateError::Pem)?;
        let certificate = Self(der);
        certificate.verifier()?;
        Ok(certificate)
    }

    /// The algorithms in which its key may sign, and what verifies that.
    fn verifier(&self) -> Result<(Vec<Algorithm>, DecodingKey), CertificateError> {
        let certificate = EndEntityCert::try_from(&self.0).map_err(CertificateError::Form)?;
        let key = certificate.subject_public_key_info();
        if let Some(point) = key.strip_prefix(P256) {
            return Ok((vec![Algorithm::ES256], DecodingKey::from_ec_der(point)));
        }
        let is_rsa = key.windows(RSA.len()).take(8).any(|part| part == RSA);
        if !is_rsa {
            return Err(CertificateError::Key);
        }
        let key = DecodingKey::from_rsa_der(&self.0);
        Ok((vec![Algorithm::RS256, Algorithm::PS256], key))
    }

    pub(crate) fn from_der(der: Vec<u8>) -> Self {
        Self(der.into())
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.0
    }

    /// Whether its key signed this assertion, by the principal, for one of these audiences, for now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of this century are exact"
    )]
    pub(crate) fn vouches(
        &self,
        assertion: &str,
        principal: Uuid,
        audiences: &HashSet<String>,
    ) -> bool {
        #[derive(Deserialize)]
        struct Claims {
            // Some clients write fractions of a second.
            exp: f64,
        }
        let Ok((algorithms, key)) = self.verifier() else {
            return false;
        };
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms = algorithms;
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.aud = Some(audiences.clone());
        validation.set_issuer(&[principal]);
        validation.sub = Some(principal.to_string());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let latest = time::OffsetDateTime::now_utc() + MAX_LIFETIME;
        let latest = latest.unix_timestamp() as f64;
        decode::<Claims>(assertion, &key, &validation).is_ok_and(|token| token.claims.exp <= latest)
    }
}
