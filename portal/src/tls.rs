//! The portal's certificate: read from files and read again when they change, or made by a CA of
//! the portal's own and renewed in time. Connections see a new one without a restart.

mod generated;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::Settings;
use generated::Authority;

/// What the server speaks, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What can go wrong with the certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two settings is missing, or both without leave to make a certificate.
    #[error(
        "`tls.certificate` and `tls.key` are both needed, unless `tls.generate` is true and neither is set"
    )]
    Missing,
    /// A file could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no PEM of the kind that is wanted.
    #[error("reading PEM from {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate could not be made.
    #[error("making a certificate")]
    Make(#[from] rcgen::Error),
    /// The certificate and the key do not serve.
    #[error("using the certificate")]
    Use(#[from] rustls::Error),
}

/// Where certificates come from, and the one in use.
pub(crate) struct Certificates {
    source: Source,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
}

enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    Authority(Box<Authority>),
}

/// The certificate in use, which every handshake asks for.
struct Current(RwLock<Arc<CertifiedKey>>);

impl Certificates {
    /// Reads the certificate, or makes one.
    pub(crate) fn load(settings: &Settings) -> Result<Self, TlsError> {
        let tls = &settings.tls;
        let source = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => Source::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            (None, None) if tls.generate => {
                let mut names = tls.names.clone();
                names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
                if !settings.listen.ip().is_unspecified() {
                    names.push(settings.listen.ip().to_string());
                }
                Source::Authority(Authority::open(&settings.data_directory, names)?.into())
            }
            _ => return Err(TlsError::Missing),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let first = source.read(&provider)?;
        Ok(Self {
            source,
            provider,
            current: Arc::new(Current(RwLock::new(Arc::new(first)))),
        })
    }

    /// The CA that made the certificate, PEM, when it is the portal's own.
    pub(crate) fn ca_pem(&self) -> Option<&str> {
        match &self.source {
            Source::Files { .. } => None,
            Source::Authority(authority) => Some(authority.ca_pem()),
        }
    }

    /// What a server needs to accept connections with the certificate that is in use then.
    pub(crate) fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(config)
    }

    /// Looks for a new certificate from time to time, for ever. One that does not serve is left
    /// aside with a warning, and the old one stays.
    pub(crate) async fn follow(self, reload: Duration) {
        let period = match &self.source {
            Source::Files { .. } => reload,
            Source::Authority(_) => generated::RENEW_AFTER,
        };
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warned = false;
        loop {
            ticks.tick().await;
            match self.source.read(&self.provider) {
                Ok(new) => {
                    warned = false;
                    if new.cert != self.current.get().cert {
                        self.current.set(new);
                        tracing::info!("the certificate was renewed");
                    }
                }
                Err(error) if !warned => {
                    warned = true;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the new certificate cannot be used; the old one stays"
                    );
                }
                Err(_) => {}
            }
        }
    }
}

impl Source {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let (chain, key) = match self {
            Self::Files { certificate, key } => {
                let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|source| TlsError::Pem {
                        path: certificate.clone(),
                        source,
                    })?;
                let key =
                    PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| TlsError::Pem {
                        path: key.clone(),
                        source,
                    })?;
                (chain, key)
            }
            Self::Authority(authority) => authority.issue()?,
        };
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, new: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
