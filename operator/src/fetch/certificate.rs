//! Whether a server's certificate is one that the configuration's own authority has signed.
//!
//! libgit2 knows authorities for the whole process only, and shows the server's own certificate
//! without those between: what stands in `ca.crt` must have signed it directly. The possession of
//! its key was proven by the handshake.

use std::sync::Arc;

use git2::{CertificateCheckStatus, cert::Cert};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::Remote;

/// Accepts what the authority has signed for this host; else libgit2's own verdict stands, by the
/// system's authorities.
pub(super) fn check(
    remote: &Remote,
    found: &Cert<'_>,
    host: &str,
) -> Result<CertificateCheckStatus, git2::Error> {
    let authorities = remote.credentials().authorities();
    let (Some(certificate), false) = (found.as_x509(), authorities.is_empty()) else {
        return Ok(CertificateCheckStatus::CertificatePassthrough);
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(ring::default_provider()),
    )
    .build()
    .map_err(|error| git2::Error::from_str(&error.to_string()))?;
    let Ok(name) = ServerName::try_from(host) else {
        return Ok(CertificateCheckStatus::CertificatePassthrough);
    };
    let certificate = CertificateDer::from(certificate.data());
    match verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()) {
        Ok(_) => Ok(CertificateCheckStatus::CertificateOk),
        Err(_) => Ok(CertificateCheckStatus::CertificatePassthrough),
    }
}
