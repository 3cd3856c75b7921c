//! Signed assertions (RFC 7523): how a principal proves itself by the key of its certificate, which
//! never leaves it.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use uuid::Uuid;
use webpki::EndEntityCert;

/// An assertion that is good for longer than this is no proof of now.
const MAX_LIFETIME: time::Duration = time::Duration::DAY;

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
}

impl Certificate {
    /// The first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(CertificateError::Pem)?;
        EndEntityCert::try_from(&der).map_err(CertificateError::Form)?;
        Ok(Self(der))
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
        let mut validation = Validation::new(Algorithm::RS256);
        validation.algorithms = vec![Algorithm::RS256, Algorithm::PS256];
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.aud = Some(audiences.clone());
        validation.set_issuer(&[principal]);
        validation.sub = Some(principal.to_string());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let key = DecodingKey::from_rsa_der(&self.0);
        let latest = time::OffsetDateTime::now_utc() + MAX_LIFETIME;
        let latest = latest.unix_timestamp() as f64;
        decode::<Claims>(assertion, &key, &validation).is_ok_and(|token| token.claims.exp <= latest)
    }
}
