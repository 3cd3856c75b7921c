//! The portal's own CA: a key and a certificate in the data directory. The server's certificate is
//! made from it at each start and lives in memory alone.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::TlsError;

/// Long enough that nobody has to hand out another CA file soon.
const CA_LIFETIME: time::Duration = time::Duration::days(3650);

/// The certificate costs nothing to make: short, so that a stolen key does not serve for long.
const LIFETIME: time::Duration = time::Duration::days(90);

/// A third of its life, so that two renewals may fail.
pub(super) const RENEW_AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Callers' clocks may be behind.
const BACKDATED: time::Duration = time::Duration::days(1);

/// The CA and the names that it makes certificates for.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    names: Vec<String>,
}

impl Authority {
    /// Opens the CA in `directory`, or makes one there.
    pub(super) fn open(directory: &Path, names: Vec<String>) -> Result<Self, TlsError> {
        let key_path = directory.join("ca.key");
        let key = match read(&key_path)? {
            Some(pem) => KeyPair::from_pem(&pem)?,
            None => {
                let key = KeyPair::generate()?;
                write(&key_path, 0o600, &key.serialize_pem())?;
                key
            }
        };
        let params = ca_params(&key);
        let path = directory.join("ca.pem");
        let pem = match read(&path)? {
            Some(pem) => pem,
            None => {
                let pem = params.self_signed(&key)?.pem();
                write(&path, 0o644, &pem)?;
                pem
            }
        };
        tracing::info!(
            ca = %path.display(),
            "the certificate is made by the portal's own CA, which callers must trust"
        );
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            names,
        })
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// A new certificate and its key.
    pub(super) fn issue(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Gitmoor portal");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, LIFETIME);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok((vec![certificate.der().clone()], key))
    }
}

/// What the CA's certificate says, which follows from its key but for the dates. Its name differs
/// between any two portals, so that callers may trust both.
fn ca_params(key: &KeyPair) -> CertificateParams {
    let digest = Sha256::digest(key.public_key_raw());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(
        DnType::CommonName,
        format!(
            "Gitmoor portal CA {:02x}{:02x}{:02x}{:02x}",
            digest[0], digest[1], digest[2], digest[3]
        ),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, CA_LIFETIME);
    params
}

fn valid_for(params: &mut CertificateParams, lifetime: time::Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
}

fn read(path: &Path) -> Result<Option<String>, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a file at once: a crash leaves all of it or nothing.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let temporary: PathBuf = path.with_extension("new");
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    written().map_err(|source| TlsError::Write {
        path: path.to_owned(),
        source,
    })
}
